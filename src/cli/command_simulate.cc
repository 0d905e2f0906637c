// dnateq simulate.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <openvino/openvino.hpp>

#include "accelerator/code_fit.h"
#include "accelerator/precision.h"
#include "accelerator/simulate.h"
#include "accelerator/sweep.h"
#include "cli/commands.h"
#include "core/atomic_file.h"
#include "dnateq/error.h"
#include "graph/batch_axis.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "inspect/accelerator_workload.h"
#include "job/job_file.h"
#include "job/output_folder.h"
#include "job/result_folder.h"
#include "ops/ops.h"
#include "report/accelerator_document.h"

namespace dnateq {
namespace {

namespace acc = accelerator;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kLists[] = {"alexnet", "resnet50", "transformer"};
// Keys of --set and --sweep that change a built-in list and not the machine.
constexpr const char* kListKeys[] = {"bits",         "weight_bits",      "activation_bits",
                                     "weight_zeros", "activation_zeros", "batch"};
constexpr size_t kMostPointsDrawn = 10'000;  // a page of more takes seconds to open

bool is_list(const std::string& name) {
  return std::find(std::begin(kLists), std::end(kLists), name) != std::end(kLists);
}
bool is_list_key(const std::string& key) {
  return std::find(std::begin(kListKeys), std::end(kListKeys), key) != std::end(kListKeys);
}

// "4", "3.5/4": weights and activations.
std::pair<double, double> parse_pair(const std::string& text, const char* option) {
  const auto number = [&](const std::string& part) {
    double value = 0;
    const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (failed != std::errc() || end != part.data() + part.size() || !std::isfinite(value))
      throw Error(fmt::format("{} '{}' is neither a number nor two as W/A", option, text));
    return value;
  };
  const size_t slash = text.find('/');
  const double weights = number(text.substr(0, slash));
  return {weights, slash == std::string::npos ? weights : number(text.substr(slash + 1))};
}

struct Workloads {
  acc::Workload coded, int8;
  std::vector<std::string> left_out;
  std::optional<SimulatedRecipe> recipe = {};

  // Layers that exponential lanes do not run as in `int8`.
  acc::Workload with_int8_layers(const acc::Config& config) const {
    return acc::with_int8_layers(coded, int8, config.array.int8_above_exponent_bits);
  }
  // What a design runs; of `shift`, in bases that it can run.
  acc::Workload of(acc::Design design, const acc::Config& config) const {
    if (design == acc::Design::kInt8) return int8;
    acc::Workload workload = with_int8_layers(config);
    if (design == acc::Design::kShift) acc::set_shift_bases(workload);
    return workload;
  }
};

// What makes a built-in list's workload; --set and --sweep may change each.
struct ListSettings {
  std::string name;
  acc::Precision precision;
  int64_t batch = 1;
  bool reading_asked_for = false, bits_asked_for = false, zeros_asked_for = false;

  void set(const std::string& key, double value) {
    if (key == "batch" && !(value >= 1 && value <= 1 << 20 && value == std::floor(value)))
      throw Error(fmt::format("batch={} is no whole number from 1 to {}", value, 1 << 20));
    if (key == "bits" || key == "weight_bits") precision.weight_bits = value;
    if (key == "bits" || key == "activation_bits") precision.activation_bits = value;
    if (key == "weight_zeros") precision.weight_zeros = value;
    if (key == "activation_zeros") precision.activation_zeros = value;
    if (key == "batch") batch = static_cast<int64_t>(value);
    if (key.ends_with("bits")) bits_asked_for = true;
    if (key.ends_with("zeros")) zeros_asked_for = true;
    describe();
  }

  void describe() {
    precision.origin =
        fmt::format("{}, read as {} bits, {}", bits_asked_for ? "bits asked for" : "paper's average bits",
                    acc::to_string(precision.bits_are), zeros_asked_for ? "zeros asked for" : "zeros not measured");
  }

