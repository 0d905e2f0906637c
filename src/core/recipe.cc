// The recipe as JSON. Keys are the names of the structs' members; all are required, others are ignored. A number that
// is not finite has no JSON form: NaN is null, infinities are the strings "inf" and "-inf".
#include "dnateq/recipe.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <system_error>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

// Exponent bits exist only where codes are the paper's: a sign bit where there are negative levels, no code wasted.
std::optional<int> exponent_bits(const TensorCode& code) {
  const int k = code.stored_bits;
  if (code.negative_levels == 0 && code.positive_levels == (1 << k) - 1) return k;
  const int half = (1 << (k - 1)) - 1;
  if (code.negative_levels == half && code.positive_levels == half) return k - 1;
  return std::nullopt;
}

// --- writing ---

Json number(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;  // NaN is written as null
}

std::string family_text(const TensorCode& code) {
  if (code.family == Family::kPow2) return fmt::format("{}:{}", to_string(code.family), code.pow2_q);
  return to_string(code.family);
}

template <class T>
Json list_json(const std::vector<T>& items, Json (*item_json)(const T&)) {
  Json json = Json::array();
  for (const T& item : items) json.push_back(item_json(item));
  return json;
}

Json code_json(const TensorCode& code) {
  Json json;
  json["stored_bits"] = code.stored_bits;
  if (const std::optional<int> bits = exponent_bits(code)) json["exponent_bits"] = *bits;
  json["negative_levels"] = code.negative_levels;
  json["positive_levels"] = code.positive_levels;
  json["family"] = family_text(code);
  json["base"] = number(code.base);
  json["alpha"] = number(code.alpha);
  json["beta"] = number(code.beta);
  json["arithmetic"] = to_string(code.arithmetic);
  json["grid"] = number(code.grid);
  json["rounding"] = to_string(code.rounding);
  return json;
}

Json tensor_json(const TensorRecipe& tensor) {
  Json json;
  json["tensor"] = tensor.tensor;
  json["shape"] = tensor.shape;
  json["elements"] = tensor.elements;
  json["code"] = code_json(tensor.code);
  json["rmae"] = number(tensor.rmae);
  json["sqnr_db"] = number(tensor.sqnr_db);
  json["uniform_sqnr_db"] = number(tensor.uniform_sqnr_db);
  json["bytes"] = tensor.bytes;
  json["sensitivity"] = number(tensor.sensitivity);
  json["distribution"] = tensor.distribution;
  if (tensor.centered) json["centered"] = true;
  return json;
}

Json standard_json(const StandardCodes& standard) {
  Json json;
  json["code"] = code_json(standard.code);
  json["rmae"] = number(standard.rmae);
  json["sqnr_db"] = number(standard.sqnr_db);
  json["output_sqnr_db"] = number(standard.output_sqnr_db);
  return json;
}

Json layer_json(const LayerRecipe& layer) {
  Json json;
  json["name"] = layer.name;
  json["type"] = layer.type;
  json["weight_shape"] = layer.weight_shape;
  json["macs"] = layer.macs;
  json["weights"] = tensor_json(layer.weights);
  json["activations"] = layer.activations ? tensor_json(*layer.activations) : Json();
  json["standard_weights"] = layer.standard_weights ? standard_json(*layer.standard_weights) : Json();
  json["output_sqnr_db"] = number(layer.output_sqnr_db);
  json["nearest_output_sqnr_db"] = number(layer.nearest_output_sqnr_db);
  json["shares_weights_with"] = layer.shares_weights_with;
  if (layer.had_own_copy) json["had_own_copy"] = true;
  return json;
}

Json unquantized_json(const UnquantizedLayer& layer) {
  Json json;
  json["name"] = layer.name;
  json["type"] = layer.type;
  json["reason"] = layer.reason;
  json["weight_elements"] = layer.weight_elements;
  return json;
}

