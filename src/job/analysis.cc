#include "job/analysis.h"

#include <map>
#include <openvino/openvino.hpp>

#include "calibrate/measure.h"
#include "core/distribution.h"
#include "ops/ops.h"

namespace dnateq {

using Json = nlohmann::ordered_json;

Json analyze(const std::string& model, const ImportOptions& options,
             const std::function<std::shared_ptr<const Samples>(const std::vector<std::string>& inputs)>& open,
             int threads, const Progress& progress) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());  // to tell a result of dnateq from a damaged file
  const PreparedModel prepared = import_model(core, model, options);
  const std::shared_ptr<const Samples> data = open(input_names(*prepared.model));
  const Calls calls(*data, *prepared.model);
  const ActivationHistograms activations = measure_activations(core, prepared, calls, threads, progress);
  Json tensors = Json::array();
  std::map<std::string, std::map<std::string, int>> votes = {{"weights", {}}, {"activations", {}}};
  const auto describe = [&](const std::string& layer, const std::string& tensor, const char* kind,
                            const Histogram& histogram) {
    Json fits = Json::array();
    const std::vector<DistributionFit> found = fit_distributions(histogram);
    for (const DistributionFit& fit : found)
      fits.push_back(
          {{"name", fit.name}, {"rss", fit.rss}, {"ks", fit.ks}, {"parameters", {fit.parameter1, fit.parameter2}}});
    const std::string best = best_of_paper_families(found);
    ++votes[kind][best];
    tensors.push_back({{"layer", layer},
                       {"tensor", tensor},
                       {"kind", kind},
                       {"values", histogram.count()},
                       {"zeros", histogram.zeros()},
                       {"minimum", histogram.minimum()},
                       {"maximum", histogram.maximum()},
                       {"best", best},
                       {"fits", fits}});
  };
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    Histogram weights;
    weights.add(layer.weight_matrix());
    describe(layer.name, layer.weights()->get_friendly_name(), "weights", weights);
    if (const ActivationMeasurement* entering = activations.entering(l))
      describe(layer.name, entering->tensor, "activations", entering->histogram);
  }
  return {{"model", model}, {"weights", votes["weights"]}, {"activations", votes["activations"]}, {"tensors", tensors}};
}

}  // namespace dnateq
