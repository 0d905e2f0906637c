// dnateq eval.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/evaluate_job.h"

namespace dnateq {
namespace {

nlohmann::ordered_json document_of(const EvaluateResult& result) {
  nlohmann::ordered_json document = {{"metric", result.metric}, {"value", result.value}};
  if (result.samples) document["samples"] = *result.samples;
  if (result.reference) {
    document["reference"] = result.reference->value;
    document["confidence"] = result.reference->difference;
  }
  return document;
}

int run(EvaluateOptions options, const Session& session) {
  options.threads = session.thread_count();
  const EvaluateResult result = run_evaluate_job(options, session.progress);
  if (session.json) {
    print_json(document_of(result));
    return 0;
  }
  fmt::print("{} {:.6f}", result.metric, result.value);
  if (const auto& reference = result.reference)
    fmt::print(", reference {:.6f}, difference 95 % within [{:+.4f}, {:+.4f}]", reference->value,
               reference->difference.first, reference->difference.second);
  if (result.samples) fmt::print(", {} samples", *result.samples);
  fmt::print("\n");
  return 0;
}

}  // namespace

Command add_eval(CLI::App& app, Session& session) {
  const auto options = std::make_shared<EvaluateOptions>();
  CLI::App* command = app.add_subcommand("eval", "measure a network on samples");
  command->footer("Example: dnateq eval out/exact/model.xml --data test.npz --labels test.npy --metric top1");
  command->add_option("model", options->model, "any model, quantized or not")->required();
  add_data(*command, "--data", options->data, "samples");
  add_batch_axis(*command, options->data);
  command->add_option("--labels", options->labels, "labels, or `names`");
  command->add_option("--metric", options->metric, "as in quantize");
  command->add_option("--reference", options->reference, "FP32 model for agreement, cosine, kl");
  command->add_option("--output", options->output_name, "output that the metric reads");
  add_common(*command, session);
  return {command, [options](const Session& own) { return run(*options, own); }};
}

}  // namespace dnateq
