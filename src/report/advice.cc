#include "report/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace dnateq {
namespace {

constexpr size_t kMostSensitive = 4;
constexpr size_t kLowestOutputs = 4;
constexpr size_t kLargestUnquantized = 4;
constexpr int kMaxWeightBits = 7;
constexpr double kExtraBits = 0.25;         // a value, that an allocation is to spend beside the present ones
constexpr double kMostFewBits = 7.99;       // from 8 bits a value on, `exact` is not written unless it is asked for
constexpr double kEnoughOutputSqnrDb = 25;  // above it a layer's output error is not worth a line

std::string human_bytes(double bytes) {
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.3g} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.3g} MB", bytes / 1e6);
  return fmt::format("{:.3g} GB", bytes / 1e9);
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

bool shares_weights(const Recipe& recipe, const LayerRecipe& layer) {
  if (!layer.shares_weights_with.empty()) return true;
  return std::any_of(recipe.layers.begin(), recipe.layers.end(),
                     [&](const LayerRecipe& other) { return other.shares_weights_with == layer.name; });
}

// What `--ignore` would cost, by the recipe's own count of bits.
std::string price_of_fp32(const Recipe& recipe, const LayerRecipe& layer) {
  if (shares_weights(recipe, layer)) return "its weights are shared with other layers, which would stay quantized";
  Recipe without = recipe;
  std::erase_if(without.layers, [&](const LayerRecipe& other) { return other.name == layer.name; });
  without.unquantized.push_back({layer.name, layer.type, "", layer.weights.elements});
  const double more_bytes = 4.0 * double(layer.weights.elements) - double(layer.weights.bytes);
  return fmt::format("average weight bits {:.2f} → {:.2f}, {} more on disk", weight_bits(recipe).stored_bits,
                     weight_bits(without).stored_bits, human_bytes(more_bytes));
}

struct Tensor {
  const LayerRecipe* layer;
  const TensorRecipe* recipe;
  bool is_weights;
};

double sensitivity_of(const Tensor& tensor) {
  const double sensitivity = tensor.recipe->sensitivity;
  return std::isfinite(sensitivity) ? std::max(0.0, sensitivity) : 0.0;
}

std::vector<Tensor> tensors_of(const Recipe& recipe) {
  std::vector<Tensor> tensors;
  for (const LayerRecipe& layer : recipe.layers) {
    tensors.push_back({&layer, &layer.weights, true});
    if (layer.activations) tensors.push_back({&layer, &*layer.activations, false});
  }
  return tensors;
}

Advice::Remedy keep_in_fp32(const Recipe& recipe, const LayerRecipe& layer) {
  return {"Keep it in FP32: " + price_of_fp32(recipe, layer) + ".", "--ignore " + shell_quoted(layer.name)};
}

// Means of weights, and of activations where the result has codes for them: weights' mean alone would be that of
// activations too in `exact`, and is all that `cpu` takes. A recipe of several emissions keeps them, since `allocate`
// takes the emissions that were asked for, or those that such a target comes to.
std::string target_with_more_bits(const Recipe& recipe) {
  const BitSummary weights = weight_bits(recipe), activations = activation_bits(recipe);
  double room = 0, values = 0;  // up to the most bits that the search gives weights
  for (const LayerRecipe& layer : recipe.layers) {
    if (!layer.shares_weights_with.empty()) continue;
    const auto elements = static_cast<double>(layer.weights.elements);
    room += elements * std::max(0, kMaxWeightBits - layer.weights.code.stored_bits);
    values += elements;
  }
  for (const UnquantizedLayer& layer : recipe.unquantized) values += static_cast<double>(layer.weight_elements);
  const double more = values > 0 ? std::min(kExtraBits, room / values) : 0;
  std::string target = fmt::format("{:.2f}", weights.stored_bits + more);
  const bool has_exact = std::any_of(recipe.emissions.begin(), recipe.emissions.end(), [](const EmissionResult& e) {
    return e.emission == "exact" || e.emission == "counting";
  });
  const bool has_codes = std::any_of(recipe.layers.begin(), recipe.layers.end(),
                                     [](const LayerRecipe& layer) { return layer.activations.has_value(); });
  if (!has_codes || (!has_exact && activations.stored_bits >= kMaxStoredBits)) return target;
  if (activations.stored_bits >= kMaxStoredBits) return fmt::format("{}/{}", target, kMaxStoredBits);
  return fmt::format("{}/{:.2f}", target, std::min(activations.stored_bits + kExtraBits, kMostFewBits));
}