Json passed_json(const PassedActivations& passed) {
  Json json;
  json["emission"] = passed.emission;
  json["values"] = passed.values;
  json["mean_bits"] = number(passed.mean_bits);
  json["in_float"] = Json::array();
  for (const FloatActivation& tensor : passed.in_float) {
    Json entry;
    entry["name"] = tensor.name;
    entry["type"] = tensor.type;
    entry["elements"] = tensor.elements;
    entry["share"] = number(tensor.share);
    json["in_float"].push_back(std::move(entry));
  }
  return json;
}

Json step_json(const SearchStep& step) {
  Json json;
  json["weight_bits"] = number(step.weight_bits);
  json["activation_bits"] = number(step.activation_bits);
  json["loss"] = number(step.loss);
  json["predicted"] = number(step.predicted);
  json["note"] = step.note;
  return json;
}

Json study_plan_json(const ThresholdStudy::Plan& plan) {
  Json json;
  json["weight_bits"] = number(plan.weight_bits);
  json["activation_bits"] = number(plan.activation_bits);
  json["tensor_mean_bits"] = number(plan.tensor_mean_bits);
  json["loss"] = number(plan.loss);
  return json;
}

Json study_json(const ThresholdStudy& study) {
  Json json;
  json["weights"] = number(study.weights);
  json["activations"] = number(study.activations);
  json["chosen_by"] = study.chosen_by;
  json["samples"] = study.samples;
  json["weight_thresholds"] = study.weight_thresholds;
  json["activation_thresholds"] = study.activation_thresholds;
  json["plans"] = list_json(study.plans, study_plan_json);
  json["cells"] = study.cells;
  return json;
}

Json metric_json(const MetricResult& metric) {
  Json json;
  json["name"] = metric.name;
  json["reference"] = number(metric.reference);
  json["quantized"] = number(metric.quantized);
  json["exact"] = number(metric.exact);
  json["confidence_low"] = number(metric.confidence_low);
  json["confidence_high"] = number(metric.confidence_high);
  json["samples"] = metric.samples;
  json["samples_from"] = metric.samples_from;
  json["held_out"] = metric.held_out;
  json["limit"] = number(metric.limit);
  json["certified"] = metric.certified;
  json["verdict"] = metric.verdict;
  return json;
}

Json emission_json(const EmissionResult& emission) {
  Json json;
  json["emission"] = emission.emission;
  json["score"] = number(emission.score);
  json["loss"] = number(emission.loss);
  json["low"] = number(emission.low);
  json["high"] = number(emission.high);
  json["upper_bound"] = number(emission.upper_bound);
  json["bound_method"] = emission.bound_method;
  json["certified"] = emission.certified;
  json["samples"] = emission.samples;
  json["samples_needed"] = emission.samples_needed;
  json["bytes"] = emission.bytes;
  json["graph_bytes"] = emission.graph_bytes;
  json["bits_on_disk"] = number(emission.bits_on_disk);
  return json;
}

Json split_json(const SplitRecipe& split) {
  Json json;
  json["solve"] = split.solve;
  json["search"] = split.search;
  json["judge"] = split.judge;
  json["hash"] = split.hash;
  json["note"] = split.note;
  return json;
}

// --- reading ---

