// dnateq quantize, allocate, report.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>
#include <vector>

#include "cli/commands.h"
#include "cli/scripts.h"
#include "core/atomic_file.h"
#include "core/sentence.h"
#include "dnateq/error.h"
#include "dnateq/recipe.h"
#include "job/quantize_job.h"
#include "job/result_folder.h"
#include "job/result_writer.h"
#include "report/report.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

void print_emission(const EmissionResult& e) {
  fmt::print("\n{:<12} {:.4f}: loses {:.4f}", e.emission, e.score, e.loss);
  if (e.samples > 0) fmt::print(", 95 % within [{:.4f}, {:.4f}]", e.low, e.high);
  if (std::isfinite(e.upper_bound)) fmt::print("; at most {:.4f} at 95 % ({})", e.upper_bound, e.bound_method);
  if (e.emission != "exact" && e.emission != "counting") fmt::print("; 8-bit activations");
}

void print_summary(const QuantizeResult& result, const std::filesystem::path& directory) {
  const Recipe& recipe = result.recipe;
  fmt::print("{:<44} {:<16} {:>9} {:>4} {:>4} {:>8} {:>8}\n", "layer", "type", "weights", "w", "a", "SQNR w",
             "SQNR out");
  for (const LayerRecipe& layer : recipe.layers) {
    const std::string name = layer.name.size() > 44 ? "..." + layer.name.substr(layer.name.size() - 41) : layer.name;
    const std::string activation =
        layer.activations ? fmt::format("{}", layer.activations->code.stored_bits) : std::string("-");
    fmt::print("{:<44} {:<16} {:>9} {:>4} {:>4} {:>5.1f} dB {}\n", name, layer.type, layer.weights.elements,
               layer.weights.code.stored_bits, activation, layer.weights.sqnr_db,
               layer.output_sqnr_db < 119 ? fmt::format("{:>5.1f} dB", layer.output_sqnr_db) : "       -");
  }
  for (const UnquantizedLayer& layer : recipe.unquantized)
    fmt::print("{:<44} {:<16} {:>9}  FP32: {}\n", layer.name, layer.type, layer.weight_elements, layer.reason);
  const BitSummary weights = weight_bits(recipe), activations = activation_bits(recipe);
  fmt::print("\nweights      {:.3f} stored bits a value ({:.1f}x smaller than FP32)\n", weights.stored_bits,
             weights.compression_vs_fp32);
  if (activations.stored_bits > 0)
    fmt::print("activations  {:.3f} stored bits a value that enters a quantized layer\n", activations.stored_bits);
  if (recipe.passed.values > 0)
    fmt::print("             {:.3f} over all {} values that operations of {} pass on, {:.1f} % of them in FP32 at 32\n",
               recipe.passed.mean_bits, recipe.passed.values, recipe.passed.emission,
               100 * share_in_float(recipe.passed));
  fmt::print("size         FP32 {}, INT8 {}{}", human_bytes(result.bytes_fp32), human_bytes(result.bytes_int8),
             result.int8_is_estimate ? " (estimate)" : "");
  for (const EmissionResult& e : recipe.emissions)
    fmt::print("\non disk      {} {}: {:.3f} bits for each of {} parameters; its graph {}", e.emission,
               human_bytes(e.bytes), e.bits_on_disk, recipe.parameters, human_bytes(e.graph_bytes));
  if (const auto& m = recipe.metric) {
    fmt::print("\n{:<12} FP32 {:.4f}", m->name, m->reference);
    if (result.int8_metric) fmt::print(", INT8 {:.4f}", *result.int8_metric);
    if (m->samples > 0) fmt::print("; {} samples", m->samples);
    fmt::print(" ({}{})", m->samples_from, m->held_out ? ", never seen by the search" : "");
    if (m->drop_type == "relative") fmt::print("\n             what is lost below is a share of FP32's score");
    for (const EmissionResult& emission : recipe.emissions) print_emission(emission);
    if (!m->verdict.empty()) fmt::print("\nlimit        {:.4g}: {}", m->limit, m->verdict);
  }
  if (recipe.split && !recipe.split->note.empty()) fmt::print("\nnote         {}", recipe.split->note);
  fmt::print("\ntime         {:.1f} s\nreport       {}\n", result.seconds, (directory / "report.html").string());
}