void advise_on_sensitivity(const Recipe& recipe, std::vector<Advice>& advice) {
  std::vector<Tensor> tensors = tensors_of(recipe);
  double total = 0;
  for (const Tensor& tensor : tensors) total += sensitivity_of(tensor);
  if (!(total > 0)) return;
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const Tensor& a, const Tensor& b) { return sensitivity_of(a) > sensitivity_of(b); });

  const double mean_share = 1.0 / double(tensors.size());
  Advice more_bits, at_limit;
  const LayerRecipe* worst = nullptr;
  for (size_t i = 0; i < std::min(kMostSensitive, tensors.size()); ++i) {
    const Tensor& tensor = tensors[i];
    const double share = sensitivity_of(tensor) / total;
    if (share < mean_share) break;  // no reason to act
    const int bits = tensor.recipe->code.stored_bits;
    const bool can_grow = bits < (tensor.is_weights ? kMaxWeightBits : kMaxStoredBits);
    (can_grow ? more_bits : at_limit)
        .cases.push_back(
            {tensor.layer->name,
             fmt::format("{} at {} stored bits: {:.0f} % of the divergence that all tensors together add "
                         "(mean tensor {:.1f} %).",
                         tensor.is_weights ? "Weights" : "Activations", bits, 100 * share, 100 * mean_share)});
    if (can_grow && worst == nullptr) worst = tensor.layer;
    if (!can_grow) at_limit.remedies.push_back(keep_in_fp32(recipe, *tensor.layer));
  }
  if (worst != nullptr) {
    if (recipe.strategy == "optimal") {
      more_bits.remedies.push_back(
          {"Let the allocation spend a quarter of a bit more a value: it goes where the divergence is. Nothing is "
           "measured again.",
           fmt::format("dnateq allocate DIR --target-bits {} -o DIR2", target_with_more_bits(recipe))});
    } else {
      more_bits.remedies.push_back({"Let the search allocate bits by sensitivity.", "--strategy optimal"});
    }
    Advice::Remedy fp32 = keep_in_fp32(recipe, *worst);
    fp32.text = "Or keep " + worst->name + " in FP32" + fp32.text.substr(fp32.text.find(':'));
    more_bits.remedies.push_back(std::move(fp32));
    advice.push_back(std::move(more_bits));
  }
  if (!at_limit.cases.empty()) advice.push_back(std::move(at_limit));
}

// Layers with a poor output, by what may help them.
enum class OutputRemedy { kMoreSamples, kFreerCurve, kMoreBits, kFp32 };

OutputRemedy remedy_for(const LayerRecipe& layer) {
  const bool activations_limit = layer.activations && layer.activations->sqnr_db < layer.weights.sqnr_db;
  const TensorRecipe& worst = activations_limit ? *layer.activations : layer.weights;
  if (layer.nearest_output_sqnr_db > layer.output_sqnr_db + 0.2) return OutputRemedy::kMoreSamples;
  // Not asked of weights: error-compensating rounding lowers their own SQNR on purpose.
  if (activations_limit && worst.uniform_sqnr_db > worst.sqnr_db + 0.1) return OutputRemedy::kFreerCurve;
  if (worst.code.stored_bits < (activations_limit ? kMaxStoredBits : kMaxWeightBits)) return OutputRemedy::kMoreBits;
  return OutputRemedy::kFp32;
}

Advice::Case output_case(const LayerRecipe& layer) {
  const bool activations_limit = layer.activations && layer.activations->sqnr_db < layer.weights.sqnr_db;
  const TensorRecipe& worst = activations_limit ? *layer.activations : layer.weights;
  return {
      layer.name,
      fmt::format("Output SQNR {:.1f} dB, {:.1f} dB with nearest rounding; weaker tensor: {}, {:.1f} dB at {} bits.",
                  layer.output_sqnr_db, layer.nearest_output_sqnr_db, activations_limit ? "activations" : "weights",
                  worst.sqnr_db, worst.code.stored_bits)};
}