// Reads members of one JSON object; every error names where the object is and which key is wrong.
class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail(fmt::format("an object is expected here, not {}", json.type_name()));
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: {}; restore the file or quantize the model again", where_, what));
  }

  bool has(const char* key) const { return json_.contains(key); }

  const Json& get(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail(fmt::format("'{}' is missing", key));
    return *found;
  }

  std::string text(const char* key) const {
    if (!get(key).is_string()) fail_type(key, "a string");
    return get(key).get<std::string>();
  }

  double number(const char* key) const {
    const Json& value = get(key);
    if (value.is_number()) return value.get<double>();
    if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (value == "inf") return std::numeric_limits<double>::infinity();
    if (value == "-inf") return -std::numeric_limits<double>::infinity();
    fail_type(key, "a number, null, \"inf\" or \"-inf\"");
  }

  std::vector<double> numbers(const char* key) const {
    std::vector<double> values;
    for (const Json& value : list(key)) {
      if (!value.is_number()) fail(fmt::format("'{}' must hold numbers", key));
      values.push_back(value.get<double>());
    }
    return values;
  }

  bool boolean(const char* key) const {
    if (!get(key).is_boolean()) fail_type(key, "true or false");
    return get(key).get<bool>();
  }

  int64_t count(const char* key, int64_t low = 0, int64_t high = std::numeric_limits<int64_t>::max()) const {
    return checked_count(get(key), key, low, high);
  }

  int small_count(const char* key, int low, int high) const { return static_cast<int>(count(key, low, high)); }

  uint64_t unsigned_integer(const char* key) const {
    if (!get(key).is_number_unsigned()) fail_type(key, "an integer that is not negative");
    return get(key).get<uint64_t>();
  }

  const Json& list(const char* key) const {
    if (!get(key).is_array()) fail_type(key, "a list");
    return get(key);
  }

  std::vector<int64_t> counts(const char* key) const {
    std::vector<int64_t> values;
    for (const Json& value : list(key))
      values.push_back(checked_count(value, key, 0, std::numeric_limits<int64_t>::max()));
    return values;
  }

  Reader object(const char* key) const { return {get(key), fmt::format("{}, {}", where_, key)}; }

  // For values that have a reader of their own, which does not know where they come from.
  template <class Function>
  auto named(Function function) const {
    try {
      return function();
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", where_, error.what()));
    }
  }

 private:
  [[noreturn]] void fail_type(const char* key, const std::string& expected) const {
    fail(fmt::format("'{}' must be {}, not {}", key, expected, get(key).type_name()));
  }

  int64_t checked_count(const Json& value, const char* key, int64_t low, int64_t high) const {
    // The parser calls what does not fit int64 unsigned, and negative numbers signed.
    const bool fits = value.is_number_integer() &&
                      !(value.is_number_unsigned() &&
                        value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (fits && value.get<int64_t>() >= low && value.get<int64_t>() <= high) return value.get<int64_t>();
    if (high == std::numeric_limits<int64_t>::max())
      fail(fmt::format("'{}' must hold integers of at least {}", key, low));
    fail(fmt::format("'{}' must be an integer from {} to {}", key, low, high));
  }

  const Json& json_;
  std::string where_;
};

TensorCode read_code(const Reader& reader, const std::string& tensor) {
  TensorCode code;
  code.stored_bits = reader.small_count("stored_bits", kMinStoredBits, kMaxStoredBits);
  const int most_levels = (1 << code.stored_bits) - 1;
  code.negative_levels = reader.small_count("negative_levels", 0, most_levels);
  code.positive_levels = reader.small_count("positive_levels", 0, most_levels);
  code.family = reader.named([&] { return family_from_string(reader.text("family"), &code.pow2_q); });
  code.base = reader.number("base");
  code.alpha = reader.number("alpha");
  code.beta = reader.number("beta");
  code.arithmetic = reader.named([&] { return arithmetic_from_string(reader.text("arithmetic")); });
  code.grid = reader.number("grid");
  code.rounding = reader.named([&] { return rounding_from_string(reader.text("rounding")); });
  if (reader.has("exponent_bits") && exponent_bits(code) != reader.small_count("exponent_bits", 1, kMaxStoredBits))
    reader.fail("'exponent_bits' contradicts the numbers of levels");
  reader.named([&] { validate(code, tensor); });
  return code;
}

TensorRecipe read_tensor(const Reader& reader) {
  TensorRecipe tensor;
  tensor.tensor = reader.text("tensor");
  tensor.shape = reader.counts("shape");
  tensor.elements = reader.count("elements");
  tensor.code = read_code(reader.object("code"), tensor.tensor);
  tensor.rmae = reader.number("rmae");
  tensor.sqnr_db = reader.number("sqnr_db");
  tensor.uniform_sqnr_db = reader.number("uniform_sqnr_db");
  tensor.bytes = reader.count("bytes");
  tensor.sensitivity = reader.number("sensitivity");
  tensor.distribution = reader.text("distribution");
  if (reader.has("centered")) tensor.centered = reader.boolean("centered");
  return tensor;
}

