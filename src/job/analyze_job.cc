#include "job/analyze_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <openvino/openvino.hpp>

#include "calibrate/measure.h"
#include "core/atomic_file.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "job/inputs.h"
#include "job/output_folder.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// An analysis.json is replaced where analyze wrote it: its keys say so.
void refuse_foreign_analysis(const fs::path& directory) {
  const fs::path file = directory / "analysis.json";
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(file, ignored))) return;
  if (fs::is_regular_file(fs::symlink_status(file, ignored))) {
    std::ifstream stream(file, std::ios::binary);
    const Json document = Json::parse(stream, nullptr, false);
    const std::array kinds = {"model", "weights", "activations", "tensors"};
    if (document.is_object() && document.size() == kinds.size() &&
        std::all_of(kinds.begin(), kinds.end(), [&](const char* key) { return document.contains(key); }))
      return;
  }
  throw Error(fmt::format("'{}' is of no analysis, and is not replaced; choose another {}", file.string(),
                          option("directory")));
}

void save(const Analysis& analysis, const fs::path& directory) {
  const OutputFolder folder(directory);
  refuse_foreign_analysis(directory);  // it may have been put there meanwhile
  try {
    std::error_code failed;
    fs::create_directories(directory, failed);
    if (failed)
      throw Error(fmt::format("the folder '{}' cannot be made: {}; choose another {}", directory.string(),
                              failed.message(), option("directory")));
    write_file_atomically(directory / "analysis.json",
                          analysis_document(analysis).dump(1, ' ', false, Json::error_handler_t::replace));
  } catch (const Error&) {
    folder.discard();
    throw;
  }
}

TensorAnalysis analysis_of(std::string layer, std::string tensor, const char* kind, const Histogram& histogram) {
  TensorAnalysis one{std::move(layer),    std::move(tensor),   kind, histogram.count(),           histogram.zeros(),
                     histogram.minimum(), histogram.maximum(), {},   fit_distributions(histogram)};
  one.best = best_of_paper_families(one.fits);
  return one;
}

}  // namespace

Analysis run_analyze_job(const AnalyzeOptions& options, const Progress& progress, const SampleSource& source) {
  if (!options.directory.empty()) refuse_foreign_analysis(options.directory);
  ov::Core core;
  core.add_extension(ops::operation_extensions());  // to tell a result of dnateq from a damaged file
  const PreparedModel prepared = import_model(core, options.model,
                                              {.only = options.only,
                                               .ignore = options.ignore,
                                               .ignore_names = options.ignore_names,
                                               .ignore_types = options.ignore_types,
                                               .ignore_may_miss = options.ignore_may_miss});
  const std::vector<std::string> inputs = input_names(*prepared.model);
  const std::shared_ptr<const Samples> data =
      source ? source(inputs) : open_data(options.calibration, inputs, options.model);
  const Calls calls(*data, *prepared.model);
  const ActivationHistograms activations = measure_activations(core, prepared, calls, options.threads, progress);
  Analysis analysis;
  analysis.model = options.model;
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    Histogram weights;
    weights.add(layer.weight_matrix());
    analysis.tensors.push_back(analysis_of(layer.name, layer.weights()->get_friendly_name(), "weights", weights));
    ++analysis.weights[analysis.tensors.back().best];
    const ActivationMeasurement* entering = activations.entering(l);
    if (entering == nullptr) continue;
    analysis.tensors.push_back(analysis_of(layer.name, entering->tensor, "activations", entering->histogram));
    ++analysis.activations[analysis.tensors.back().best];
  }
  if (!options.directory.empty()) save(analysis, options.directory);
  return analysis;
}

Json analysis_document(const Analysis& analysis) {
  Json tensors = Json::array();
  for (const TensorAnalysis& one : analysis.tensors) {
    Json fits = Json::array();
    for (const DistributionFit& fit : one.fits)
      fits.push_back(
          {{"name", fit.name}, {"rss", fit.rss}, {"ks", fit.ks}, {"parameters", {fit.parameter1, fit.parameter2}}});
    tensors.push_back({{"layer", one.layer},
                       {"tensor", one.tensor},
                       {"kind", one.kind},
                       {"values", one.values},
                       {"zeros", one.zeros},
                       {"minimum", one.minimum},
                       {"maximum", one.maximum},
                       {"best", one.best},
                       {"fits", fits}});
  }
  return {{"model", analysis.model},
          {"weights", analysis.weights},
          {"activations", analysis.activations},
          {"tensors", tensors}};
}

}  // namespace dnateq
