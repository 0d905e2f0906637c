// dnateq simulate: what its document says, as tables.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/simulate_job.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

// "1.53x"; "-" where there is no figure.
std::string times(const Json& ratio) {
  return ratio.is_number() ? fmt::format("{:.2f}x", ratio.get<double>()) : std::string("-");
}

std::string bits(const Json& number) {
  return number.is_number() ? fmt::format("{:.2f}", number.get<double>()) : std::string("-");
}

// The parts of the time, the largest first, those below 1 % left out.
std::string binds(const Json& cycles) {
  std::vector<std::pair<int64_t, const char*>> parts = {
      {cycles.at("compute").get<int64_t>(), "compute"},
      {cycles.at("memory_stall").get<int64_t>(), "memory"},
      {cycles.at("post_processing").get<int64_t>(), "post-processing"},
      {cycles.at("drain").get<int64_t>(), "drain"}};
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (const auto& [part, name] : parts) {
    const double percent = 100.0 * static_cast<double>(part) /
                           static_cast<double>(std::max<int64_t>(cycles.at("total").get<int64_t>(), 1));
    if (percent >= 1) text += fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ", name, percent);
  }
  return text;
}

// "shift n = 4, q = 4, 10 bits"
std::string lane_text(const std::string& design, const Json& lane) {
  std::string text = design;
  if (const int bits_of_exponent = lane.at("exponent_bits").get<int>(); bits_of_exponent > 0)
    text += fmt::format(" n = {},", bits_of_exponent);
  if (const int q = lane.at("q").get<int>(); q > 0) text += fmt::format(" q = {},", q);
  text += fmt::format(" {} bits", lane.at("counter_bits").get<int>());
  if (lane.at("storage") == "sram") text += " in SRAM";
  const auto variant = lane.at("variant").get<std::string>();
  return variant.empty() ? text : text + fmt::format(" ({})", variant);
}

bool is_foreign(const Json& design) {
  return !design.at("codes").is_null() && !design.at("codes").at("own").get<bool>();
}

// Designs whose figures are not of the network's own codes.
void print_foreign_codes(const Json& document) {
  for (const Json& design : document.at("designs")) {
    if (!is_foreign(design)) continue;
    const Json& codes = design.at("codes");
    fmt::print(
        "* {}: not {} codes in {} of {} layers ({}); it runs as many bits in codes of its own, whose accuracy is "
        "another: those of {}\n",
        design.at("design").get<std::string>(), document.at("recipe").is_null() ? "the fitted" : "this recipe's",
        codes.at("foreign_layers").get<int>(), codes.at("layers").get<int>(),
        fmt::join(codes.at("reasons").get<std::vector<std::string>>(), "; "), codes.at("wanted").get<std::string>());
  }
}

// Both readings of the paper's mean bits side by side.
void print_readings(const Json& document) {
  const Json& readings = document.at("readings");
  if (readings.empty()) return;
  fmt::print("\nthe paper's mean bits under both readings, speed / energy / area against int8\n{:<15}", "design");
  for (const Json& reading : readings)
    fmt::print("  {:>28}",
               fmt::format("{} bits ({:.2f} / {:.2f} stored)", reading.at("bits_are").get<std::string>(),
                           reading.at("weight_bits").get<double>(), reading.at("activation_bits").get<double>()));
  fmt::print("\n");
  const auto figures = [](const Json& own) {
    if (own.contains("error")) return std::string("not possible");
    const auto times = [&](const char* key) {
      return own.at(key).is_number() ? fmt::format("{:.2f}x", own.at(key).get<double>()) : std::string("-");
    };
    return fmt::format("{} / {} / {}", times("speed"), times("energy"), times("area"));
  };
  for (size_t d = 0; d < readings.front().at("designs").size(); ++d) {
    fmt::print("{:<15}", readings.front().at("designs").at(d).at("design").get<std::string>());
    for (const Json& reading : readings) fmt::print("  {:>28}", figures(reading.at("designs").at(d)));
    fmt::print("\n");
  }
}

void print_accuracy(const Json& recipe) {
  if (recipe.is_null() || recipe.at("metric").is_null()) return;
  const Json& metric = recipe.at("metric");
  const auto number = [](const Json& value) { return value.is_number() ? value.get<double>() : std::nan(""); };
  fmt::print("the recipe's {}: FP32 {:.4f}", metric.at("name").get<std::string>(), number(metric.at("reference")));
  if (metric.at("exact").is_number())
    fmt::print(", exact {:.4f}: of the designs without *", number(metric.at("exact")));
  else
    fmt::print("; exact, which the designs compute, was not judged");
  fmt::print("\n");
}