  Workloads make() const {
    acc::Workload int8 = acc::built_in_workload(name, batch);
    acc::Workload coded = int8;
    acc::set_mean_precision(coded, precision);
    for (size_t i = 0; i < int8.layers.size(); ++i) {  // the baseline skips the same zeros
      int8.layers[i].weights.zero_fraction = coded.layers[i].weights.zero_fraction;
      int8.layers[i].activations.zero_fraction = coded.layers[i].activations.zero_fraction;
    }
    return {std::move(coded), std::move(int8), {}};
  }
};

ListSettings list_settings(const SimulateArguments& arguments) {
  ListSettings list{arguments.network, acc::paper_precision(arguments.network), arguments.batch};
  if (!arguments.bits_are.empty()) {
    list.reading_asked_for = true;
    if (arguments.bits_are == "exponent") list.precision.bits_are = acc::BitsAre::kExponent;
  }
  list.describe();
  if (!arguments.bits.empty()) {
    const auto [weights, activations] = parse_pair(arguments.bits, "--bits");
    list.set("weight_bits", weights);
    list.set("activation_bits", activations);
  }
  if (!arguments.zeros.empty()) {
    const auto [weights, activations] = parse_pair(arguments.zeros, "--zeros");
    list.set("weight_zeros", weights);
    list.set("activation_zeros", activations);
  }
  return list;
}

std::optional<ActivationHistograms> measure_calibration(ov::Core& core, const PreparedModel& prepared,
                                                        const SimulateArguments& arguments,
                                                        const CommonArguments& common,
                                                        std::map<std::string, std::vector<int64_t>>& shapes) {
  if (arguments.calibration.path.empty()) return std::nullopt;
  const std::shared_ptr<const Samples> data =
      as_samples(core, prepared.model, open_data(arguments.calibration, input_names(*prepared.model)),
                 batch_axis(arguments.calibration));
  const Calls calls(*data, *prepared.model);
  const auto given = shapes;  // --shape comes first, NAME* too
  for (const auto& [name, shape] : shapes_of(calls, prepared, arguments.batch))
    if (std::none_of(given.begin(), given.end(), [&name = name](const auto& one) {
          return one.first.ends_with('*') && name.starts_with(one.first.substr(0, one.first.size() - 1));
        }))
      shapes.try_emplace(name, shape);
  return measure_activations(core, prepared, calls, thread_count(common), common.progress);
}

Workloads workload_of_model(const SimulateArguments& arguments, const CommonArguments& common) {
  if (arguments.bits.empty())
    throw Error(
        fmt::format("'{}' is a model without a recipe; give --bits W/A, or the result folder of dnateq quantize",
                    arguments.network));
  const auto [weight_bits, activation_bits] = parse_pair(arguments.bits, "--bits");
  if (weight_bits != std::floor(weight_bits) || activation_bits != std::floor(activation_bits) || weight_bits < 2 ||
      weight_bits > 7 || activation_bits < 2 || activation_bits > 8)
    throw Error(
        fmt::format("--bits {} lies outside the range of a model's codes: whole numbers, 2 to 7 for weights and "
                    "2 to 8 for activations",
                    arguments.bits));
  ov::Core core;
  core.add_extension(ops::operation_extensions());  // to tell a result of dnateq from a damaged file
  PreparedModel prepared = import_model(core, arguments.network);
  auto shapes = parse_shapes(arguments.shapes);
  const auto activations = measure_calibration(core, prepared, arguments, common, shapes);
  close_shapes(prepared, arguments.batch, shapes);
  ModelWorkload workload = workload_of(prepared, arguments.batch);
  apply_bits(workload, prepared, static_cast<int>(weight_bits), static_cast<int>(activation_bits), activations,
             common.progress);
  return {std::move(workload.coded), std::move(workload.int8), std::move(workload.left_out)};
}

struct RecipeFiles {
  fs::path folder, recipe;
  std::string model;     // as given
  std::string noted;     // as dnateq quantize noted it: to be shown
  ImportOptions import;  // as it was imported then
  bool has_job = false;
};

RecipeFiles find_recipe(const SimulateArguments& arguments) {
  RecipeFiles files;
  const fs::path given = arguments.network;
  files.folder = fs::is_directory(given) ? given : given.parent_path();
  files.recipe = fs::is_directory(given) ? given / "recipe.dnateq.json" : given;
  files.model = arguments.model;
  const fs::path job_file = files.folder / "measurements" / "job.json";
  if (fs::exists(job_file)) {
    const QuantizeArguments job = load_job(job_file);
    files.import = import_options_of(job);
    files.noted = job.model;
    files.has_job = true;
  }
  return files;
}

Workloads workload_of_recipe(const SimulateArguments& arguments, const CommonArguments& common) {
  if (!arguments.bits.empty()) throw Error("--bits belongs to models and built-in lists; a recipe has its own");
  const RecipeFiles files = find_recipe(arguments);
  RecipeStatistics statistics;
  Recipe recipe;
  if (fs::is_regular_file(files.folder / "measurements" / "report.cbor") &&
      files.recipe.filename() == "recipe.dnateq.json") {
    ReportInput input = load_report_input(files.folder);
    for (TensorView& view : input.tensors)
      (view.is_weights ? statistics.weights : statistics.activations)[view.layer] = std::move(view.histogram);
    recipe = std::move(input.recipe);
  } else {
    recipe = load_recipe(files.recipe);
  }
  if (files.model.empty())
    throw Error(fmt::format("'{}' does not hold the network that it is of; give that as --model FILE{}",
                            files.recipe.string(),
                            files.noted.empty() ? "" : fmt::format(" (it was '{}')", files.noted)));
  if (!fs::is_regular_file(files.model))
    throw Error(fmt::format("there is no model file '{}', of which '{}' is the recipe; give it as --model FILE",
                            files.model, files.recipe.string()));
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  PreparedModel prepared = import_model(core, files.model, files.import);
  // Without job.json the options of the import are not known, and with them the fingerprint; apply_recipe() still
  // compares the layers.
  if (files.has_job && prepared.fingerprint != recipe.model_fingerprint)
    throw Error(
        fmt::format("'{}' is the recipe of another model than '{}'; give its own as --model FILE, or run dnateq "
                    "quantize again",
                    files.recipe.string(), files.model));
  auto shapes = parse_shapes(arguments.shapes);
  if (const auto measured = measure_calibration(core, prepared, arguments, common, shapes))
    for (size_t l = 0; l < prepared.layers.size(); ++l)
      if (measured->of_layer[l] >= 0)
        statistics.activations[prepared.layers[l].name] =
            measured->tensors[static_cast<size_t>(measured->of_layer[l])].histogram;
  for (const char* name : {"exact/model.xml", "model.xml"})  // the second one is exact where nothing else was emitted
    if (statistics.weight_counts.empty() && fs::is_regular_file(files.folder / name))
      statistics.weight_counts = emitted_code_counts(core, files.folder / name);
  close_shapes(prepared, arguments.batch, shapes);
  ModelWorkload workload = workload_of(prepared, arguments.batch);
  apply_recipe(workload, prepared, recipe, files.recipe.string(), statistics);
  workload.coded.origin = workload.int8.origin = files.recipe.string();
  return {std::move(workload.coded), std::move(workload.int8), std::move(workload.left_out),
          SimulatedRecipe{recipe.strategy, recipe.options, recipe.metric}};
}

std::vector<acc::Design> designs_of(const SimulateArguments& arguments) {
  if (arguments.designs.empty()) return acc::all_designs();
  std::vector<acc::Design> designs = {acc::Design::kInt8};
  for (const std::string& name : arguments.designs) {
    const acc::Design design = acc::design_from_string(name);
    if (std::find(designs.begin(), designs.end(), design) == designs.end()) designs.push_back(design);
  }
  return designs;
}

acc::Config config_of(const SimulateArguments& arguments) {
  acc::Config config = arguments.config.empty() ? acc::default_config() : acc::load_config(arguments.config);
  if (arguments.energies.empty()) return config;
  acc::EnergyTable table = acc::load_energy_table(arguments.energies);
  table.energy_scale = config.energies.energy_scale;  // to the node of the logic die: the configuration's
  table.area_scale = config.energies.area_scale;
  table.delay_scale = config.energies.delay_scale;
  config.energies = std::move(table);
  return config;
}

// The parts of the time, the largest first, those below 1 % left out.
std::string binds(const acc::CycleSplit& cycles) {
  std::vector<std::pair<int64_t, const char*>> parts = {{cycles.compute, "compute"},
                                                        {cycles.memory_stall, "memory"},
                                                        {cycles.post_processing, "post-processing"},
                                                        {cycles.drain, "drain"}};
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (const auto& [part, name] : parts) {
    const double percent =
        100.0 * static_cast<double>(part) / static_cast<double>(std::max<int64_t>(cycles.total(), 1));
    if (percent >= 1) text += fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ", name, percent);
  }
  return text;
}

// "shift n = 4, q = 4, 10 bits"
std::string lane_text(const char* design, const acc::Part& lane) {
  std::string text = design;
  if (lane.exponent_bits > 0) text += fmt::format(" n = {},", lane.exponent_bits);
  if (lane.q > 0) text += fmt::format(" q = {},", lane.q);
  text += fmt::format(" {} bits", lane.counter_bits);
  if (lane.storage == "sram") text += " in SRAM";
  return lane.variant.empty() ? text : text + fmt::format(" ({})", lane.variant);
}

// Designs whose figures are not of the network's own codes.
std::vector<std::string> lines_on_codes(const SimulationRun& run) {
  std::vector<std::string> lines;
  for (const acc::DesignResult& design : run.designs) {
    const acc::CodeFit fit = code_fit(run, design);
    if (fit.foreign == 0) continue;
    lines.push_back(fmt::format(
        "* {}: not {} codes in {} of {} layers ({}); it runs as many bits in codes of its own, whose accuracy is "
        "another: those of {}",
        to_string(design.design), run.recipe ? "this recipe's" : "the fitted", fit.foreign, fit.layers,
        fmt::join(fit.reasons, "; "), acc::wanted_family(design.design)));
  }
  return lines;
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

void print_accuracy(const SimulationRun& run) {
  if (!run.recipe || !run.recipe->metric) return;
  const MetricResult& metric = *run.recipe->metric;
  fmt::print("the recipe's {}: FP32 {:.4f}", metric.name, metric.reference);
  if (!std::isnan(metric.exact))
    fmt::print(", exact {:.4f}: of the designs without *", metric.exact);
  else
    fmt::print("; exact, which the designs compute, was not judged");
  fmt::print("\n");
}

void print_table(const SimulationRun& run, const Json& document) {
  const Json& workload = document.at("workload");
  const auto bits = [&](const char* key) {
    return workload.at(key).is_number() ? fmt::format("{:.2f}", workload.at(key).get<double>()) : std::string("-");
  };
  fmt::print("{}, batch {}: {} layers, {:.3f} GMAC, {:.2f} M weights, {} / {} stored bits (weights / activations)\n",
             run.workload.name, run.workload.batch, run.workload.layers.size(),
             static_cast<double>(run.workload.macs()) / 1e9, workload.at("weights").get<double>() / 1e6,
             bits("weight_bits"), bits("activation_bits"));
  fmt::print("\n{:<15} {:>9} {:>9} {:>7} {:>9} {:>10} {:>7} {:>9} {:>7}  {}\n", "design", "Mcycles", "ms", "speed",
             "DRAM MB", "energy mJ", "energy", "area mm2", "area", "time goes to");
  for (size_t d = 0; d < run.designs.size(); ++d) {
    const acc::DesignResult& design = run.designs[d];
    const acc::Outcome own = acc::outcome_of(design);
    const Json& against = document.at("designs").at(d).at("against_int8");
    const auto times = [&](const char* key) {
      return against.at(key).is_number() ? fmt::format("{:.2f}x", against.at(key).get<double>()) : std::string("-");
    };
    const bool foreign = code_fit(run, design).foreign > 0;
    fmt::print("{:<15} {:>9.3f} {:>9.3f} {:>7} {:>9.3f} {:>10.4f} {:>7} {:>9.3f} {:>7}  {}\n",
               fmt::format("{}{}", to_string(design.design), foreign ? " *" : ""),
               static_cast<double>(own.cycles) / 1e6, own.milliseconds, times("speed"), own.dram_bytes / 1e6,
               own.energy_pj / 1e9, times("energy"), own.area_um2 / 1e6, times("area"), binds(design.cycles()));
  }
  fmt::print("\nx: INT8's figure over the design's, above 1 is better; the paper claims {}x speed and {}x energy\n",
             kPaperSpeed, kPaperEnergy);
  for (const std::string& line : lines_on_codes(run)) fmt::print("{}\n", line);
  print_readings(document);
  print_accuracy(run);
  std::map<std::string, int> origins;
  for (const acc::Layer& layer : run.workload.layers) {
    ++origins["weights: " + layer.weights.origin];
    ++origins["activations: " + layer.activations.origin];
  }
  for (const auto& [origin, layers] : origins) fmt::print("{} ({} layer{})\n", origin, layers, layers == 1 ? "" : "s");
  for (const std::string& note : run.notes) fmt::print("{}\n", note);
  for (const std::string& layer : run.left_out) fmt::print("not simulated: {}\n", layer);
  std::string lanes;
  for (const acc::DesignResult& design : run.designs)
    if (design.lane)
      lanes += fmt::format("{}{}", lanes.empty() ? "" : "; ", lane_text(to_string(design.design), *design.lane));
  fmt::print("lanes: {}\n", lanes);
  fmt::print("energies of processing elements: {}, {}\n", run.config.energies.file, run.config.energies.technology);
  const auto assumed = run.config.assumed();
  fmt::print("{} of the machine's {} numbers are assumed; {} lists them\n", assumed.size(), run.config.sources.size(),
             "result.json");
}

void print_sweep(const Json& sweep) {
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
      const bool fast = own.at("speed").is_number() && own.at("speed").get<double>() >= kPaperSpeed;
      const bool frugal = own.at("energy").is_number() && own.at("energy").get<double>() >= kPaperEnergy;
      ++count[0];
      count[1] += fast;
      count[2] += frugal;
      count[3] += fast && frugal;
    }
  fmt::print("\nsweep of {} points\n{:<15} {:>9} {:>12} {:>12} {:>6}\n", sweep.at("points").size(), "design",
             "possible", fmt::format("speed {}x", kPaperSpeed), fmt::format("energy {}x", kPaperEnergy), "both");
  for (const std::string& design : order) {
    const auto& count = held[design];
    fmt::print("{:<15} {:>9} {:>12} {:>12} {:>6}\n", design, count[0], count[1], count[2], count[3]);
  }
  for (const auto& [design, error] : errors) fmt::print("{} is not possible at some points: {}\n", design, error);
}

// Which of the three kinds of network it is, and whether the options belong to it.
enum class Source { kList, kRecipe, kModel };

Source source_of(const SimulateArguments& arguments) {
  const std::string& network = arguments.network;
  std::error_code ignored;
  if (is_list(network)) {
    if (!arguments.shapes.empty() || !arguments.calibration.path.empty() || !arguments.model.empty())
      throw Error(fmt::format(
          "--shape, --model and --calibration belong to models and recipes; '{}' is a built-in list", network));
    return Source::kList;
  }
  if (!fs::exists(network, ignored))
    throw Error(fmt::format("there is no file or folder '{}', and the built-in lists are {}", network,
                            fmt::join(kLists, ", ")));
  if (!arguments.bits_are.empty())
    throw Error("--bits-are belongs to built-in lists; a model's --bits and a recipe's bits are stored ones");
  if (!arguments.zeros.empty())
    throw Error("--zeros belongs to built-in lists; a model's are measured with --calibration DATA");
  if (fs::is_directory(network, ignored) || network.ends_with(".json")) return Source::kRecipe;
  if (!arguments.model.empty()) throw Error("--model belongs to a recipe; the network is a model itself");
  return Source::kModel;
}

// The machine and, for a built-in list, what makes the workload: what --set and --sweep reach.
struct Settings {
  acc::Config config;
  std::optional<ListSettings> list;

