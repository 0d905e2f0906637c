// dnateq allocate.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/allocate_job.h"

namespace dnateq {
namespace {

int run(const AllocateOptions& options, const Session& session) {
  const FinishedJob job = run_allocate_job(options, setting_of(session));
  if (!job.note.empty()) print_aside(job.note);
  if (session.json) {
    nlohmann::ordered_json summary = summary_of(job);
    summary["curve"] = job.bits_loss_curve;
    print_json(summary);
  } else {
    fmt::print("bits a tensor, mean   predicted divergence\n");
    for (const auto& [bits, divergence] : job.bits_loss_curve) fmt::print("{:>20.3f}   {:.3g}\n", bits, divergence);
    print_summary(job, options.directory);
  }
  return certificate_status(job, options.require_certificate);
}

}  // namespace

Command add_allocate(CLI::App& app, Session& session) {
  const auto options = std::make_shared<AllocateOptions>();
  CLI::App* command = app.add_subcommand("allocate", "allocate bits again from cached measurements");
  command->footer(
      "Example: dnateq allocate out --model resnet.onnx --calibration images/ --target-bits 3.5/4 -o out35");
  command->add_option("dir", options->from, "result folder of dnateq quantize")->required();
  command->add_option("--model", options->model,
                      "the FP32 network, or the language model's folder: files outside of the result folder, and a "
                      "command, are named again");
  command->add_option("--calibration", options->calibration, "the samples that quantize was given");
  command->add_option("--text", options->text, "the text that quantize was given, of a language model");
  command->add_option("--validation", options->validation, "samples to judge on, where quantize was given any");
  command->add_option("--labels", options->labels, "their labels, where quantize was given any");
  command->add_option("--metric", options->metric,
                      "as in quantize (default: the result's, unless that is command:CMD, which is named again)");
  command->add_option("--target-bits", options->target_bits, "B or W/A");
  add_limit(*command, options->max_drop, options->drop_type, options->max_loss);
  command->add_flag("--require-certificate", options->require_certificate, "as in quantize");
  command->add_option("-o", options->directory, "folder for the new result")->required();
  add_common(*command, session);
  return {command, [options](const Session& own) { return run(*options, own); }};
}

}  // namespace dnateq
