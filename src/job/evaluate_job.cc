#include "job/evaluate_job.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <openvino/openvino.hpp>

#include "core/option.h"
#include "dnateq/error.h"
#include "graph/batch_axis.h"
#include "graph/calls.h"
#include "graph/evaluate.h"
#include "graph/import.h"
#include "job/inputs.h"
#include "job/language_folder.h"
#include "ops/ops.h"
#include "quantize/external_metric.h"

namespace dnateq {
namespace {

struct Loaded {
  ov::Core core;
  std::shared_ptr<ov::Model> model;

  explicit Loaded(const std::string& file) {
    core.add_extension(ops::operation_extensions());
    const std::filesystem::path path = model_file_of(file);
    model = read_stateless(core, path);
  }
  OutputValues run(const std::string& file, const Samples& data, const EvaluateOptions& options,
                   const Progress& progress, const char* stage) {
    return run_output(core, model, Calls(data, *model), find_output(*model, options.output_name, file), options.threads,
                      progress, stage);
  }
};

EvaluateResult ask_command(const EvaluateOptions& options, const std::string& name) {
  if (!std::filesystem::is_regular_file(options.model))
    throw Error(fmt::format("there is no model file '{}'", options.model));
  const ExternalScore said = run_command(name.substr(name.find(':') + 1), options.model);
  EvaluateResult result{to_string(Metric::kCommand), said.score, {}, {}, {}};
  if (!said.per_sample.empty()) result.samples = said.per_sample.size();
  return result;
}

}  // namespace

EvaluateResult run_evaluate_job(const EvaluateOptions& options, const Progress& progress) {
  const std::string name = !options.metric.empty() ? options.metric : options.labels.empty() ? "cosine" : "top1";
  const Metric metric = metric_from_string(name);
  if (metric == Metric::kCommand) return ask_command(options, name);
  if (options.data.path.empty())
    throw Error(fmt::format("there is nothing to run '{}' on; give {}, or {} for a language model", options.model,
                            option("data"), option("text")));
  Loaded own(options.model);
  const std::shared_ptr<const Samples> data = as_samples(
      own.core, own.model, open_data(options.data, input_names(*own.model), options.model), batch_axis(options.data));
  const std::vector<int64_t> labels = open_labels(options.labels, options.data);
  const bool needs_labels = metric == Metric::kTop1 || metric == Metric::kTop5;
  if (needs_labels && options.labels.empty())
    throw Error(fmt::format("{} needs {}", option("metric", name), option("labels")));
  if (!needs_labels && options.reference.empty())
    throw Error(fmt::format("{} needs {}", option("metric", name), option("reference")));
  const OutputValues got = own.run(options.model, *data, options, progress, "running");
  const bool compares = !options.reference.empty();
  OutputValues reference = got;
  if (compares)
    reference = Loaded(options.reference).run(options.reference, *data, options, progress, "running reference");
  const std::vector<double> scores = score(metric, got, reference, labels);
  EvaluateResult result{to_string(metric), mean(scores), scores.size(), {}, {}};
  if (options.output_name.empty()) result.note = note_on_default_output(*own.model);
  if (compares) {
    const std::vector<double> reference_scores = score(metric, reference, reference, labels);
    result.reference = {mean(reference_scores), paired_interval(scores, reference_scores, 1)};
  }
  return result;
}

}  // namespace dnateq
