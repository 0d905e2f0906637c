// dnateq quantize.

#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/quantize_job.h"

namespace dnateq {
namespace {

struct Options {
  QuantizeArguments arguments;
  std::string directory;
};

int run(const Options& options, const Session& session) {
  const FinishedJob job = run_quantize_job(options.directory, options.arguments, setting_of(session));
  if (session.json)
    print_json(summary_of(job));
  else
    print_summary(job, options.directory);
  return certificate_status(job, options.arguments.require_certificate);
}

}  // namespace

Command add_quantize(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  QuantizeArguments& arguments = options->arguments;
  CLI::App* command = app.add_subcommand("quantize", "quantize a network");
  command->footer(
      "Example: dnateq quantize resnet.onnx --calibration images/ --mean 123.7,116.3,103.5 "
      "--std 58.4,57.1,57.4 --resize 256 --crop 224 --max-drop 1% -o out");
  command
      ->add_option("model", arguments.model,
                   "ONNX, OpenVINO IR or another format that OpenVINO reads; or the folder of a language model")
      ->required();
  add_data(*command, "--calibration", arguments.calibration, "unlabelled inputs", false);
  add_text(*command, arguments.calibration);
  add_batch_axis(*command, arguments.calibration);
  command->add_option("--validation", arguments.validation, "samples to judge on, in the same form");
  command->add_option("--labels", arguments.labels,
                      "labels of the validation samples: .npy, .npz, text, or `names` for "
                      "images whose names begin with the label");
  command->add_option("--metric", arguments.metric,
                      "top1, top5, agreement, cosine, kl or command:CMD (CMD gets the "
                      "model's path and prints a number, or JSON with one a sample); default top1 with\n"
                      "labels, else cosine");
  command->add_option("--metric-range", arguments.metric_range,
                      "LO,HI: least and greatest score of one sample by command:CMD, for a bound that always holds");
  add_limit(*command, arguments.max_drop, arguments.drop_type, arguments.max_loss);
  command
      ->add_option_function<std::string>(
          "--max-kld",
          [options](const std::string& most) {
            options->arguments.max_drop = most;
            options->arguments.metric = "kl";
          },
          "fewest bits whose mean divergence (KL) from the source is at most this, in nats: --metric kl --max-drop")
      ->excludes("--max-drop", "--max-loss", "--metric", "--drop-type");
  command->add_flag(
      "--require-certificate", arguments.require_certificate,
      "exit status 3 where the samples cannot show --max-drop at 95 %; everything is written all the same");
  command->add_option("--target-bits", arguments.target_bits,
                      "mean stored bits a value: B, or W/A for weights/activations");
  command->add_option("--target-size", arguments.target_size,
                      "size of the weight file instead, e.g. 60MB (a million bytes each)");
  command
      ->add_option(
          "--weight-bits", arguments.weight_bits,
          "the same width for all weights; alone, it leaves the activations' to the strategy, as many bits in\n"
          "all as 4 everywhere")
      ->check(CLI::Range(2, 7));
  command
      ->add_option("--activation-bits", arguments.activation_bits,
                   "the same for activations; alone, it leaves the weights' to the strategy")
      ->check(CLI::Range(2, 8));
  command->add_option("--strategy", arguments.strategy, "optimal, paper, uniform")
      ->check(CLI::IsMember({"optimal", "paper", "uniform"}));
  command->add_option(
      "--thr-weights", arguments.thr_weights,
      "paper: largest relative error (RMAE) of a layer's weights, e.g. 10%, in place of a loss or bits");
  command->add_option("--thr-activations", arguments.thr_activations, "paper: the same of the activations");
  command
      ->add_option("--thr-plans", arguments.thr_plans,
                   "paper: so many further plans of the report's map of thresholds are judged (default: 16; 0 with\n"
                   "a metric of your own)")
      ->check(CLI::Range(0, 64));
  command->add_option("--family", arguments.family, "free, shared-base, beta0, pow2:Q");
  command->add_option(
      "--emit", arguments.emit,
      "standard (any OpenVINO loads it; 8-bit activations), cpu (the same, with our kernels where\n"
      "reading weights takes the time; then it needs libdnateq_openvino.so), exact, a list such as\n"
      "standard,exact, or both: cpu,exact. Default: cpu, and exact beside it where activations of less than\n"
      "8 bits are asked for. Or counting: every product by counting exponents, for\n"
      "--family shared-base or beta0, or --strategy paper; slow, to compare hardware with");
  command
      ->add_option("--expect-rows,--expect-m", arguments.expect_rows,
                   "rows of activations in a call, for cpu models: 1 for decoding token by token\n"
                   "(default: as the calibration samples have them)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag(
      "--no-rotation", arguments.no_rotation,
      "language models: leave the spaces between layers as they are; else they are rotated, which changes\n"
      "nothing but how well weights can be quantized");
  command->add_flag("--weights-only", arguments.weights_only, "leave activations in FP32");
  command
      ->add_option("--target-isa", arguments.target_isa,
                   "any: standard and cpu models compute the same integers on every CPU (default); vnni: on CPUs with\n"
                   "AVX-VNNI or AVX-512 VNNI, and with levels up to 127 everywhere; others are refused")
      ->check(CLI::IsMember({"any", "vnni"}));
  command->add_option("--only", arguments.only, "quantize only layers whose name matches this regular expression")
      ->allow_extra_args(false);
  command->add_option("--ignore", arguments.ignore, "leave layers out whose name matches")->allow_extra_args(false);
  add_ignored(*command, arguments.ignore_names, arguments.ignore_types);
  command
      ->add_option("--untie", arguments.untie,
                   "layers whose name matches get codes of their own, even where another layer has the same weights")
      ->allow_extra_args(false);
  command->add_option("--output", arguments.output_name,
                      "output that the metric reads (default: the first in float32)");
  command->add_option("--budget", arguments.budget, "start no further candidate after this time, e.g. 10m");
  command->add_option("--int8", arguments.int8,
                      "an INT8 model of the same network to judge beside, or none (default: one that NNCF makes\n"
                      "of the calibration data, where dnateq bench --peers has installed it)");
  command->add_option("--seed", arguments.seed, "seed");
  command->add_flag("--resume", arguments.resume, "go on with an interrupted run in the same -o");
  command->add_option("-o", options->directory, "folder for the result")->required();
  add_common(*command, session);
  return {command, [options](const Session& own) { return run(*options, own); },
          "dnateq: stopped; quantize goes on from here with --resume\n"};
}

}  // namespace dnateq
