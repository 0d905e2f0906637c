#include "job/simulate_job.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "accelerator/simulate.h"
#include "accelerator/sweep.h"
#include "core/atomic_file.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "job/output_folder.h"
#include "job/simulated_network.h"
#include "report/accelerator_document.h"

namespace dnateq {
namespace {

namespace acc = accelerator;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kMostPointsDrawn = 10'000;  // a page of more takes seconds to open

std::vector<acc::Design> designs_of(const SimulateOptions& options) {
  if (options.designs.empty()) return acc::all_designs();
  std::vector<acc::Design> designs = {acc::Design::kInt8};
  for (const std::string& name : options.designs) {
    const acc::Design design = acc::design_from_string(name);
    if (std::find(designs.begin(), designs.end(), design) == designs.end()) designs.push_back(design);
  }
  return designs;
}

acc::Config config_of(const SimulateOptions& options) {
  acc::Config config = options.config.empty() ? acc::default_config() : acc::load_config(options.config);
  if (options.energies.empty()) return config;
  acc::EnergyTable table = acc::load_energy_table(options.energies);
  table.energy_scale = config.energies.energy_scale;  // to the node of the logic die: the configuration's
  table.area_scale = config.energies.area_scale;
  table.delay_scale = config.energies.delay_scale;
  config.energies = std::move(table);
  return config;
}

// The machine and, for a built-in list, what makes the workload: what settings and sweeps reach.
struct Settings {
  acc::Config config;
  std::optional<ListSettings> list;

  // True where the workload is another one then. Throws Error.
  bool set(const std::string& key, double value) {
    if (!ListSettings::has(key)) {
      acc::set_value(config, key, value);
      return false;
    }
    if (!list) throw Error(fmt::format("'{}' is a key of built-in lists; a model or recipe has its own", key));
    list->set(key, value);
    return true;
  }
};

// One point of a sweep. What is not possible there becomes the outcome's error.
std::vector<acc::Outcome> evaluate(Settings settings, const SimulatedNetwork& network,
                                   const std::vector<acc::SweepAxis>& axes, const std::vector<double>& at,
                                   const std::vector<acc::Design>& designs) {
  std::vector<acc::Outcome> outcomes(designs.size());
  for (size_t d = 0; d < designs.size(); ++d) outcomes[d].design = designs[d];
  std::optional<SimulatedNetwork> made;
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
      outcome = acc::outcome_of(
          acc::simulate((made ? *made : network).of(outcome.design, settings.config), settings.config, outcome.design));
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

std::vector<std::string> notes_on_int8_lanes(const SimulatedNetwork& network, const acc::Config& config) {
  const acc::Workload workload = network.with_int8_layers(config);
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
void simulate_designs(const SimulatedNetwork& network, const std::vector<acc::Design>& designs, bool asked_for,
                      SimulationRun& run) {
  for (const acc::Design design : designs) {
    try {
      run.designs.push_back(acc::simulate(network.of(design, run.config), run.config, design));
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
    read.list->read_bits_as(bits_are);
    const double sign = bits_are == acc::BitsAre::kExponent ? 1 : 0;
    readings.push_back({bits_are, read.list->precision().weight_bits + sign,
                        read.list->precision().activation_bits + sign,
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
    throw Error(fmt::format("the folder '{}' cannot be made: {}; choose another {}", directory.string(),
                            failed.message(), option("directory")));
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
    throw Error(fmt::format("'{}' holds a result of dnateq quantize, whose report would be replaced; choose another {}",
                            directory.string(), option("directory")));
  if (is_there("result.json")) return;
  for (const char* name : {"report.html", "layers.csv", "sweep.csv", "sweep.json"})
    if (is_there(name))
      throw Error(fmt::format("'{}' is of no simulation, and is not replaced; choose another {}",
                              (directory / name).string(), option("directory")));
}

// What is asked for of machine and list; the keys that were set are noted in `notes`.
Settings settings_of(const SimulateOptions& options, NetworkKind kind, std::vector<std::string>& notes) {
  Settings settings{config_of(options), std::nullopt};
  if (kind == NetworkKind::kList) settings.list.emplace(options);
  for (const std::string& text : options.settings) {
    const auto [key, value] = acc::parse_setting(text);
    settings.set(key, value);
    notes.push_back(fmt::format("set on the command line: {} = {}", key, value));
  }
  return settings;
}

Sweep sweep_of(const SimulateOptions& options, const Settings& settings) {
  Sweep sweep;
  for (const std::string& text : options.sweeps) sweep.axes.push_back(acc::parse_axis(text));
  Settings first = settings;  // keys are refused before work begins
  for (const acc::SweepAxis& axis : sweep.axes) first.set(axis.key, axis.values.front());
  return sweep;
}

}  // namespace

SimulateResult run_simulate_job(const SimulateOptions& options, const Progress& progress) {
  const NetworkKind kind = kind_of_network(options);
  std::optional<OutputFolder> folder;
  if (!options.directory.empty()) {
    folder.emplace(options.directory);
    refuse_foreign_files(options.directory);
  }
  const std::vector<acc::Design> designs = designs_of(options);
  SimulationRun run;
  const Settings settings = settings_of(options, kind, run.notes);
  Sweep sweep = sweep_of(options, settings);
  const int64_t points = acc::point_count(sweep.axes);

  const SimulatedNetwork network = kind == NetworkKind::kList     ? settings.list->make()
                                   : kind == NetworkKind::kRecipe ? network_of_recipe(options, progress)
                                                                  : network_of_model(options, progress);
  run.config = settings.config;
  run.workload = network.coded;
  run.int8 = network.int8;
  run.left_out = network.left_out;
  run.recipe = network.recipe;
  for (std::string& note : notes_on_int8_lanes(network, run.config)) run.notes.push_back(std::move(note));
  simulate_designs(network, designs, !options.designs.empty(), run);
  if (settings.list && settings.list->is_open_to_both_readings()) run.readings = readings_of(settings, designs);
  SimulateResult result{simulation_document(run), {}};

  if (!sweep.axes.empty()) {
    Task task(progress, "sweeping", static_cast<size_t>(points));
    sweep.points = acc::run_sweep(
        sweep.axes, options.threads,
        [&](const std::vector<double>& at) { return evaluate(settings, network, sweep.axes, at, designs); },
        [&](size_t) { task.advance(); });
    sweep.document = sweep_document(sweep.axes, sweep.points);
  }
  if (folder) {
    try {
      write_files(options.directory, run, result.document, sweep);
    } catch (const Error&) {
      folder->discard();
      throw;
    }
    result.report = (fs::path(options.directory) / "report.html").string();
  }
  if (!sweep.axes.empty()) result.document["sweep"] = std::move(sweep.document);
  return result;
}

}  // namespace dnateq
