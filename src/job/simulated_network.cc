#include "job/simulated_network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <openvino/openvino.hpp>
#include <utility>

#include "core/option.h"
#include "dnateq/error.h"
#include "graph/batch_axis.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "inspect/accelerator_workload.h"
#include "job/inputs.h"
#include "job/job_file.h"
#include "job/language_folder.h"
#include "job/result_folder.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace acc = accelerator;
namespace fs = std::filesystem;

constexpr const char* kLists[] = {"alexnet", "resnet50", "transformer"};
// Keys of settings and sweeps that change a built-in list and not the machine.
constexpr const char* kListKeys[] = {"bits",         "weight_bits",      "activation_bits",
                                     "weight_zeros", "activation_zeros", "batch"};

bool is_list(const std::string& name) {
  return std::find(std::begin(kLists), std::end(kLists), name) != std::end(kLists);
}

// "4", "3.5/4": weights and activations.
std::pair<double, double> parse_pair(const std::string& text, const char* key) {
  const auto number = [&](const std::string& part) {
    double value = 0;
    const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (failed != std::errc() || end != part.data() + part.size() || !std::isfinite(value))
      throw Error(fmt::format("{} '{}' is neither a number nor two as W/A", option(key), text));
    return value;
  };
  const size_t slash = text.find('/');
  const double weights = number(text.substr(0, slash));
  return {weights, slash == std::string::npos ? weights : number(text.substr(slash + 1))};
}

std::optional<ActivationHistograms> measure_calibration(ov::Core& core, const PreparedModel& prepared,
                                                        const SimulateOptions& options, const Progress& progress,
                                                        InputShapes& shapes) {
  if (options.calibration.path.empty()) return std::nullopt;
  const std::shared_ptr<const Samples> data =
      as_samples(core, prepared.model, open_data(options.calibration, input_names(*prepared.model), options.model),
                 batch_axis(options.calibration));
  const Calls calls(*data, *prepared.model);
  const auto given = shapes;  // shapes that were asked for come first, NAME* too
  for (const auto& [name, shape] : shapes_of(calls, prepared, options.batch))
    if (std::none_of(given.begin(), given.end(), [&name = name](const auto& one) {
          return one.first.ends_with('*') && name.starts_with(one.first.substr(0, one.first.size() - 1));
        }))
      shapes.try_emplace(name, shape);
  return measure_activations(core, prepared, calls, options.threads, progress);
}

struct RecipeFiles {
  fs::path folder, recipe;
  std::string model;     // as given
  std::string noted;     // as dnateq quantize noted it: to be shown
  ImportOptions import;  // as it was imported then
  bool has_job = false;
};

RecipeFiles find_recipe(const SimulateOptions& options) {
  RecipeFiles files;
  const fs::path given = options.network;
  files.folder = fs::is_directory(given) ? given : given.parent_path();
  files.recipe = fs::is_directory(given) ? given / "recipe.dnateq.json" : given;
  files.model = options.model;
  const fs::path job_file = files.folder / "measurements" / "job.json";
  if (fs::exists(job_file)) {
    const QuantizeArguments job = load_job(job_file);
    files.import = {job.only, job.ignore, job.untie};
    files.noted = job.model;
    files.has_job = true;
  }
  return files;
}

}  // namespace

acc::Workload SimulatedNetwork::with_int8_layers(const acc::Config& config) const {
  return acc::with_int8_layers(coded, int8, config.array.int8_above_exponent_bits);
}

acc::Workload SimulatedNetwork::of(acc::Design design, const acc::Config& config) const {
  if (design == acc::Design::kInt8) return int8;
  acc::Workload workload = with_int8_layers(config);
  if (design == acc::Design::kShift) acc::set_shift_bases(workload);
  return workload;
}

NetworkKind kind_of_network(const SimulateOptions& options) {
  const std::string& network = options.network;
  std::error_code ignored;
  if (is_list(network)) {
    if (!options.shapes.empty() || !options.calibration.path.empty() || !options.model.empty())
      throw Error(fmt::format("{}, {} and {} belong to models and recipes; '{}' is a built-in list", option("shape"),
                              option("model"), option("calibration"), network));
    return NetworkKind::kList;
  }
  if (!fs::exists(network, ignored))
    throw Error(fmt::format("there is no file or folder '{}', and the built-in lists are {}", network,
                            fmt::join(kLists, ", ")));
  if (!options.bits_are.empty())
    throw Error(fmt::format("{} belongs to built-in lists; a model's {} and a recipe's bits are stored ones",
                            option("bits_are"), option("bits")));
  if (!options.zeros.empty())
    throw Error(fmt::format("{} belongs to built-in lists; a model's are measured with {}", option("zeros"),
                            option_taking("calibration", "DATA")));
  if (fs::is_directory(network, ignored) || network.ends_with(".json")) return NetworkKind::kRecipe;
  if (!options.model.empty())
    throw Error(fmt::format("{} belongs to a recipe; the network is a model itself", option("model")));
  return NetworkKind::kModel;
}

ListSettings::ListSettings(const SimulateOptions& options)
    : name_(options.network), precision_(acc::paper_precision(options.network)), batch_(options.batch) {
  if (!options.bits_are.empty()) {
    reading_asked_for_ = true;
    if (options.bits_are == "exponent") precision_.bits_are = acc::BitsAre::kExponent;
  }
  describe();
  if (!options.bits.empty()) {
    const auto [weights, activations] = parse_pair(options.bits, "bits");
    set("weight_bits", weights);
    set("activation_bits", activations);
  }
  if (!options.zeros.empty()) {
    const auto [weights, activations] = parse_pair(options.zeros, "zeros");
    set("weight_zeros", weights);
    set("activation_zeros", activations);
  }
}