  // True where the workload is another one then. Throws Error.
  bool set(const std::string& key, double value) {
    if (!is_list_key(key)) {
      acc::set_value(config, key, value);
      return false;
    }
    if (!list) throw Error(fmt::format("'{}' is a key of built-in lists; a model or recipe has its own", key));
    list->set(key, value);
    return true;
  }
};

// One point of a sweep. What is not possible there becomes the outcome's error.
std::vector<acc::Outcome> evaluate(Settings settings, const Workloads& workloads,
                                   const std::vector<acc::SweepAxis>& axes, const std::vector<double>& at,
                                   const std::vector<acc::Design>& designs) {
  std::vector<acc::Outcome> outcomes(designs.size());
  for (size_t d = 0; d < designs.size(); ++d) outcomes[d].design = designs[d];
  std::optional<Workloads> made;
  try {
    bool other = false;
    for (size_t a = 0; a < axes.size(); ++a) other = settings.set(axes[a].key, at[a]) || other;
    if (other) made = settings.list->make();
  } catch (const Error& error) {
    for (acc::Outcome& outcome : outcomes) outcome.error = error.what();
    return outcomes;
  }
  for (acc::Outcome& outcome : outcomes) {
    try {
      outcome = acc::outcome_of(acc::simulate((made ? *made : workloads).of(outcome.design, settings.config),
                                              settings.config, outcome.design));
    } catch (const Error& error) {
      outcome.error = error.what();
    }
  }
  return outcomes;
}

// The first of these names; result.json has all of them.
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kMost = 5;
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + std::min(kMost, names.size()), ", "));
  return names.size() > kMost ? fmt::format("{} and {} more", text, names.size() - kMost) : text;
}