StandardCodes read_standard(const Reader& reader, const std::string& tensor) {
  StandardCodes standard;
  standard.code = read_code(reader.object("code"), tensor);
  standard.rmae = reader.number("rmae");
  standard.sqnr_db = reader.number("sqnr_db");
  standard.output_sqnr_db = reader.number("output_sqnr_db");
  return standard;
}

LayerRecipe read_layer(const Json& json, const std::string& source, size_t position) {
  LayerRecipe layer;
  layer.name = Reader(json, fmt::format("{}, layer {} of the list", source, position)).text("name");
  const Reader reader(json, fmt::format("{}, layer '{}'", source, layer.name));
  layer.type = reader.text("type");
  layer.weight_shape = reader.counts("weight_shape");
  layer.macs = reader.count("macs");
  layer.weights = read_tensor(reader.object("weights"));
  if (!reader.get("activations").is_null()) layer.activations = read_tensor(reader.object("activations"));
  if (reader.has("standard_weights") && !reader.get("standard_weights").is_null())
    layer.standard_weights = read_standard(reader.object("standard_weights"), layer.weights.tensor);
  layer.output_sqnr_db = reader.number("output_sqnr_db");
  layer.nearest_output_sqnr_db = reader.number("nearest_output_sqnr_db");
  layer.shares_weights_with = reader.text("shares_weights_with");
  if (reader.has("had_own_copy")) layer.had_own_copy = reader.boolean("had_own_copy");
  return layer;
}

UnquantizedLayer read_unquantized(const Reader& reader) {
  UnquantizedLayer layer;
  layer.name = reader.text("name");
  layer.type = reader.text("type");
  layer.reason = reader.text("reason");
  layer.weight_elements = reader.count("weight_elements");
  return layer;
}

PassedActivations read_passed(const Reader& reader, const std::string& source) {
  PassedActivations passed;
  passed.emission = reader.text("emission");
  passed.values = reader.count("values");
  passed.mean_bits = reader.number("mean_bits");
  for (const Json& json : reader.list("in_float")) {
    const Reader entry(json, fmt::format("{}, float activation {} of the list", source, passed.in_float.size() + 1));
    passed.in_float.push_back({entry.text("name"), entry.text("type"), entry.count("elements"), entry.number("share")});
  }
  return passed;
}

SearchStep read_step(const Reader& reader) {
  SearchStep step;
  step.weight_bits = reader.number("weight_bits");
  step.activation_bits = reader.number("activation_bits");
  step.loss = reader.number("loss");
  step.predicted = reader.number("predicted");
  step.note = reader.text("note");
  return step;
}

ThresholdStudy read_study(const Reader& reader, const std::string& source) {
  ThresholdStudy study;
  study.weights = reader.number("weights");
  study.activations = reader.number("activations");
  study.chosen_by = reader.text("chosen_by");
  study.samples = reader.count("samples");
  study.weight_thresholds = reader.numbers("weight_thresholds");
  study.activation_thresholds = reader.numbers("activation_thresholds");
  for (const Json& plan : reader.list("plans")) {
    const Reader one(plan, fmt::format("{}, thresholds, plan {} of the list", source, study.plans.size() + 1));
    study.plans.push_back(
        {one.number("weight_bits"), one.number("activation_bits"), one.number("tensor_mean_bits"), one.number("loss")});
  }
  study.cells = reader.counts("cells");
  if (study.cells.size() != study.weight_thresholds.size() * study.activation_thresholds.size())
    reader.fail("'cells' must have one number for each pair of thresholds");
  for (const int64_t plan : study.cells)
    if (plan >= static_cast<int64_t>(study.plans.size())) reader.fail("'cells' must hold indices of 'plans'");
  return study;
}