bool ListSettings::has(const std::string& key) {
  return std::find(std::begin(kListKeys), std::end(kListKeys), key) != std::end(kListKeys);
}

void ListSettings::set(const std::string& key, double value) {
  if (key == "batch" && !(value >= 1 && value <= 1 << 20 && value == std::floor(value)))
    throw Error(fmt::format("batch={} is no whole number from 1 to {}", value, 1 << 20));
  if (key == "bits" || key == "weight_bits") precision_.weight_bits = value;
  if (key == "bits" || key == "activation_bits") precision_.activation_bits = value;
  if (key == "weight_zeros") precision_.weight_zeros = value;
  if (key == "activation_zeros") precision_.activation_zeros = value;
  if (key == "batch") batch_ = static_cast<int64_t>(value);
  if (key.ends_with("bits")) bits_asked_for_ = true;
  if (key.ends_with("zeros")) zeros_asked_for_ = true;
  describe();
}

void ListSettings::read_bits_as(acc::BitsAre bits_are) {
  precision_.bits_are = bits_are;
  describe();
}

void ListSettings::describe() {
  precision_.origin =
      fmt::format("{}, read as {} bits, {}", bits_asked_for_ ? "bits asked for" : "paper's average bits",
                  acc::to_string(precision_.bits_are), zeros_asked_for_ ? "zeros asked for" : "zeros not measured");
}

SimulatedNetwork ListSettings::make() const {
  acc::Workload int8 = acc::built_in_workload(name_, batch_);
  acc::Workload coded = int8;
  acc::set_mean_precision(coded, precision_);
  for (size_t i = 0; i < int8.layers.size(); ++i) {  // the baseline skips the same zeros
    int8.layers[i].weights.zero_fraction = coded.layers[i].weights.zero_fraction;
    int8.layers[i].activations.zero_fraction = coded.layers[i].activations.zero_fraction;
  }
  return {std::move(coded), std::move(int8), {}};
}

SimulatedNetwork network_of_model(const SimulateOptions& options, const Progress& progress) {
  if (options.bits.empty())
    throw Error(fmt::format("'{}' is a model without a recipe; give {}, or the result folder of dnateq quantize",
                            options.network, option_taking("bits", "W/A")));
  const auto [weight_bits, activation_bits] = parse_pair(options.bits, "bits");
  if (weight_bits != std::floor(weight_bits) || activation_bits != std::floor(activation_bits) || weight_bits < 2 ||
      weight_bits > 7 || activation_bits < 2 || activation_bits > 8)
    throw Error(fmt::format(
        "{} '{}' lies outside the range of a model's codes: whole numbers, 2 to 7 for weights and 2 to 8 for "
        "activations",
        option("bits"), options.bits));
  ov::Core core;
  core.add_extension(ops::operation_extensions());  // to tell a result of dnateq from a damaged file
  PreparedModel prepared = import_model(core, options.network);
  auto shapes = parse_shapes(options.shapes);
  const auto activations = measure_calibration(core, prepared, options, progress, shapes);
  close_shapes(prepared, options.batch, shapes);
  ModelWorkload workload = workload_of(prepared, options.batch);
  apply_bits(workload, prepared, static_cast<int>(weight_bits), static_cast<int>(activation_bits), activations,
             progress);
  return {std::move(workload.coded), std::move(workload.int8), std::move(workload.left_out)};
}

SimulatedNetwork network_of_recipe(const SimulateOptions& options, const Progress& progress) {
  if (!options.bits.empty())
    throw Error(fmt::format("{} belongs to models and built-in lists; a recipe has its own", option("bits")));
  const RecipeFiles files = find_recipe(options);
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
    throw Error(fmt::format("'{}' does not hold the network that it is of; give that as {}{}", files.recipe.string(),
                            option_taking("model", "FILE"),
                            files.noted.empty() ? "" : fmt::format(" (it was '{}')", files.noted)));
  if (!fs::is_regular_file(files.model))
    throw Error(fmt::format("there is no model file '{}', of which '{}' is the recipe; give it as {}", files.model,
                            files.recipe.string(), option_taking("model", "FILE")));
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  PreparedModel prepared = import_model(core, files.model, files.import);
  // Without job.json the options of the import are not known, and with them the fingerprint; apply_recipe() still
  // compares the layers.
  if (files.has_job && prepared.fingerprint != recipe.model_fingerprint)
    throw Error(
        fmt::format("'{}' is the recipe of another model than '{}'; give its own as {}, or run dnateq quantize again",
                    files.recipe.string(), files.model, option_taking("model", "FILE")));
  auto shapes = parse_shapes(options.shapes);
  if (const auto measured = measure_calibration(core, prepared, options, progress, shapes))
    for (size_t l = 0; l < prepared.layers.size(); ++l)
      if (const ActivationMeasurement* entering = measured->entering(l))
        statistics.activations[prepared.layers[l].name] = entering->histogram;
  for (const std::string& name : models_in(files.folder))  // the second one is exact where nothing else was emitted
    if (statistics.weight_counts.empty() && fs::is_regular_file(files.folder / name))
      statistics.weight_counts = emitted_code_counts(core, files.folder / name);
  close_shapes(prepared, options.batch, shapes);
  ModelWorkload workload = workload_of(prepared, options.batch);
  apply_recipe(workload, prepared, recipe, files.recipe.string(), statistics);
  workload.coded.origin = workload.int8.origin = files.recipe.string();
  return {std::move(workload.coded), std::move(workload.int8), std::move(workload.left_out),
          SimulatedRecipe{recipe.strategy, recipe.options, recipe.metric}};
}

}  // namespace dnateq