std::vector<std::string> notes_on_int8_lanes(const Workloads& workloads, const acc::Config& config) {
  const acc::Workload workload = workloads.with_int8_layers(config);
  std::vector<std::string> names;
  for (const acc::Layer& layer : workload.layers)
    if (layer.int8_lanes) names.push_back(layer.name);
  if (names.empty()) return {};
  return {
      fmt::format("{} of {} layers have no codes, or more than array.int8_above_exponent_bits = {}: every design runs "
                  "them as int8 does, on INT8 lanes beside its own, whose area is counted: {}",
                  names.size(), workload.layers.size(), config.array.int8_above_exponent_bits, some_of(names))};
}

// A design that was asked for must be possible; of all of them, one that is not (no energies for its codes, counters
// too narrow) is left out and said so.
void simulate_designs(const Workloads& workloads, const std::vector<acc::Design>& designs, bool asked_for,
                      SimulationRun& run) {
  for (const acc::Design design : designs) {
    try {
      run.designs.push_back(acc::simulate(workloads.of(design, run.config), run.config, design));
    } catch (const Error& error) {
      if (asked_for || design == acc::Design::kInt8) throw;
      run.notes.push_back(fmt::format("{} is left out: {}", acc::to_string(design), error.what()));
    }
  }
  if (run.designs.size() == 1 && designs.size() > 1) throw Error(run.notes.back());
}