MetricResult read_metric(const Reader& reader) {
  MetricResult metric;
  metric.name = reader.text("name");
  metric.reference = reader.number("reference");
  metric.quantized = reader.number("quantized");
  metric.exact = reader.number("exact");
  metric.confidence_low = reader.number("confidence_low");
  metric.confidence_high = reader.number("confidence_high");
  metric.samples = reader.count("samples");
  metric.samples_from = reader.text("samples_from");
  metric.held_out = reader.has("held_out")
                        ? reader.boolean("held_out")
                        : metric.samples > 0 && !metric.samples_from.starts_with("calibration itself");
  if (reader.has("limit")) metric.limit = reader.number("limit");
  if (reader.has("certified")) metric.certified = reader.boolean("certified");
  if (reader.has("verdict")) metric.verdict = reader.text("verdict");
  return metric;
}

EmissionResult read_emission(const Reader& reader) {
  EmissionResult emission;
  emission.emission = reader.text("emission");
  emission.score = reader.number("score");
  emission.loss = reader.number("loss");
  emission.low = reader.number("low");
  emission.high = reader.number("high");
  emission.upper_bound = reader.number("upper_bound");
  emission.bound_method = reader.text("bound_method");
  emission.certified = reader.boolean("certified");
  emission.samples = reader.count("samples");
  emission.samples_needed = reader.count("samples_needed");
  emission.bytes = reader.count("bytes");
  emission.graph_bytes = reader.count("graph_bytes");
  emission.bits_on_disk = reader.number("bits_on_disk");
  return emission;
}

SplitRecipe read_split(const Reader& reader) {
  SplitRecipe split;
  split.solve = reader.count("solve");
  split.search = reader.count("search");
  split.judge = reader.count("judge");
  split.hash = reader.text("hash");
  split.note = reader.text("note");
  return split;
}

void check_version(const Reader& reader, const std::string& source) {
  const int64_t version = reader.count("version", 1);
  if (version > kRecipeVersion)
    throw Error(
        fmt::format("{} is a recipe of version {}, and this dnateq reads versions up to {}; update dnateq, or "
                    "quantize the model with this one",
                    source, version, kRecipeVersion));
}

// Emission takes the codes of a shared layer from the layer it names, so that one must come first and own its codes.
void check_sharing(const std::vector<LayerRecipe>& layers, const std::string& source) {
  std::set<std::string> owners;
  for (const LayerRecipe& layer : layers) {
    if (layer.shares_weights_with.empty())
      owners.insert(layer.name);
    else if (!owners.contains(layer.shares_weights_with))
      throw Error(
          fmt::format("{}, layer '{}': it shares the weights of '{}', which is no earlier layer with weights of "
                      "its own; restore the file or quantize the model again",
                      source, layer.name, layer.shares_weights_with));
  }
}

// --- bits ---

constexpr double kFloatBits = 32, kInt8Bits = 8;

// An embedding's input is a table of indices, not a tensor that could be quantized.
bool has_activations(const std::string& layer_type) { return layer_type != "Gather"; }

struct BitSums {
  double bits = 0, values = 0;          // weighted by size
  double tensor_bits = 0, tensors = 0;  // every tensor alike

  void count_tensor(double bits_per_value) {
    tensor_bits += bits_per_value;
    tensors += 1;
  }

  BitSummary summary() const {
    BitSummary summary;
    if (tensors > 0) summary.tensor_mean_bits = tensor_bits / tensors;
    if (values > 0) summary.stored_bits = bits / values;
    if (bits > 0) {
      summary.compression_vs_fp32 = kFloatBits / summary.stored_bits;
      summary.compression_vs_int8 = kInt8Bits / summary.stored_bits;
    }
    return summary;
  }
};

