#include "dnateq/recipe.h"

#include <fmt/format.h>

#include "dnateq/error.h"

namespace dnateq {
namespace {

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

}  // namespace dnateq