// The paper's averages under both readings. What is not possible there becomes the outcome's error.
std::vector<Reading> readings_of(const Settings& settings, const std::vector<acc::Design>& designs) {
  std::vector<Reading> readings;
  for (const acc::BitsAre bits_are : {acc::BitsAre::kStored, acc::BitsAre::kExponent}) {
    Settings read = settings;
    read.list->precision.bits_are = bits_are;
    read.list->describe();
    const double sign = bits_are == acc::BitsAre::kExponent ? 1 : 0;
    readings.push_back({bits_are, read.list->precision.weight_bits + sign, read.list->precision.activation_bits + sign,
                        evaluate(read, read.list->make(), {}, {}, designs)});
  }
  return readings;
}

struct Sweep {
  std::vector<acc::SweepAxis> axes;
  std::vector<acc::SweepPoint> points;
  Json document;
};

// result.json comes last: where it is, the other files are of the same run.
void write_files(const fs::path& directory, const SimulationRun& run, const Json& document, const Sweep& sweep) {
  const auto text = [](const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace); };
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed)
    throw Error(
        fmt::format("the folder '{}' cannot be made: {}; choose another -o", directory.string(), failed.message()));
  write_file_atomically(directory / "layers.csv", layers_csv(run));
  Json page = document;
  if (!sweep.axes.empty()) {
    write_file_atomically(directory / "sweep.csv", sweep_csv(sweep.axes, sweep.points));
    write_file_atomically(directory / "sweep.json", text(sweep.document));
    if (sweep.points.size() <= kMostPointsDrawn) page["sweep"] = sweep.document;
  }
  write_file_atomically(directory / "report.html", render_accelerator_html(page));
  write_file_atomically(directory / "result.json", text(document));
}