BitSums weight_sums(const Recipe& recipe) {
  BitSums sums;
  for (const LayerRecipe& layer : recipe.layers) {
    if (!layer.shares_weights_with.empty()) {  // the same tensor again: no bytes, unless in a second form
      sums.bits += 8 * static_cast<double>(layer.weights.bytes);
      if (layer.had_own_copy) sums.values += static_cast<double>(layer.weights.elements);
      continue;
    }
    sums.bits += 8 * static_cast<double>(layer.weights.bytes);
    sums.values += static_cast<double>(layer.weights.elements);
    sums.count_tensor(layer.weights.code.stored_bits);
  }
  for (const UnquantizedLayer& layer : recipe.unquantized) {
    if (layer.weight_elements == 0) continue;
    sums.bits += kFloatBits * static_cast<double>(layer.weight_elements);
    sums.values += static_cast<double>(layer.weight_elements);
    sums.count_tensor(kFloatBits);
  }
  return sums;
}

BitSums activation_sums(const Recipe& recipe) {
  BitSums sums;
  for (const LayerRecipe& layer : recipe.layers) {
    if (layer.activations) {
      const double bits = layer.activations->code.stored_bits;
      sums.bits += bits * static_cast<double>(layer.activations->elements);
      sums.values += static_cast<double>(layer.activations->elements);
      sums.count_tensor(bits);
    } else if (has_activations(layer.type)) {
      sums.count_tensor(kFloatBits);  // how many values is not recorded
    }
  }
  for (const UnquantizedLayer& layer : recipe.unquantized)
    if (layer.weight_elements > 0 && has_activations(layer.type)) sums.count_tensor(kFloatBits);
  return sums;
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  // A folder opens like a file and throws only when it is read.
  if (!stream || std::filesystem::is_directory(file))
    throw Error(fmt::format("{} cannot be read; check that the file exists and that you may read it", file.string()));
  return {std::istreambuf_iterator<char>(stream), {}};
}

// In the same folder, because a rename is atomic only there; unique, because two runs may save side by side.
std::filesystem::path temporary_name(const std::filesystem::path& file) {
  std::random_device random;
  std::filesystem::path name = file;
  name += fmt::format(".{:08x}.tmp", random());
  return name;
}

}  // namespace

const char* to_string(TargetIsa target) { return target == TargetIsa::kVnni ? "vnni" : "any"; }

TargetIsa target_isa_from_string(const std::string& text) {
  for (const TargetIsa target : {TargetIsa::kAny, TargetIsa::kVnni})
    if (text == to_string(target)) return target;
  throw Error(fmt::format("'{}' is no target instruction set; it is any or vnni", text));
}

BitSummary weight_bits(const Recipe& recipe) { return weight_sums(recipe).summary(); }

BitSummary activation_bits(const Recipe& recipe) {
  BitSums sums = activation_sums(recipe);
  // Weights alone were quantized: all inputs are FP32, however many values they have.
  if (sums.values == 0 && sums.tensors > 0) {
    sums.values = 1;
    sums.bits = kFloatBits;
  }
  return sums.summary();
}

double all_tensor_mean_bits(const Recipe& recipe) {
  const BitSums weights = weight_sums(recipe), activations = activation_sums(recipe);
  const double tensors = weights.tensors + activations.tensors;
  return tensors > 0 ? (weights.tensor_bits + activations.tensor_bits) / tensors : 0;
}

double share_in_float(const PassedActivations& passed) {
  double share = 0;
  for (const FloatActivation& tensor : passed.in_float) share += tensor.share;
  return share;
}