// An INT8 model of the same network to compare with: the one that was given; else, where NNCF is installed, one that
// NNCF makes of the same calibration data, in DIR/int8 by way of WORK/int8. Nothing if it cannot be made: the result
// does not depend on it.
std::filesystem::path int8_peer(const QuantizeArguments& arguments, const PreparedModel& prepared,
                                const Samples& calibration, const std::filesystem::path& directory,
                                const std::filesystem::path& work, bool quiet) {
  if (arguments.int8 == "none") return {};
  if (!arguments.int8.empty()) return arguments.int8;
  const std::filesystem::path scripts = find_scripts(), data = arguments.calibration.path;
  std::error_code failed;
  bool arrays = data.extension() == ".npz";
  for (const auto& entry : std::filesystem::directory_iterator(data, failed))
    arrays = arrays || entry.path().extension() == ".npz";
  if (scripts.empty() || !arrays || access(peers_python(scripts).c_str(), X_OK) != 0) return {};
  // Written last: a model that was not finished, or is of another network or other data, is made again.
  const std::string key = int8_key(prepared.fingerprint, calibration.fingerprint());
  for (const std::filesystem::path& made : {work / "int8", directory / "int8"}) {
    if (int8_made_of(made.parent_path()) == key) return made / "model.xml";
  }
  const std::filesystem::path folder = work / "int8", model = folder / "model.xml", log = folder / "nncf.log";
  const std::filesystem::path key_file = folder / "made_of";
  std::filesystem::create_directories(folder, failed);
  std::error_code ignored;
  std::filesystem::remove(key_file, ignored);
  if (!quiet) fmt::print(stderr, "dnateq: NNCF makes an INT8 model to compare with (--int8 none: without)\n");
  std::vector<std::string> command = {peers_python(scripts).string(),
                                      (scripts / "bench" / "nncf_int8.py").string(),
                                      arguments.model,
                                      "--calibration",
                                      data.string(),
                                      "-o",
                                      model.string()};
  const bool attention = std::any_of(prepared.unquantized.begin(), prepared.unquantized.end(), [](const auto& layer) {
    return layer.type == "MatMul" && layer.weight_elements == 0;
  });
  if (attention) command.insert(command.end(), {"--model-type", "transformer"});
  if (!failed && run_to_end(command, log)) {
    write_file_atomically(key_file, key);
    return model;
  }
  if (!quiet)
    fmt::print(stderr, "dnateq: it could not be made; {} says why\n", (directory / "int8" / "nncf.log").string());
  return {};
}

JobHooks hooks_for(const QuantizeArguments& arguments, const std::filesystem::path& directory,
                   const CommonArguments& common) {
  JobHooks hooks;
  hooks.open = [&arguments](const std::vector<std::string>& inputs) {
    JobData data;
    data.calibration = open_data(arguments.calibration, inputs);
    DataArguments validation = arguments.calibration;
    if (!arguments.validation.empty()) {
      validation.path = arguments.validation;
      data.validation = open_data(validation, inputs);
    }
    data.labels = open_labels(arguments.labels, validation);
    return data;
  };
  hooks.int8_model = [&arguments, directory, quiet = common.quiet](
                         const PreparedModel& prepared, const Samples& calibration, const std::filesystem::path& work) {
    return int8_peer(arguments, prepared, calibration, directory, work, quiet);
  };
  std::error_code unknown;
  hooks.program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return hooks;
}

// The exit status of a job whose files are all written: 3 where a certificate was required and is missing.
int status_of(const FinishedJob& job, bool require_certificate) {
  constexpr int kNotCertified = 3;
  const std::optional<MetricResult>& metric = job.result.recipe.metric;
  if (!require_certificate || (metric && metric->certified)) return 0;
  fmt::print(stderr, "dnateq: the loss limit is {}; everything is written, and --require-certificate asks for more\n",
             metric && !metric->verdict.empty() ? metric->verdict : "not certified");
  return kNotCertified;
}