// A simulation's files replace those of another one, whose result.json says that they are; nothing else.
void refuse_foreign_files(const fs::path& directory) {
  std::error_code ignored;
  const auto is_there = [&](const char* name) { return fs::exists(directory / name, ignored); };
  if (is_there("recipe.dnateq.json"))
    throw Error(fmt::format("'{}' holds a result of dnateq quantize, whose report would be replaced; choose another -o",
                            directory.string()));
  if (is_there("result.json")) return;
  for (const char* name : {"report.html", "layers.csv", "sweep.csv", "sweep.json"})
    if (is_there(name))
      throw Error(
          fmt::format("'{}' is of no simulation, and is not replaced; choose another -o", (directory / name).string()));
}

}  // namespace

int run_simulate(const SimulateArguments& arguments, const CommonArguments& common) {
  const Source source = source_of(arguments);
  std::optional<OutputFolder> folder;
  if (!arguments.directory.empty()) {
    folder.emplace(arguments.directory);
    refuse_foreign_files(arguments.directory);
  }
  const std::vector<acc::Design> designs = designs_of(arguments);
  SimulationRun run;
  Settings settings{config_of(arguments), std::nullopt};
  if (source == Source::kList) settings.list = list_settings(arguments);
  for (const std::string& text : arguments.settings) {
    const auto [key, value] = acc::parse_setting(text);
    settings.set(key, value);
    run.notes.push_back(fmt::format("set on the command line: {} = {}", key, value));
  }
  Sweep sweep;
  for (const std::string& text : arguments.sweeps) sweep.axes.push_back(acc::parse_axis(text));
  const int64_t points = acc::point_count(sweep.axes);
  Settings first = settings;  // keys are refused before work begins
  for (const acc::SweepAxis& axis : sweep.axes) first.set(axis.key, axis.values.front());

  const Workloads workloads = source == Source::kList     ? settings.list->make()
                              : source == Source::kRecipe ? workload_of_recipe(arguments, common)
                                                          : workload_of_model(arguments, common);
  run.config = settings.config;
  run.workload = workloads.coded;
  run.int8 = workloads.int8;
  run.left_out = workloads.left_out;
  run.recipe = workloads.recipe;
  for (std::string& note : notes_on_int8_lanes(workloads, run.config)) run.notes.push_back(std::move(note));
  simulate_designs(workloads, designs, !arguments.designs.empty(), run);
  if (settings.list && !settings.list->bits_asked_for && !settings.list->reading_asked_for)
    run.readings = readings_of(settings, designs);
  Json document = simulation_document(run);

  if (!sweep.axes.empty()) {
    Task task(common.progress, "sweeping", static_cast<size_t>(points));
    sweep.points = acc::run_sweep(
        sweep.axes, thread_count(common),
        [&](const std::vector<double>& at) { return evaluate(settings, workloads, sweep.axes, at, designs); },
        [&](size_t) { task.advance(); });
    sweep.document = sweep_document(sweep.axes, sweep.points);
  }
  if (folder) {
    try {
      write_files(arguments.directory, run, document, sweep);
    } catch (const Error&) {
      folder->discard();
      throw;
    }
  }
  if (common.json) {
    if (!sweep.axes.empty()) document["sweep"] = sweep.document;
    print_json(document);
    return 0;
  }
  print_table(run, document);
  if (!sweep.axes.empty()) print_sweep(sweep.document);
  if (folder) fmt::print("report       {}\n", (fs::path(arguments.directory) / "report.html").string());
  return 0;
}

}  // namespace dnateq
