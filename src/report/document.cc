#include "report/document.h"

#include <map>
#include <nlohmann/json.hpp>

#include "report/advice.h"
#include "report/tensor_view.h"

namespace dnateq {
namespace {

using nlohmann::json;

json bits_document(const BitSummary& bits) {
  return {{"stored_bits", for_display(bits.stored_bits)},
          {"tensor_mean_bits", for_display(bits.tensor_mean_bits)},
          {"compression_vs_fp32", for_display(bits.compression_vs_fp32)},
          {"compression_vs_int8", for_display(bits.compression_vs_int8)}};
}

json metric_document(const ReportInput& input) {
  if (!input.recipe.metric) return nullptr;
  const MetricResult& metric = *input.recipe.metric;
  const bool is_fraction = metric.name == "top1" || metric.name == "top5" || metric.name == "agreement";
  return {{"name", metric.name},
          {"is_fraction", is_fraction},
          {"reference", metric.reference},
          {"quantized", metric.quantized},
          {"exact", metric.exact},
          {"int8", input.has_int8_metric ? json(input.int8_metric) : json(nullptr)},
          {"confidence", {metric.confidence_low, metric.confidence_high}},
          {"samples", metric.samples},
          {"samples_from", metric.samples_from},
          {"held_out", metric.held_out},
          {"drop_type", metric.drop_type},
          {"limit", metric.limit},
          {"certified", metric.certified},
          {"verdict", metric.verdict}};
}

json emissions_document(const Recipe& recipe) {
  json list = json::array();
  for (const EmissionResult& e : recipe.emissions)
    list.push_back({{"emission", e.emission},
                    {"score", e.score},
                    {"loss", e.loss},
                    {"interval", {e.low, e.high}},
                    {"upper_bound", e.upper_bound},
                    {"bound_method", e.bound_method},
                    {"certified", e.certified},
                    {"samples_needed", e.samples_needed},
                    {"bytes", e.bytes},
                    {"graph_bytes", e.graph_bytes},
                    {"bits_on_disk", for_display(e.bits_on_disk)}});
  return list;
}

json summary_document(const ReportInput& input) {
  const Recipe& recipe = input.recipe;
  json activations = nullptr;
  for (const LayerRecipe& layer : recipe.layers)
    if (layer.activations) activations = bits_document(activation_bits(recipe));
  return {{"model", recipe.model_file},
          {"model_fingerprint", recipe.model_fingerprint},
          {"data_fingerprint", recipe.data_fingerprint},
          {"options", recipe.options},
          {"strategy", recipe.strategy},
          {"seed", recipe.seed},
          {"seconds", for_display(input.seconds)},
          {"weights", recipe.layers.empty() ? json(nullptr) : bits_document(weight_bits(recipe))},
          {"activations", activations},
          {"all_tensor_mean_bits", for_display(recipe.layers.empty() ? 0.0 : all_tensor_mean_bits(recipe))},
          {"metric", metric_document(input)},
          {"emissions", emissions_document(recipe)},
          {"emission", input.emission},
          {"low_bit_emission", low_bit_emission(recipe)},
          {"bytes",
           {{"fp32", input.bytes_fp32},
            {"int8", input.bytes_int8},
            {"int8_is_estimate", input.int8_is_estimate},
            {"standard", input.bytes_standard},
            {"exact", input.bytes_exact},
            {"ram", input.bytes_ram},
            {"ram_fp32", input.bytes_ram_fp32},
            {"ram_int8", input.bytes_ram_int8}}}};
}

json tensor_document(const TensorRecipe& tensor) {
  const TensorCode& code = tensor.code;
  return {{"tensor", tensor.tensor},
          {"shape", tensor.shape},
          {"elements", tensor.elements},
          {"bits", code.stored_bits},
          {"negative_levels", code.negative_levels},
          {"positive_levels", code.positive_levels},
          {"base", for_display(code.base)},
          {"alpha", for_display(code.alpha)},
          {"beta", for_display(code.beta)},
          {"family", to_string(code.family)},
          {"arithmetic", to_string(code.arithmetic)},
          {"rounding", to_string(code.rounding)},
          {"rmae", for_display(tensor.rmae)},
          {"sqnr_db", for_display(tensor.sqnr_db)},
          {"uniform_sqnr_db", for_display(tensor.uniform_sqnr_db)},
          {"scale_exponent", tensor.scale_exponent},
          {"bytes", tensor.bytes},
          {"sensitivity", for_display(tensor.sensitivity)},
          {"distribution", tensor.distribution}};
}

json layers_document(const Recipe& recipe) {
  json list = json::array();
  for (const LayerRecipe& layer : recipe.layers) {
    list.push_back({{"name", layer.name},
                    {"type", layer.type},
                    {"weight_shape", layer.weight_shape},
                    {"macs", layer.macs},
                    {"weights", tensor_document(layer.weights)},
                    {"activations", layer.activations ? tensor_document(*layer.activations) : json(nullptr)},
                    {"output_sqnr_db", for_display(layer.output_sqnr_db)},
                    {"nearest_output_sqnr_db", for_display(layer.nearest_output_sqnr_db)},
                    {"shares_weights_with", layer.shares_weights_with}});
  }
  return list;
}

json thresholds_document(const Recipe& recipe) {
  if (!recipe.thresholds) return nullptr;
  const ThresholdStudy& study = *recipe.thresholds;
  json plans = json::array();
  for (const ThresholdStudy::Plan& plan : study.plans)
    plans.push_back({{"weight_bits", for_display(plan.weight_bits)},
                     {"activation_bits", for_display(plan.activation_bits)},
                     {"tensor_mean_bits", for_display(plan.tensor_mean_bits)},
                     {"loss", for_display(plan.loss)}});
  return {{"weights", study.weights},
          {"activations", study.activations},
          {"chosen_by", study.chosen_by},
          {"samples", study.samples},
          {"weight_thresholds", study.weight_thresholds},
          {"activation_thresholds", study.activation_thresholds},
          {"plans", plans},
          {"cells", study.cells}};
}

// Views of tensors that the recipe does not hold are left out.
json tensors_document(const ReportInput& input) {
  std::map<std::string, size_t> index_of;
  for (size_t i = 0; i < input.recipe.layers.size(); ++i) index_of.emplace(input.recipe.layers[i].name, i);
  json list = json::array();
  for (const TensorView& view : input.tensors) {
    const auto found = index_of.find(view.layer);
    if (found == index_of.end()) continue;
    const LayerRecipe& layer = input.recipe.layers[found->second];
    if (!view.is_weights && !layer.activations) continue;
    json document = tensor_view_document(view.histogram, (view.is_weights ? layer.weights : *layer.activations).code);
    document["layer"] = found->second;
    document["is_weights"] = view.is_weights;
    list.push_back(std::move(document));
  }
  return list;
}

json passed_document(const PassedActivations& passed) {
  json list = json::array();
  for (const FloatActivation& tensor : passed.in_float)
    list.push_back(
        {{"name", tensor.name}, {"type", tensor.type}, {"elements", tensor.elements}, {"share", tensor.share}});
  return {{"emission", passed.emission},
          {"values", passed.values},
          {"mean_bits", for_display(passed.mean_bits)},
          {"in_float", list}};
}

json advice_document(const Recipe& recipe) {
  json list = json::array();
  for (const Advice& item : advise(recipe)) {
    json cases = json::array(), remedies = json::array();
    for (const Advice::Case& one : item.cases) cases.push_back({{"subject", one.subject}, {"finding", one.finding}});
    for (const Advice::Remedy& one : item.remedies) remedies.push_back({{"text", one.text}, {"command", one.command}});
    list.push_back({{"cases", cases}, {"remedies", remedies}});
  }
  return list;
}

}  // namespace

json report_document(const ReportInput& input) {
  json curve = json::array();
  for (const auto& [bits, divergence] : input.bits_loss_curve)
    curve.push_back(json::array({for_display(bits), for_display(divergence)}));
  json steps = json::array();
  for (const SearchStep& step : input.recipe.steps)
    steps.push_back({{"weight_bits", for_display(step.weight_bits)},
                     {"activation_bits", for_display(step.activation_bits)},
                     {"loss", for_display(step.loss)},
                     {"predicted", for_display(step.predicted)},
                     {"note", step.note}});
  json unquantized = json::array();
  for (const UnquantizedLayer& layer : input.recipe.unquantized)
    unquantized.push_back({{"name", layer.name},
                           {"type", layer.type},
                           {"reason", layer.reason},
                           {"weight_elements", layer.weight_elements}});
  return {{"summary", summary_document(input)},
          {"advice", advice_document(input.recipe)},
          {"layers", layers_document(input.recipe)},
          {"tensors", tensors_document(input)},
          {"curve", curve},
          {"steps", steps},
          {"thresholds", thresholds_document(input.recipe)},
          {"unquantized", unquantized},
          {"passed", passed_document(input.recipe.passed)}};
}

std::string script_safe_json(const json& document) {
  const std::string text = document.dump(-1, ' ', true, json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size() + 64);
  for (const char c : text) c == '<' ? safe += "\\u003c" : safe += c;
  return safe;
}

}  // namespace dnateq
