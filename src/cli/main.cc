// The program `dnateq`: arguments in, one exit status out. What the commands do lies in command_*.cc.
#include <fmt/format.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "core/sentence.h"
#include "dnateq/error.h"

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

std::atomic<const char*> stopped{"dnateq: stopped\n"};
constexpr char kStoppedQuantize[] = "dnateq: stopped; quantize goes on from here with --resume\n";
constexpr unsigned kSecondsToStop = 1;  // then the step under way is not waited for: files are renamed when complete

void on_interrupt(int) {
  if (interrupted.exchange(true)) std::_Exit(130);  // the second Ctrl-C does not wait
  alarm(kSecondsToStop);
}

void on_alarm(int) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, stopped.load(), std::strlen(stopped.load()));
  std::_Exit(130);
}

int fail(const std::string& sentence) {
  fmt::print(stderr, "dnateq: {}\n", dnateq::one_line(sentence));
  return 1;
}

// A full disk behind standard output shows only now.
int check_output(int status) {
  errno = 0;
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written || errno == EPIPE || status != 0) return status;  // a reader such as `head` may have seen enough
  return fail("standard output cannot be written; check the space left where it goes");
}

void add_output(CLI::App* app, dnateq::CommonArguments& common) {
  app->add_flag("--json", common.json, "print one JSON document on standard output");
  app->add_flag("-q,--quiet", common.quiet, "no progress");
}

void add_common(CLI::App* app, dnateq::CommonArguments& common) {
  add_output(app, common);
  app->add_option("--threads", common.threads, "threads to use; the result does not depend on it (default: all)")
      ->check(CLI::Range(0, 1024));
}

void add_data(CLI::App* app, const std::string& flag, dnateq::DataArguments& data, const std::string& what,
              bool required = true) {
  app->add_option(flag, data.path, what + ": .npz, .npy, a folder of .npz (one call each), a folder or .tar of images")
      ->required(required);
  app->add_option("--mean", data.mean, "images: subtracted from 0...255 pixels, e.g. 123.7,116.3,103.5");
  app->add_option("--std", data.std, "images: divides afterwards");
  app->add_option("--resize", data.resize, "images: shorter side, antialiased bilinear")->check(CLI::Range(0, 16384));
  app->add_option("--crop", data.crop, "images: centre crop")->check(CLI::Range(0, 16384));
  app->add_option("--color", data.color, "images")->check(CLI::IsMember({"rgb", "bgr", "gray"}));
  app->add_option("--layout", data.layout, "images")->check(CLI::IsMember({"nchw", "nhwc"}));
}

// The three texts are left as they are written.
void add_limit(CLI::App* app, std::string& max_drop, std::string& drop_type, std::string& max_loss) {
  app->add_option("--max-drop", max_drop, "fewest bits whose loss is at most this, e.g. 0.01 or 1%");
  app->add_option("--drop-type", drop_type,
                  "how --max-drop counts: absolute, in the metric's own units, so that 1% of top1 is one point\n"
                  "(default), or relative to FP32's score")
      ->check(CLI::IsMember({"absolute", "relative"}));
  app->add_option("--max-loss", max_loss,
                  "the older name: absolute for the metrics that have names here, relative for command:CMD");
}

void add_ignored(CLI::App* app, std::vector<std::string>& names, std::vector<std::string>& types) {
  app->add_option("--ignore-name", names, "leave the layer of this whole name out")->allow_extra_args(false);
  app->add_option("--ignore-type", types, "leave layers of this operation out, e.g. MatMul, Convolution or Gather")
      ->allow_extra_args(false);
}

