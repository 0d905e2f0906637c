#include "accelerator/precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

constexpr double kPaperMean = 4.83, kPaperTransformer = 3.05;

// Bits of layer `i`: the rounded running sum grows by these.
int whole_bits(double mean, size_t i) {
  const auto sum = [mean](size_t layers) { return std::llround(mean * static_cast<double>(layers)); };
  return static_cast<int>(sum(i + 1) - sum(i));
}

Operand operand(int stored_bits, double zeros, const std::string& origin) {
  Operand made;
  made.stored_bits = stored_bits;
  made.exponent_bits = std::max(kNarrowestExponentBits, stored_bits - 1);
  made.zero_fraction = zeros;
  made.origin = origin;
  return made;
}

double shift_base(const Layer& layer) {
  const int bits = std::max(layer.weights.exponent_bits, layer.activations.exponent_bits);
  return std::exp2(1 / std::exp2(bits - 2));
}

}  // namespace

const char* to_string(BitsAre reading) { return reading == BitsAre::kStored ? "stored" : "exponent"; }

Precision paper_precision(const std::string& built_in) {
  const double bits = built_in == "transformer" ? kPaperTransformer : (3 * kPaperMean - kPaperTransformer) / 2;
  return {.weight_bits = bits, .activation_bits = bits, .origin = "paper's average, zeros not measured"};
}

bool same_base(const Layer& layer) {
  return std::abs(layer.weights.base - layer.activations.base) <= 1e-6 * layer.weights.base;
}

bool has_shift_base(const Layer& layer) {
  const double q = layer.weights.base > 1 ? 1 / std::log2(layer.weights.base) : 0;
  return same_base(layer) && q > 0.5 && std::abs(q - std::round(q)) <= 1e-4 * q;
}

void set_mean_precision(Workload& workload, const Precision& precision) {
  const double sign = precision.bits_are == BitsAre::kExponent ? 1 : 0;
  const double weight_bits = precision.weight_bits + sign, activation_bits = precision.activation_bits + sign;
  for (const double bits : {weight_bits, activation_bits})
    if (!(bits >= 2 && bits <= 8))
      throw Error(fmt::format("{} bits lie outside the range of 2 to 8 stored bits a value{}", bits,
                              sign > 0 ? ", of which one is the sign" : ""));
  for (const double zeros : {precision.weight_zeros, precision.activation_zeros})
    if (!(zeros >= 0 && zeros <= 1)) throw Error(fmt::format("a share of zeros of {} lies outside 0 to 1", zeros));
  for (size_t i = 0; i < workload.layers.size(); ++i) {
    Layer& layer = workload.layers[i];
    layer.activations = operand(whole_bits(activation_bits, i), precision.activation_zeros, precision.origin);
    layer.weights = layer.weights_are_activations
                        ? layer.activations
                        : operand(whole_bits(weight_bits, i), precision.weight_zeros, precision.origin);
    layer.weights.base = layer.activations.base = shift_base(layer);
  }
}

void set_shift_bases(Workload& workload) {
  for (Layer& layer : workload.layers)
    if (!layer.int8_lanes && !has_shift_base(layer)) layer.weights.base = layer.activations.base = shift_base(layer);
}

Workload with_int8_layers(const Workload& coded, const Workload& int8, int64_t most) {
  Workload result = coded;
  for (size_t i = 0; i < result.layers.size(); ++i) {
    Layer& layer = result.layers[i];
    if (!layer.int8_lanes && std::max(layer.weights.exponent_bits, layer.activations.exponent_bits) <= most) continue;
    layer.int8_lanes = true;
    layer.weights = int8.layers.at(i).weights;
    layer.activations = int8.layers.at(i).activations;
  }
  return result;
}

}  // namespace dnateq::accelerator