void print_designs(const Json& document) {
  fmt::print("\n{:<15} {:>9} {:>9} {:>7} {:>9} {:>10} {:>7} {:>9} {:>7}  {}\n", "design", "Mcycles", "ms", "speed",
             "DRAM MB", "energy mJ", "energy", "area mm2", "area", "time goes to");
  for (const Json& design : document.at("designs")) {
    const Json& against = design.at("against_int8");
    fmt::print("{:<15} {:>9.3f} {:>9.3f} {:>7} {:>9.3f} {:>10.4f} {:>7} {:>9.3f} {:>7}  {}\n",
               design.at("design").get<std::string>() + (is_foreign(design) ? " *" : ""),
               design.at("cycles").get<double>() / 1e6, design.at("time_ms").get<double>(), times(against.at("speed")),
               design.at("bytes").at("total").get<double>() / 1e6, design.at("total_energy_pj").get<double>() / 1e9,
               times(against.at("energy")), design.at("total_area_um2").get<double>() / 1e6, times(against.at("area")),
               binds(design.at("cycle_split")));
  }
  fmt::print("\nx: INT8's figure over the design's, above 1 is better; the paper claims {}x speed and {}x energy\n",
             document.at("claims").at("speed").get<double>(), document.at("claims").at("energy").get<double>());
}

// Where the figures come from, and what they leave out.
void print_origins(const Json& document) {
  const Json& workload = document.at("workload");
  std::map<std::string, int> origins;
  for (const Json& layer : workload.at("layers"))
    for (const char* kind : {"weights", "activations"})
      ++origins[fmt::format("{}: {}", kind, layer.at(kind).at("origin").get<std::string>())];
  for (const auto& [origin, layers] : origins) fmt::print("{} ({} layer{})\n", origin, layers, layers == 1 ? "" : "s");
  for (const Json& note : workload.at("notes")) fmt::print("{}\n", note.get<std::string>());
  for (const Json& layer : workload.at("left_out")) fmt::print("not simulated: {}\n", layer.get<std::string>());
  std::vector<std::string> lanes;
  for (const Json& design : document.at("designs"))
    if (!design.at("lane").is_null())
      lanes.push_back(lane_text(design.at("design").get<std::string>(), design.at("lane")));
  fmt::print("lanes: {}\n", fmt::join(lanes, "; "));
  const Json& config = document.at("config");
  fmt::print("energies of processing elements: {}, {}\n", config.at("energies").at("file").get<std::string>(),
             config.at("energies").at("technology").get<std::string>());
  fmt::print("{} of the machine's {} numbers are assumed; {} lists them\n", config.at("assumed").size(),
             config.at("sources").size(), "result.json");
}

void print_sweep(const Json& sweep, const Json& claims) {
  const auto speed_claim = claims.at("speed").get<double>(), energy_claim = claims.at("energy").get<double>();
  std::map<std::string, std::array<int, 4>> held;  // possible, speed, energy, both
  std::vector<std::string> order;
  std::map<std::string, std::string> errors;
  for (const Json& point : sweep.at("points"))
    for (const Json& own : point.at("designs")) {
      const std::string design = own.at("design");
      if (design == "int8") continue;
      if (!held.contains(design)) order.push_back(design);
      auto& count = held[design];
      if (own.contains("error")) {
        errors.try_emplace(design, own.at("error").get<std::string>());
        continue;
      }
      const bool fast = own.at("speed").is_number() && own.at("speed").get<double>() >= speed_claim;
      const bool frugal = own.at("energy").is_number() && own.at("energy").get<double>() >= energy_claim;
      ++count[0];
      count[1] += fast;
      count[2] += frugal;
      count[3] += fast && frugal;
    }
  fmt::print("\nsweep of {} points\n{:<15} {:>9} {:>12} {:>12} {:>6}\n", sweep.at("points").size(), "design",
             "possible", fmt::format("speed {}x", speed_claim), fmt::format("energy {}x", energy_claim), "both");
  for (const std::string& design : order) {
    const auto& count = held[design];
    fmt::print("{:<15} {:>9} {:>12} {:>12} {:>6}\n", design, count[0], count[1], count[2], count[3]);
  }
  for (const auto& [design, error] : errors) fmt::print("{} is not possible at some points: {}\n", design, error);
}

