#include "quantize/describe.h"

#include <cmath>
#include <map>

#include "core/channel_scale.h"
#include "core/distribution.h"
#include "search/fit.h"

namespace dnateq {
namespace {

TensorRecipe describe_activation(const ActivationMeasurement& m, const TensorCode& code) {
  TensorRecipe t;
  t.tensor = m.tensor;
  t.shape = m.shape;
  t.elements = std::llround(m.values);
  t.code = code;
  const FitData data = FitData::from_histogram(m.histogram);
  t.rmae = data.magnitude() > 0 ? data.absolute_error(code) / data.magnitude() : 0;
  const double relative = data.power() > 0 ? data.squared_error(code) / data.power() : 0;
  t.sqnr_db = sqnr_db(relative);
  t.uniform_sqnr_db = sqnr_db(fit_uniform(data, code).relative_error);
  t.sensitivity = m.sensitivity * relative;
  t.distribution = best_of_paper_families(fit_distributions(m.histogram));
  return t;
}

int64_t macs_of(const Layer& layer, const ActivationMeasurement& m) {
  if (layer.kind == LayerKind::kMatMul)
    return std::llround(m.values / static_cast<double>(layer.columns)) * layer.rows * layer.columns;
  const ov::PartialShape in = layer.node->get_input_partial_shape(0), out = layer.node->get_output_partial_shape(0);
  double image = 1;
  for (int64_t i = 1; i < in.rank().get_length(); ++i) {
    if (in[static_cast<size_t>(i)].is_dynamic()) return 0;
    image *= static_cast<double>(in[static_cast<size_t>(i)].get_length());
  }
  int64_t positions = std::llround(m.values / image);  // images of a sample: frames, say
  for (int64_t i = 2; i < out.rank().get_length(); ++i) {
    if (out[static_cast<size_t>(i)].is_dynamic()) return 0;
    positions *= out[static_cast<size_t>(i)].get_length();
  }
  return positions * layer.rows * layer.columns;
}

}  // namespace

void describe_layers(const PreparedModel& prepared, const Measurements& measurements,
                     const std::vector<SolvedLayer>& solved, QuantizeResult& result) {
  Recipe& recipe = result.recipe;
  recipe.model_fingerprint = prepared.fingerprint;
  recipe.unquantized = prepared.unquantized;
  recipe.parameters = prepared.parameters;
  std::map<size_t, TensorRecipe> described;  // activation tensors, once
  result.bytes_fp32 = 4 * prepared.parameters;
  result.bytes_int8 = result.bytes_fp32;
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    const auto& [plan, solution] = solved[l];
    LayerRecipe entry;
    entry.name = layer.name;
    entry.type = layer.node->get_type_name();
    const ov::Shape shape = layer.weights()->get_shape();
    entry.weight_shape.assign(shape.begin(), shape.end());
    entry.had_own_copy = layer.had_own_copy;
    if (layer.shares_weights_with) entry.shares_weights_with = prepared.layers[*layer.shares_weights_with].name;
    // A byte a weight and a float32 scale a channel, wherever the network holds weights of its own.
    if (!layer.shares_weights_with || layer.had_own_copy)
      result.bytes_int8 -= 3 * layer.rows * layer.columns - 4 * layer.rows;

    const std::vector<float> weights = layer.weight_matrix();
    Histogram raw;
    raw.add(weights);
    TensorRecipe& w = entry.weights;
    w.tensor = layer.weights()->get_friendly_name();
    w.shape = {layer.rows, layer.columns};
    w.elements = layer.rows * layer.columns;
    w.code = solution.code;
    w.scale_exponent = solution.scale_exponent;
    w.rmae = solution.weight_rmae;
    w.sqnr_db = sqnr_db(solution.weight_relative_error);
    w.uniform_sqnr_db = sqnr_db(solution.uniform_relative_error);
    w.sensitivity = measurements.layers[l].weights.divergence[static_cast<size_t>(solution.code.stored_bits)];
    w.distribution = best_of_paper_families(fit_distributions(raw));
    QuantizeResult::View view{layer.name, true, {}};
    std::vector<float> scaled(weights.size());
    for (size_t i = 0, row = 0; i < weights.size(); ++row) {
      const float scale = channel_scale(solution.gamma[row], solution.scale_exponent);
      for (const size_t end = i + static_cast<size_t>(layer.columns); i < end; ++i) scaled[i] = weights[i] / scale;
    }
    view.histogram.add(scaled);
    result.views.push_back(std::move(view));
    entry.output_sqnr_db = sqnr_db(solution.output_relative_error);
    entry.nearest_output_sqnr_db = sqnr_db(solution.nearest_output_relative_error);

    if (plan.activations) {
      const ActivationMeasurement& m = *measurements.entering(l);
      const size_t a = *measurements.layers[l].activation;
      if (!described.contains(a)) described[a] = describe_activation(m, *plan.activations);
      entry.activations = described[a];
      entry.activations->code = *plan.activations;
      entry.activations->centered = layer.centered;
      result.views.push_back({layer.name, false, m.histogram});
      entry.macs = macs_of(layer, m);
    }
    recipe.layers.push_back(std::move(entry));
  }
}

void describe_main_codes(const std::vector<SolvedLayer>& solved, Recipe& recipe) {
  for (size_t l = 0; l < solved.size(); ++l) {
    const LayerSolution& solution = solved[l].solution;
    StandardCodes standard;
    standard.code = solution.code;
    standard.scale_exponent = solution.scale_exponent;
    standard.rmae = solution.weight_rmae;
    standard.sqnr_db = sqnr_db(solution.weight_relative_error);
    standard.output_sqnr_db = sqnr_db(solution.output_relative_error);
    recipe.layers[l].standard_weights = standard;
  }
}

}  // namespace dnateq