void advise_on_outputs(const Recipe& recipe, std::vector<Advice>& advice) {
  std::vector<const LayerRecipe*> layers;
  for (const LayerRecipe& layer : recipe.layers)
    if (layer.output_sqnr_db < kEnoughOutputSqnrDb) layers.push_back(&layer);
  std::stable_sort(layers.begin(), layers.end(),
                   [](const LayerRecipe* a, const LayerRecipe* b) { return a->output_sqnr_db < b->output_sqnr_db; });
  layers.resize(std::min(kLowestOutputs, layers.size()));

  std::map<OutputRemedy, Advice> groups;
  for (const LayerRecipe* layer : layers) {
    Advice& group = groups[remedy_for(*layer)];
    group.cases.push_back(output_case(*layer));
    if (remedy_for(*layer) == OutputRemedy::kFp32) group.remedies.push_back(keep_in_fp32(recipe, *layer));
  }
  for (auto& [remedy, group] : groups) {
    if (remedy == OutputRemedy::kMoreSamples) {
      group.remedies = {
          {"Error-compensating rounding did worse than nearest rounding, a sign of too few calibration "
           "samples: give 512 or more.",
           "--calibration DATA"}};
    } else if (remedy == OutputRemedy::kFreerCurve) {
      group.remedies = {
          {"A uniform grid with as many codes does better here, so the curve is too constrained: let the "
           "search choose base, α and β.",
           "--strategy optimal --family free"}};
    } else if (remedy == OutputRemedy::kMoreBits) {
      group.remedies = {
          {"One bit more for the weaker tensor would give it about 5 dB. A tighter loss limit makes the "
           "allocation buy bits where they pay; nothing is measured again.",
           "dnateq allocate DIR --max-drop 0.5% -o DIR2"}};
    }
    advice.push_back(std::move(group));
  }
}

void advise_on_metric(const Recipe& recipe, std::vector<Advice>& advice) {
  if (!recipe.metric) {
    advice.push_back(
        {{{"", "Its loss was not measured."}},
         {{"Give samples to judge it on, other than the calibration samples.", "--validation DATA --labels FILE"}}});
    return;
  }
  const MetricResult& metric = *recipe.metric;
  const double half_width = (metric.confidence_high - metric.confidence_low) / 2;
  const double loss = std::abs(metric.exact - metric.reference);
  if (half_width > loss && half_width > 0) {
    advice.push_back(
        {{{"",
           fmt::format("Its loss is smaller than the uncertainty of the measurement ({} samples).", metric.samples)}},
         {{fmt::format("Four times the samples ({}) halve the interval.", 4 * metric.samples), "--validation DATA"}}});
  }
}

bool left_out_by_option(const UnquantizedLayer& layer) {
  return layer.reason.find("--ignore") != std::string::npos || layer.reason.find("--only") != std::string::npos;
}

void advise_on_unquantized(const Recipe& recipe, std::vector<Advice>& advice) {
  std::vector<const UnquantizedLayer*> layers;
  for (const UnquantizedLayer& layer : recipe.unquantized)
    if (layer.weight_elements > 0) layers.push_back(&layer);
  std::stable_sort(layers.begin(), layers.end(), [](const UnquantizedLayer* a, const UnquantizedLayer* b) {
    return a->weight_elements > b->weight_elements;
  });
  double all = 0;
  for (const LayerRecipe& layer : recipe.layers)
    if (layer.shares_weights_with.empty()) all += double(layer.weights.bytes);
  for (const UnquantizedLayer* layer : layers) all += 4.0 * double(layer->weight_elements);

  Advice by_option, by_structure;
  layers.resize(std::min(kLargestUnquantized, layers.size()));
  double bytes_at_4_bits = 0;
  for (const UnquantizedLayer* layer : layers) {
    const double bytes = 4.0 * double(layer->weight_elements);
    (left_out_by_option(*layer) ? by_option : by_structure)
        .cases.push_back({layer->name, fmt::format("Left in FP32 ({}): {}, {:.1f} % of all weight bytes.",
                                                   layer->reason, human_bytes(bytes), 100 * bytes / all)});
    if (left_out_by_option(*layer)) bytes_at_4_bits += bytes / 8;
  }
  if (!by_option.cases.empty()) {
    by_option.remedies = {
        {fmt::format("Drop it from the option's pattern: at 4 bits it would need {}.", human_bytes(bytes_at_4_bits)),
         ""}};
    advice.push_back(std::move(by_option));
  }
  if (!by_structure.cases.empty()) {
    by_structure.remedies = {
        {"No option changes this; exporting the model with the weight as a constant of a "
         "Convolution, MatMul, Gemm or Gather may.",
         ""}};
    advice.push_back(std::move(by_structure));
  }
}

}  // namespace

std::vector<Advice> advise(const Recipe& recipe) {
  std::vector<Advice> advice;
  advise_on_sensitivity(recipe, advice);
  advise_on_outputs(recipe, advice);
  advise_on_metric(recipe, advice);
  advise_on_unquantized(recipe, advice);
  return advice;
}

}  // namespace dnateq
