// dnateq eval.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/evaluate_job.h"
#include "job/evaluate_language_job.h"

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

int run_on_text(const EvaluateOptions& options, const Session& session) {
  const EvaluateLanguageResult result = run_evaluate_language_job(
      {options.model, options.reference, options.data, session.thread_count()}, session.progress);
  const auto& reference = result.reference;
  if (session.json) {
    print_json(evaluation_document(result));
    return 0;
  }
  const auto line = [](const char* name, const TokenMean& mean, double unit, const char* behind) {
    fmt::print("{:<22} {:.4f}{}, 95 % within [{:.4f}, {:.4f}]\n", name, unit * mean.value, behind,
               unit * mean.interval.first, unit * mean.interval.second);
  };
  fmt::print("{} windows of {} tokens, each read from its beginning; {} tokens predicted\n", result.windows,
             result.context, result.tokens);
  line("perplexity", result.perplexity, 1, "");
  if (!reference) return 0;
  line("the reference's", reference->perplexity, 1, "");
  line("mean KL to it", reference->kl, 1, " nats");
  fmt::print("{:<22} {:.4f} nats, and 99.9 % {:.4f}\n", "99 % of tokens below", reference->kl_99, reference->kl_999);
  line("same likeliest token", reference->same_top, 100, " %");
  return 0;
}

int run_eval(EvaluateOptions options, const Session& session) {
  if (!options.data.text.empty()) return run_on_text(options, session);
  options.threads = session.thread_count();
  const EvaluateResult result = run_evaluate_job(options, session.progress);
  if (!result.note.empty() && !session.quiet) print_aside(result.note);
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
  add_data(*command, "--data", options->data, "samples", false);
  add_text(*command, options->data);
  add_batch_axis(*command, options->data);
  command->add_option("--labels", options->labels, "labels, or `names`");
  command->add_option("--metric", options->metric, "as in quantize");
  command->add_option("--reference", options->reference, "FP32 model for agreement, cosine, kl");
  command->add_option("--output", options->output_name, "output that the metric reads (default: the first in float32)");
  add_common(*command, session);
  return {command, [options](const Session& own) { return run_eval(*options, own); }};
}

}  // namespace dnateq
