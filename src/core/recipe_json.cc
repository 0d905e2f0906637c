// The recipe as JSON. Keys are the names of the structs' members; all are required but those that came later, others
// are ignored.
#include <fmt/format.h>

#include <optional>
#include <set>
#include <utility>

#include "core/atomic_file.h"
#include "core/channel_scale.h"
#include "core/document.h"
#include "core/tensor_document.h"
#include "dnateq/error.h"
#include "dnateq/recipe.h"

namespace dnateq {
namespace {

using Json = Document;
using Reader = DocumentReader;

constexpr const char* kRemedy = "restore the file or quantize the model again";

// --- writing ---

template <class T>
Json list_json(const std::vector<T>& items, Json (*item_json)(const T&)) {
  Json json = Json::array();
  for (const T& item : items) json.push_back(item_json(item));
  return json;
}

Json tensor_json(const TensorRecipe& tensor) {
  Json json;
  json["tensor"] = tensor.tensor;
  json["shape"] = tensor.shape;
  json["elements"] = tensor.elements;
  json["code"] = code_document(tensor.code);
  json["rmae"] = number_document(tensor.rmae);
  json["sqnr_db"] = number_document(tensor.sqnr_db);
  json["uniform_sqnr_db"] = number_document(tensor.uniform_sqnr_db);
  json["bytes"] = tensor.bytes;
  json["sensitivity"] = number_document(tensor.sensitivity);
  json["distribution"] = tensor.distribution;
  if (tensor.scale_exponent != 0) json["scale_exponent"] = tensor.scale_exponent;
  if (tensor.centered) json["centered"] = true;
  return json;
}

Json standard_json(const StandardCodes& standard) {
  Json json;
  json["code"] = code_document(standard.code);
  json["rmae"] = number_document(standard.rmae);
  json["sqnr_db"] = number_document(standard.sqnr_db);
  json["output_sqnr_db"] = number_document(standard.output_sqnr_db);
  if (standard.scale_exponent != 0) json["scale_exponent"] = standard.scale_exponent;
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
  json["output_sqnr_db"] = number_document(layer.output_sqnr_db);
  json["nearest_output_sqnr_db"] = number_document(layer.nearest_output_sqnr_db);
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
  json["mean_bits"] = number_document(passed.mean_bits);
  json["in_float"] = Json::array();
  for (const FloatActivation& tensor : passed.in_float) {
    Json entry;
    entry["name"] = tensor.name;
    entry["type"] = tensor.type;
    entry["elements"] = tensor.elements;
    entry["share"] = number_document(tensor.share);
    json["in_float"].push_back(std::move(entry));
  }
  return json;
}

Json step_json(const SearchStep& step) {
  Json json;
  json["weight_bits"] = number_document(step.weight_bits);
  json["activation_bits"] = number_document(step.activation_bits);
  json["loss"] = number_document(step.loss);
  json["predicted"] = number_document(step.predicted);
  json["note"] = step.note;
  return json;
}

Json study_plan_json(const ThresholdStudy::Plan& plan) {
  Json json;
  json["weight_bits"] = number_document(plan.weight_bits);
  json["activation_bits"] = number_document(plan.activation_bits);
  json["tensor_mean_bits"] = number_document(plan.tensor_mean_bits);
  json["loss"] = number_document(plan.loss);
  return json;
}

Json study_json(const ThresholdStudy& study) {
  Json json;
  json["weights"] = number_document(study.weights);
  json["activations"] = number_document(study.activations);
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
  json["reference"] = number_document(metric.reference);
  json["quantized"] = number_document(metric.quantized);
  json["exact"] = number_document(metric.exact);
  json["confidence_low"] = number_document(metric.confidence_low);
  json["confidence_high"] = number_document(metric.confidence_high);
  json["samples"] = metric.samples;
  json["samples_from"] = metric.samples_from;
  json["held_out"] = metric.held_out;
  json["drop_type"] = metric.drop_type;
  json["limit"] = number_document(metric.limit);
  json["certified"] = metric.certified;
  json["verdict"] = metric.verdict;
  return json;
}

Json emission_json(const EmissionResult& emission) {
  Json json;
  json["emission"] = emission.emission;
  json["score"] = number_document(emission.score);
  json["loss"] = number_document(emission.loss);
  json["low"] = number_document(emission.low);
  json["high"] = number_document(emission.high);
  json["upper_bound"] = number_document(emission.upper_bound);
  json["bound_method"] = emission.bound_method;
  json["certified"] = emission.certified;
  json["samples"] = emission.samples;
  json["samples_needed"] = emission.samples_needed;
  json["bytes"] = emission.bytes;
  json["graph_bytes"] = emission.graph_bytes;
  json["bits_on_disk"] = number_document(emission.bits_on_disk);
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

int read_scale_exponent(const Reader& reader) {
  return reader.has("scale_exponent") ? reader.small_count("scale_exponent", kLeastScaleExponent, kMostScaleExponent)
                                      : 0;
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
  tensor.scale_exponent = read_scale_exponent(reader);
  if (reader.has("centered")) tensor.centered = reader.boolean("centered");
  return tensor;
}

StandardCodes read_standard(const Reader& reader, const std::string& tensor) {
  StandardCodes standard;
  standard.code = read_code(reader.object("code"), tensor);
  standard.rmae = reader.number("rmae");
  standard.sqnr_db = reader.number("sqnr_db");
  standard.output_sqnr_db = reader.number("output_sqnr_db");
  standard.scale_exponent = read_scale_exponent(reader);
  return standard;
}

LayerRecipe read_layer(const Json& json, const std::string& name, const std::string& source) {
  LayerRecipe layer;
  layer.name = name;
  const Reader reader(json, fmt::format("{}, layer '{}'", source, layer.name), kRemedy);
  layer.type = reader.text("type");
  layer.weight_shape = reader.counts("weight_shape");
  layer.macs = reader.count("macs");
  layer.weights = read_tensor(reader.object("weights"));
  if (!reader.get("activations").is_null()) layer.activations = read_tensor(reader.object("activations"));
  if (reader.has_value("standard_weights"))
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

PassedActivations read_passed(const Reader& reader) {
  PassedActivations passed;
  passed.emission = reader.text("emission");
  passed.values = reader.count("values");
  passed.mean_bits = reader.number("mean_bits");
  passed.in_float = reader.items("in_float", "float activation", [](const Reader& entry) {
    return FloatActivation{entry.text("name"), entry.text("type"), entry.count("elements"), entry.number("share")};
  });
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

ThresholdStudy read_study(const Reader& reader) {
  ThresholdStudy study;
  study.weights = reader.number("weights");
  study.activations = reader.number("activations");
  study.chosen_by = reader.text("chosen_by");
  study.samples = reader.count("samples");
  study.weight_thresholds = reader.numbers("weight_thresholds");
  study.activation_thresholds = reader.numbers("activation_thresholds");
  study.plans = reader.items("plans", "plan", [](const Reader& plan) {
    return ThresholdStudy::Plan{plan.number("weight_bits"), plan.number("activation_bits"),
                                plan.number("tensor_mean_bits"), plan.number("loss")};
  });
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
  // Earlier recipes: losses by the user's own metrics were relative, all others absolute.
  constexpr std::array kNamed = {"top1", "top5", "agreement", "cosine", "kl"};
  metric.drop_type = std::find(kNamed.begin(), kNamed.end(), metric.name) != kNamed.end() ? "absolute" : "relative";
  if (reader.has("drop_type")) metric.drop_type = reader.text("drop_type");
  if (metric.drop_type != "absolute" && metric.drop_type != "relative")
    reader.fail(fmt::format("'drop_type' is '{}', which is neither absolute nor relative", metric.drop_type));
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
                      "its own; {}",
                      source, layer.name, layer.shares_weights_with, kRemedy));
  }
}

// In the same folder, because a rename is atomic only there; unique, because two runs may save side by side.
}  // namespace

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
  const Json json = parse_json(text, {source, kRemedy});
  const Reader reader(json, source, kRemedy);
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
  // Older recipes lack some of these.
  if (reader.has("emissions")) recipe.emissions = reader.items("emissions", "emission", read_emission);
  if (reader.has_value("split")) recipe.split = read_split(reader.object("split"));
  for (const Json& layer : reader.list("layers")) {
    const std::string number = fmt::format("layer {} of the list", recipe.layers.size() + 1);
    recipe.layers.push_back(read_layer(layer, reader.item(layer, number).text("name"), source));
  }
  check_sharing(recipe.layers, source);
  recipe.unquantized = reader.items("unquantized", "unquantized layer", read_unquantized);
  if (reader.has("parameters")) recipe.parameters = reader.count("parameters");
  if (reader.has("passed_activations")) recipe.passed = read_passed(reader.object("passed_activations"));
  recipe.steps = reader.items("steps", "search step", read_step);
  if (reader.has_value("thresholds")) recipe.thresholds = read_study(reader.object("thresholds"));
  return recipe;
}

Recipe load_recipe(const std::filesystem::path& file) {
  return recipe_from_json(read_document_file(file, "check that the file exists and that you may read it"),
                          file.string());
}

void save_recipe(const Recipe& recipe, const std::filesystem::path& file) {
  write_file_atomically(file, to_json(recipe));
}

}  // namespace dnateq