// Takes files and commands from the command line alone: those that the folder notes are whatever its maker wrote there.
// Throws Error naming all that are missing.
QuantizeArguments name_again(const AllocateArguments& given, const QuantizeArguments& noted) {
  QuantizeArguments again = arguments_of_result(given.from);
  std::vector<std::string> missing;
  const auto take = [&](const char* option, const std::string& mine, const std::string& theirs, std::string& to) {
    if (!mine.empty())
      to = mine;
    else if (to != theirs)
      missing.push_back(fmt::format("{} ('{}' there)", option, theirs));
  };
  take("--model", given.model, noted.model, again.model);
  take("--calibration", given.calibration, noted.calibration.path, again.calibration.path);
  take("--validation", given.validation, noted.validation, again.validation);
  take("--labels", given.labels, noted.labels, again.labels);
  take("--metric", given.metric, noted.metric, again.metric);
  if (!missing.empty())
    throw Error(
        fmt::format("'{}' notes files or commands outside of itself, which are taken from the command line alone; give "
                    "{}",
                    given.from, fmt::join(missing, ", ")));
  return again;
}

// Why losses of the two results cannot be compared; empty: they can.
std::string incomparable(const QuantizeArguments& again, const QuantizeArguments& noted) {
  const auto metric = [](const QuantizeArguments& a) {
    return !a.metric.empty() ? a.metric : a.labels.empty() ? std::string("cosine") : std::string("top1");
  };
  if (metric(again) != metric(noted))
    return fmt::format("was judged by the metric '{}', and this by '{}', so that their losses cannot be compared",
                       metric(noted), metric(again));
  const auto differ = [](const std::string& mine, const std::string& theirs) {
    return mine != theirs && (mine.empty() || theirs.empty() || std::filesystem::absolute(mine) != theirs);
  };
  if (differ(again.validation, noted.validation) || differ(again.labels, noted.labels))
    return "was judged on validation samples or labels of another path, so that their losses can be compared only if "
           "the files are the same";
  return {};
}

}  // namespace

int run_quantize(const QuantizeArguments& arguments, const std::string& directory, const CommonArguments& common) {
  const QuantizeOptions options = options_of(arguments, thread_count(common), common.progress,
                                             !arguments.validation.empty(), !arguments.labels.empty());
  const FinishedJob job = run_quantize_job(directory, arguments, options, hooks_for(arguments, directory, common));
  if (common.json)
    print_json(summary_of(job));
  else
    print_summary(job.result, directory);
  return status_of(job, arguments.require_certificate);
}

int run_allocate(const AllocateArguments& arguments, const CommonArguments& common) {
  const QuantizeArguments noted = noted_arguments(arguments.from);
  if (noted.calibration.path.empty())
    throw Error(
        fmt::format("'{}' was calibrated by a Python program, whose samples are not kept; use dnateq.allocate there",
                    arguments.from));
  const bool limit = !arguments.max_drop.empty() || !arguments.max_loss.empty();
  if (arguments.target_bits.empty() != limit) throw Error("give either --target-bits or --max-drop");
  QuantizeArguments again = name_again(arguments, noted);
  again.target_bits = arguments.target_bits;
  again.max_drop = arguments.max_drop;
  again.drop_type = arguments.drop_type;
  again.max_loss = arguments.max_loss;
  again.require_certificate = arguments.require_certificate;
  const QuantizeOptions options =
      options_of(again, thread_count(common), common.progress, !again.validation.empty(), !again.labels.empty());
  const FinishedJob job = run_allocate_job(arguments.from, arguments.directory, again, options,
                                           hooks_for(again, arguments.directory, common));
  if (const std::string why = incomparable(again, noted); !why.empty())
    fmt::print(stderr, "dnateq: {}\n", one_line(fmt::format("'{}' {}", arguments.from, why)));
  if (common.json) {
    Json summary = summary_of(job);
    summary["curve"] = job.result.bits_loss_curve;
    print_json(summary);
    return status_of(job, arguments.require_certificate);
  }
  fmt::print("bits a tensor, mean   predicted divergence\n");
  for (const auto& [bits, divergence] : job.result.bits_loss_curve)
    fmt::print("{:>20.3f}   {:.3g}\n", bits, divergence);
  print_summary(job.result, arguments.directory);
  return status_of(job, arguments.require_certificate);
}

int run_report(const std::string& directory, const CommonArguments& common) {
  const std::filesystem::path folder = directory;
  write_file_atomically(folder / "report.html", render_html(load_report_input(folder)));
  if (common.json)
    print_json({{"report", (folder / "report.html").string()}});
  else
    fmt::print("{}\n", (folder / "report.html").string());
  return 0;
}

}  // namespace dnateq
