// dnateq analyze.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/analyze_job.h"

namespace dnateq {
namespace {

void print(const Analysis& analysis) {
  for (const TensorAnalysis& tensor : analysis.tensors)
    fmt::print("{:<44} {:<11} {:<12} zeros {:>5.1f} %  [{:.4g}, {:.4g}]\n", tensor.layer, tensor.kind, tensor.best,
               100.0 * static_cast<double>(tensor.zeros) / static_cast<double>(std::max<uint64_t>(tensor.values, 1)),
               tensor.minimum, tensor.maximum);
  for (const auto& [kind, votes] :
       {std::pair("weights", &analysis.weights), std::pair("activations", &analysis.activations)})
    for (const auto& [name, count] : *votes) fmt::print("{}: {} tensors follow {}\n", kind, count, name);
}

int run(AnalyzeOptions options, const Session& session) {
  options.threads = session.thread_count();
  const Analysis analysis = run_analyze_job(options, session.progress);
  if (session.json)
    print_json(analysis_document(analysis));
  else
    print(analysis);
  return 0;
}

}  // namespace

Command add_analyze(CLI::App& app, Session& session) {
  const auto options = std::make_shared<AnalyzeOptions>();
  CLI::App* command = app.add_subcommand("analyze", "which distribution each tensor follows");
  command->footer("Example: dnateq analyze resnet.onnx --calibration data.npz -o analysis");
  command->add_option("model", options->model, "model")->required();
  add_data(*command, "--calibration", options->calibration, "unlabelled inputs");
  command->add_option("--only", options->only, "layers whose name matches")->allow_extra_args(false);
  command->add_option("--ignore", options->ignore, "leave layers out whose name matches")->allow_extra_args(false);
  add_ignored(*command, options->ignore_names, options->ignore_types);
  command->add_option("-o", options->directory, "folder for analysis.json");
  add_common(*command, session);
  return {command, [options](const Session& own) { return run(*options, own); }};
}

}  // namespace dnateq