void add_batch_axis(CLI::App* app, dnateq::DataArguments& data) {
  app->add_option("--batch-axis", data.batch_axis,
                  "axis of the model's inputs along which the calls of a folder of .npz hold several samples\n"
                  "(default: the first, where the network shows that its samples do not see each other)")
      ->check(CLI::Range(0, 15));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace dnateq;
  CLI::App app{"dnateq: post-training quantization of trained networks to 3-6 bits a value"};
  app.set_version_flag("--version", "dnateq 0.1.0");
  app.require_subcommand(1);
  CommonArguments common;

  QuantizeArguments quantize;
  std::string quantize_directory;
  CLI::App* command = app.add_subcommand("quantize", "quantize a network");
  command->footer(
      "Example: dnateq quantize resnet.onnx --calibration images/ --mean 123.7,116.3,103.5 "
      "--std 58.4,57.1,57.4 --resize 256 --crop 224 --max-drop 1% -o out");
  command->add_option("model", quantize.model, "ONNX, OpenVINO IR or another format that OpenVINO reads")->required();
  add_data(command, "--calibration", quantize.calibration, "unlabelled inputs");
  add_batch_axis(command, quantize.calibration);
  command->add_option("--validation", quantize.validation, "samples to judge on, in the same form");
  command->add_option("--labels", quantize.labels,
                      "labels of the validation samples: .npy, .npz, text, or `names` for "
                      "images whose names begin with the label");
  command->add_option("--metric", quantize.metric,
                      "top1, top5, agreement, cosine, kl or command:CMD (CMD gets the "
                      "model's path and prints a number, or JSON with one a sample); default top1 with\n"
                      "labels, else cosine");
  command->add_option("--metric-range", quantize.metric_range,
                      "LO,HI: least and greatest score of one sample by command:CMD, for a bound that always holds");
  add_limit(command, quantize.max_drop, quantize.drop_type, quantize.max_loss);
  command->add_flag(
      "--require-certificate", quantize.require_certificate,
      "exit status 3 where the samples cannot show --max-drop at 95 %; everything is written all the same");
  command->add_option("--target-bits", quantize.target_bits,
                      "mean stored bits a value: B, or W/A for weights/activations");
  command
      ->add_option(
          "--weight-bits", quantize.weight_bits,
          "the same width for all weights; alone, it leaves the activations' to the strategy, as many bits in\n"
          "all as 4 everywhere")
      ->check(CLI::Range(2, 7));
  command
      ->add_option("--activation-bits", quantize.activation_bits,
                   "the same for activations; alone, it leaves the weights' to the strategy")
      ->check(CLI::Range(2, 8));
  command->add_option("--strategy", quantize.strategy, "optimal, paper, uniform")
      ->check(CLI::IsMember({"optimal", "paper", "uniform"}));
  command->add_option(
      "--thr-weights", quantize.thr_weights,
      "paper: largest relative error (RMAE) of a layer's weights, e.g. 10%, in place of a loss or bits");
  command->add_option("--thr-activations", quantize.thr_activations, "paper: the same of the activations");
  command
      ->add_option("--thr-plans", quantize.thr_plans,
                   "paper: so many further plans of the report's map of thresholds are judged (default: 16; 0 with\n"
                   "a metric of your own)")
      ->check(CLI::Range(0, 64));
  command->add_option("--family", quantize.family, "free, shared-base, beta0, pow2:Q");
  command->add_option(
      "--emit", quantize.emit,
      "standard (any OpenVINO loads it; 8-bit activations), cpu (the same, with our kernels where\n"
      "reading weights takes the time; then it needs libdnateq_openvino.so), exact, a list such as\n"
      "standard,exact, or both: cpu,exact. Default: cpu, and exact beside it where activations of less than\n"
      "8 bits are asked for. Or counting: every product by counting exponents, for\n"
      "--family shared-base or beta0, or --strategy paper; slow, to compare hardware with");
  command
      ->add_option("--expect-rows,--expect-m", quantize.expect_rows,
                   "rows of activations in a call, for cpu models: 1 for decoding token by token\n"
                   "(default: as the calibration samples have them)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--weights-only", quantize.weights_only, "leave activations in FP32");
  command
      ->add_option("--target-isa", quantize.target_isa,
                   "any: standard and cpu models compute the same integers on every CPU (default); vnni: on CPUs with\n"
                   "AVX-VNNI or AVX-512 VNNI, and with levels up to 127 everywhere; others are refused")
      ->check(CLI::IsMember({"any", "vnni"}));
  command->add_option("--only", quantize.only, "quantize only layers whose name matches this regular expression")
      ->allow_extra_args(false);
  command->add_option("--ignore", quantize.ignore, "leave layers out whose name matches")->allow_extra_args(false);
  add_ignored(command, quantize.ignore_names, quantize.ignore_types);
  command
      ->add_option("--untie", quantize.untie,
                   "layers whose name matches get codes of their own, even where another layer has the same weights")
      ->allow_extra_args(false);
  command->add_option("--output", quantize.output_name, "output that the metric reads (default: the first)");
  command->add_option("--budget", quantize.budget, "start no further candidate after this time, e.g. 10m");
  command->add_option("--int8", quantize.int8,
                      "an INT8 model of the same network to judge beside, or none (default: one that NNCF makes\n"
                      "of the calibration data, where dnateq bench --peers has installed it)");
  command->add_option("--seed", quantize.seed, "seed");
  command->add_flag("--resume", quantize.resume, "go on with an interrupted run in the same -o");
  command->add_option("-o", quantize_directory, "folder for the result")->required();
  add_common(command, common);

  AllocateArguments allocate;
  command = app.add_subcommand("allocate", "allocate bits again from cached measurements");
  command->footer(
      "Example: dnateq allocate out --model resnet.onnx --calibration images/ --target-bits 3.5/4 -o out35");
  command->add_option("dir", allocate.from, "result folder of dnateq quantize")->required();
  command->add_option("--model", allocate.model,
                      "the FP32 network: files outside of the result folder, and a command, are named again");
  command->add_option("--calibration", allocate.calibration, "the samples that quantize was given");
  command->add_option("--validation", allocate.validation, "samples to judge on, where quantize was given any");
  command->add_option("--labels", allocate.labels, "their labels, where quantize was given any");
  command->add_option("--metric", allocate.metric,
                      "as in quantize (default: the result's, unless that is command:CMD, which is named again)");
  command->add_option("--target-bits", allocate.target_bits, "B or W/A");
  add_limit(command, allocate.max_drop, allocate.drop_type, allocate.max_loss);
  command->add_flag("--require-certificate", allocate.require_certificate, "as in quantize");
  command->add_option("-o", allocate.directory, "folder for the new result")->required();
  add_common(command, common);

  EvalArguments eval;
  command = app.add_subcommand("eval", "measure a network on samples");
  command->footer("Example: dnateq eval out/exact/model.xml --data test.npz --labels test.npy --metric top1");
  command->add_option("model", eval.model, "any model, quantized or not")->required();
  add_data(command, "--data", eval.data, "samples");
  add_batch_axis(command, eval.data);
  command->add_option("--labels", eval.labels, "labels, or `names`");
  command->add_option("--metric", eval.metric, "as in quantize");
  command->add_option("--reference", eval.reference, "FP32 model for agreement, cosine, kl");
  command->add_option("--output", eval.output_name, "output that the metric reads");
  add_common(command, common);

  AnalyzeArguments analyze;
  command = app.add_subcommand("analyze", "which distribution each tensor follows");
  command->footer("Example: dnateq analyze resnet.onnx --calibration data.npz -o analysis");
  command->add_option("model", analyze.model, "model")->required();
  add_data(command, "--calibration", analyze.calibration, "unlabelled inputs");
  command->add_option("--only", analyze.layers.only, "layers whose name matches")->allow_extra_args(false);
  command->add_option("--ignore", analyze.layers.ignore, "leave layers out whose name matches")
      ->allow_extra_args(false);
  add_ignored(command, analyze.layers.ignore_names, analyze.layers.ignore_types);
  command->add_option("-o", analyze.directory, "folder for analysis.json");
  add_common(command, common);

  std::string inspect_path, report_path, ram_path;
  command = app.add_subcommand("inspect", "list the layers of a model or of a result");
  command->footer("Example: dnateq inspect out");
  command->add_option("path", inspect_path, "model file or result folder")->required();
  add_common(command, common);
  command = app.add_subcommand("report", "write DIR/report.html again");
  command->footer("Example: dnateq report out");
  command->add_option("dir", report_path, "result folder")->required();
  add_common(command, common);

  BenchArguments bench;
  command = app.add_subcommand("bench", "measure speed, interleaved, beside FP32 and what others make of it");
  command->footer("Example: dnateq bench model.onnx --result out --peers --calibration data.npz");
  command->add_option("model", bench.model, "the FP32 network: ONNX or OpenVINO IR")->required();
  command->add_option("--result", bench.results, "result folder of dnateq quantize; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--calibration", bench.calibration,
                      ".npz, .npy or a folder of .npz: for peers that need it, and its first call is what is timed\n"
                      "(default: random inputs)");
  command->add_flag("--peers", bench.peers,
                    "OpenVINO's and ONNX Runtime's INT8 and 4-bit forms of the same network beside; their tools are\n"
                    "installed when first asked for");
  command->add_option("--model-type", bench.model_type, "NNCF's scheme for Transformers, in nncf.quantize")
      ->check(CLI::IsMember({"transformer"}));
  command->add_option("--cache", bench.cache,
                      "where peers are kept (default: in the first result, or a temporary folder)");
  command->add_option("--shape", bench.shapes, "NAME=DIM,...: shape of an input; inputs are random then")
      ->allow_extra_args(false);
  command->add_option("--batch", bench.batch, "first axis of every input")->check(CLI::Range(1, 1 << 20));
  command->add_option("--threads", bench.threads, "of each network (default: 1)")->check(CLI::Range(1, 1024));
  command->add_option("--seconds", bench.seconds, "time to measure, all networks together (default: 20)")
      ->check(CLI::Range(0.0, 86400.0));
  command->add_option("--warm", bench.warm, "calls of a network before each that is timed (default: 0)")
      ->check(CLI::Range(0, 1000));
  command->add_flag("--layers", bench.layers, "times of each layer of OpenVINO's networks too");
  add_output(command, common);

  ExplainArguments explain;
  command = app.add_subcommand("explain", "list each layer's kernel, why faster ones were refused, and what binds it");
  command->footer("Example: dnateq explain out --shape input_ids=1,16 --shape attention_mask=1,16");
  command->add_option("path", explain.path, "model file or result folder")->required();
  command
      ->add_option("--expect-rows,--expect-m", explain.expect_rows,
                   "rows of activations where the model leaves them open (default: 1)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--shape", explain.shapes, "NAME=DIM,...: shape of an input")->allow_extra_args(false);
  command->add_option("--threads", explain.threads, "of the network (default: 1)")->check(CLI::Range(1, 1024));
  add_output(command, common);

  SimulateArguments simulate;
  command =
      app.add_subcommand("simulate", "cycles, bytes, energy and area of a network on accelerators in stacked memory");
  command->footer(
      "Examples: dnateq simulate resnet50 -o sim\n"
      "          dnateq simulate out --model resnet.onnx --sweep memory.access_pj_per_bit=1:14:1 -o sim\n"
      "          dnateq simulate model.onnx --bits 4/5 --calibration data.npz -o sim");
  command
      ->add_option(
          "network", simulate.network,
          "alexnet, resnet50 or transformer (built-in layer lists), a result folder of dnateq quantize or its\n"
          "recipe, or a model file")
      ->required();
  command
      ->add_option(
          "--design", simulate.designs,
          "counting, counting-beta0, shift, decode; may be repeated (default: all that are possible); int8 is\n"
          "always beside")
      ->allow_extra_args(false);
  command->add_option("--bits", simulate.bits,
                      "stored bits a value (sign included), B or W/A for weights/activations: whole numbers for a\n"
                      "model; means for a built-in list (default there: the paper's averages)");
  command
      ->add_option("--bits-are", simulate.bits_are,
                   "built-in lists: what the mean bits count, stored or exponent (a sign on top); default: stored,\n"
                   "and the paper's averages are shown under both readings")
      ->check(CLI::IsMember({"stored", "exponent"}));
  command->add_option("--zeros", simulate.zeros,
                      "built-in lists: share of zeros in weights/activations, as Z or W/A (default: 0)");
  command->add_option("--batch", simulate.batch, "first axis of every input (default: 1)")
      ->check(CLI::Range(1, 1 << 20));
  command
      ->add_option("--shape", simulate.shapes,
                   "NAME=DIM,...: shape of a model's input; NAME*=... of all inputs whose names begin so")
      ->allow_extra_args(false);
  command->add_option("--model", simulate.model,
                      "the FP32 network of a result or recipe, which is not looked for where those say it lies");
  add_data(command, "--calibration", simulate.calibration,
           "a model's inputs, to measure zeros and exponents of activations on", false);
  add_batch_axis(command, simulate.calibration);
  command->add_option("--config", simulate.config, "the machine, TOML (default: the built-in one)");
  command->add_option("--energies", simulate.energies, "energy table, TOML (default: the configuration's)");
  command->add_option("--set", simulate.settings, "KEY=NUMBER: one number of the machine")->allow_extra_args(false);
  command
      ->add_option(
          "--sweep", simulate.sweeps,
          "KEY=FROM:TO:STEP or KEY=VALUE,VALUE,...: every value; repeated: every combination. KEY is a number\n"
          "of the machine or, for built-in lists, bits, weight_bits, activation_bits, weight_zeros,\n"
          "activation_zeros or batch")
      ->allow_extra_args(false);
  command->add_option("-o", simulate.directory, "folder for result.json, layers.csv and report.html");
  add_common(command, common);
  command = app.add_subcommand("measure-ram", "")->group("");
  command->add_option("model", ram_path)->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return check_output(app.exit(error));  // --help, --version
    const auto commands = app.get_subcommands();
    if (commands.empty() && argc > 1 && argv[1][0] != '-')
      return fail(fmt::format("there is no command '{}'; see dnateq --help", argv[1]));
    return fail(fmt::format("{}; see dnateq {}--help", plain_sentence(error.what()),
                            commands.empty() ? "" : commands[0]->get_name() + " "));
  }
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGALRM, on_alarm);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is an error like a full disk
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                  static_cast<size_t>(thread_count(common)));
  try {
    ProgressBar bar(common.quiet, interrupted);
    common.progress = bar.callback();
    int status = 0;
    if (app.got_subcommand("quantize")) {
      stopped = kStoppedQuantize;
      status = run_quantize(quantize, quantize_directory, common);
    }
    if (app.got_subcommand("allocate")) status = run_allocate(allocate, common);
    if (app.got_subcommand("eval")) status = run_eval(eval, common);
    if (app.got_subcommand("analyze")) status = run_analyze(analyze, common);
    if (app.got_subcommand("inspect")) status = run_inspect(inspect_path, common);
    if (app.got_subcommand("report")) status = run_report(report_path, common);
    if (app.got_subcommand("bench")) status = run_bench(bench, common);
    if (app.got_subcommand("explain")) status = run_explain(explain, common);
    if (app.got_subcommand("simulate")) status = run_simulate(simulate, common);
    if (app.got_subcommand("measure-ram")) status = run_ram(ram_path);
    return check_output(status);
  } catch (const Cancelled&) {
    fmt::print(stderr, "{}", stopped.load());
    return 130;
  } catch (const Error& error) {
    return fail(error.what());
  } catch (const std::bad_alloc&) {
    return fail("out of memory; give fewer calibration samples or smaller inputs");
  } catch (const std::exception& error) {
    return fail(plain_sentence(error.what()));
  }
}
