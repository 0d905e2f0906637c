// dnateq bench.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/bench_job.h"

namespace dnateq {
namespace {

int run(BenchOptions options, const Session& session) {
  options.as_table = !session.json;
  options.quiet = session.quiet;
  fmt::print("{}", run_bench_job(options, session.installation, {print_aside, session.goes_on}).text);
  return 0;
}

}  // namespace

Command add_bench(CLI::App& app, Session& session) {
  const auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "measure speed, interleaved, beside FP32 and what others make of it");
  command->footer("Example: dnateq bench model.onnx --result out --peers --calibration data.npz");
  command
      ->add_option("model", options->model,
                   "the FP32 network: ONNX or OpenVINO IR; or the folder of a language model,\n"
                   "whose first token, further tokens and memory are measured")
      ->required();
  command->add_option("--result", options->results, "result folder of dnateq quantize; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--calibration", options->calibration,
                      ".npz, .npy or a folder of .npz: for peers that need it, and its first call is what is timed\n"
                      "(default: random inputs)");
  command->add_flag("--peers", options->peers,
                    "OpenVINO's and ONNX Runtime's INT8 and 4-bit forms of the same network beside; their tools are\n"
                    "installed when first asked for");
  command->add_option("--model-type", options->model_type, "NNCF's scheme for Transformers, in nncf.quantize")
      ->check(CLI::IsMember({"transformer"}));
  command->add_option("--cache", options->cache,
                      "where peers are kept (default: in the first result, or a temporary folder)");
  command->add_option("--shape", options->shapes, "NAME=DIM,...: shape of an input; inputs are random then")
      ->allow_extra_args(false);
  command->add_option("--batch", options->batch, "first axis of every input")->check(CLI::Range(1, 1 << 20));
  command->add_option("--threads", options->threads, "of each network (default: 1)")->check(CLI::Range(1, 1024));
  command->add_option("--seconds", options->seconds, "time to measure, all networks together (default: 20)")
      ->check(CLI::Range(0.0, 86400.0));
  command->add_option("--warm", options->warm, "calls of a network before each that is timed (default: 0)")
      ->check(CLI::Range(0, 1000));
  command->add_flag("--layers", options->layers, "times of each layer of OpenVINO's networks too");
  add_output(*command, session);
  return {command, [options](const Session& own) { return run(*options, own); }};
}

}  // namespace dnateq