std::string to_json(const Recipe& recipe) {
  Json json;
  json["version"] = recipe.version;
  json["model_file"] = recipe.model_file;
  json["model_fingerprint"] = recipe.model_fingerprint;
  json["data_fingerprint"] = recipe.data_fingerprint;
  json["options"] = recipe.options;
  json["strategy"] = recipe.strategy;
  json["seed"] = recipe.seed;
  json["target_isa"] = to_string(recipe.target_isa);
  json["metric"] = recipe.metric ? metric_json(*recipe.metric) : Json();
  json["emissions"] = list_json(recipe.emissions, emission_json);
  json["split"] = recipe.split ? split_json(*recipe.split) : Json();
  json["layers"] = list_json(recipe.layers, layer_json);
  json["unquantized"] = list_json(recipe.unquantized, unquantized_json);
  json["parameters"] = recipe.parameters;
  json["passed_activations"] = passed_json(recipe.passed);
  json["steps"] = list_json(recipe.steps, step_json);
  json["thresholds"] = recipe.thresholds ? study_json(*recipe.thresholds) : Json();
  try {
    return json.dump(1) + "\n";
  } catch (const Json::exception&) {
    throw Error(
        fmt::format("the recipe of '{}' holds a name that is not UTF-8; rename the model's layers", recipe.model_file));
  }
}

Recipe recipe_from_json(const std::string& text, const std::string& source) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    const std::string reason = error.what();  // behind "[json.exception.parse_error.101] "
    throw Error(fmt::format("{} is not valid JSON ({}); restore the file or quantize the model again", source,
                            reason.substr(std::min(reason.find("] ") + 2, reason.size()))));
  }
  const Reader reader(json, source);
  check_version(reader, source);  // first, since nothing else is known of a newer version
  Recipe recipe;                  // of the current version, whichever the file has
  recipe.model_file = reader.text("model_file");
  recipe.model_fingerprint = reader.text("model_fingerprint");
  recipe.data_fingerprint = reader.text("data_fingerprint");
  recipe.options = reader.text("options");
  recipe.strategy = reader.text("strategy");
  recipe.seed = reader.unsigned_integer("seed");
  recipe.target_isa = TargetIsa::kVnni;
  if (reader.has("target_isa"))
    recipe.target_isa = reader.named([&] { return target_isa_from_string(reader.text("target_isa")); });
  if (!reader.get("metric").is_null()) recipe.metric = read_metric(reader.object("metric"));
  if (reader.has("emissions"))  // older recipes have none
    for (const Json& emission : reader.list("emissions"))
      recipe.emissions.push_back(read_emission(
          Reader(emission, fmt::format("{}, emission {} of the list", source, recipe.emissions.size() + 1))));
  if (reader.has("split") && !reader.get("split").is_null()) recipe.split = read_split(reader.object("split"));
  for (const Json& layer : reader.list("layers"))
    recipe.layers.push_back(read_layer(layer, source, recipe.layers.size() + 1));
  check_sharing(recipe.layers, source);
  for (const Json& layer : reader.list("unquantized"))
    recipe.unquantized.push_back(read_unquantized(
        Reader(layer, fmt::format("{}, unquantized layer {} of the list", source, recipe.unquantized.size() + 1))));
  if (reader.has("parameters")) recipe.parameters = reader.count("parameters");  // older recipes lack both
  if (reader.has("passed_activations")) recipe.passed = read_passed(reader.object("passed_activations"), source);
  for (const Json& step : reader.list("steps"))
    recipe.steps.push_back(
        read_step(Reader(step, fmt::format("{}, search step {} of the list", source, recipe.steps.size() + 1))));
  if (reader.has("thresholds") && !reader.get("thresholds").is_null())  // older recipes have none
    recipe.thresholds = read_study(reader.object("thresholds"), source);
  return recipe;
}

Recipe load_recipe(const std::filesystem::path& file) { return recipe_from_json(read_file(file), file.string()); }

void save_recipe(const Recipe& recipe, const std::filesystem::path& file) {
  const std::string text = to_json(recipe);
  const std::filesystem::path temporary = temporary_name(file);
  std::ofstream stream(temporary, std::ios::binary);
  stream << text;
  stream.close();
  std::error_code error;
  if (stream) std::filesystem::rename(temporary, file, error);
  if (stream && !error) return;
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  throw Error(
      fmt::format("{} cannot be written; check that its folder exists, is writable and has room left", file.string()));
}

}  // namespace dnateq