void print(const SimulateResult& result) {
  const Json& document = result.document;
  const Json& workload = document.at("workload");
  fmt::print("{}, batch {}: {} layers, {:.3f} GMAC, {:.2f} M weights, {} / {} stored bits (weights / activations)\n",
             workload.at("name").get<std::string>(), workload.at("batch").get<int64_t>(), workload.at("layers").size(),
             workload.at("macs").get<double>() / 1e9, workload.at("weights").get<double>() / 1e6,
             bits(workload.at("weight_bits")), bits(workload.at("activation_bits")));
  print_designs(document);
  print_foreign_codes(document);
  print_readings(document);
  print_accuracy(document.at("recipe"));
  print_origins(document);
  if (document.contains("sweep")) print_sweep(document.at("sweep"), document.at("claims"));
  if (!result.report.empty()) fmt::print("report       {}\n", result.report);
}

int run(SimulateOptions options, const Session& session) {
  options.threads = session.thread_count();
  const SimulateResult result = run_simulate_job(options, session.progress);
  if (session.json)
    print_json(result.document);
  else
    print(result);
  return 0;
}

}  // namespace

Command add_simulate(CLI::App& app, Session& session) {
  const auto options = std::make_shared<SimulateOptions>();
  CLI::App* command =
      app.add_subcommand("simulate", "cycles, bytes, energy and area of a network on accelerators in stacked memory");
  command->footer(
      "Examples: dnateq simulate resnet50 -o sim\n"
      "          dnateq simulate out --model resnet.onnx --sweep memory.access_pj_per_bit=1:14:1 -o sim\n"
      "          dnateq simulate model.onnx --bits 4/5 --calibration data.npz -o sim");
  command
      ->add_option(
          "network", options->network,
          "alexnet, resnet50 or transformer (built-in layer lists), a result folder of dnateq quantize or its\n"
          "recipe, or a model file")
      ->required();
  command
      ->add_option(
          "--design", options->designs,
          "counting, counting-beta0, shift, decode; may be repeated (default: all that are possible); int8 is\n"
          "always beside")
      ->allow_extra_args(false);
  command->add_option("--bits", options->bits,
                      "stored bits a value (sign included), B or W/A for weights/activations: whole numbers for a\n"
                      "model; means for a built-in list (default there: the paper's averages)");
  command
      ->add_option("--bits-are", options->bits_are,
                   "built-in lists: what the mean bits count, stored or exponent (a sign on top); default: stored,\n"
                   "and the paper's averages are shown under both readings")
      ->check(CLI::IsMember({"stored", "exponent"}));
  command->add_option("--zeros", options->zeros,
                      "built-in lists: share of zeros in weights/activations, as Z or W/A (default: 0)");
  command->add_option("--batch", options->batch, "first axis of every input (default: 1)")
      ->check(CLI::Range(1, 1 << 20));
  command
      ->add_option("--shape", options->shapes,
                   "NAME=DIM,...: shape of a model's input; NAME*=... of all inputs whose names begin so")
      ->allow_extra_args(false);
  command->add_option("--model", options->model,
                      "the FP32 network of a result or recipe, which is not looked for where those say it lies");
  add_data(*command, "--calibration", options->calibration,
           "a model's inputs, to measure zeros and exponents of activations on", false);
  add_batch_axis(*command, options->calibration);
  command->add_option("--config", options->config, "the machine, TOML (default: the built-in one)");
  command->add_option("--energies", options->energies, "energy table, TOML (default: the configuration's)");
  command->add_option("--set", options->settings, "KEY=NUMBER: one number of the machine")->allow_extra_args(false);
  command
      ->add_option(
          "--sweep", options->sweeps,
          "KEY=FROM:TO:STEP or KEY=VALUE,VALUE,...: every value; repeated: every combination. KEY is a number\n"
          "of the machine or, for built-in lists, bits, weight_bits, activation_bits, weight_zeros,\n"
          "activation_zeros or batch")
      ->allow_extra_args(false);
  command->add_option("-o", options->directory, "folder for result.json, layers.csv and report.html");
  add_common(*command, session);
  return {command, [options](const Session& own) { return run(*options, own); }};
}

}  // namespace dnateq
