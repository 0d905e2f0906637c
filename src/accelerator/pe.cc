#include "accelerator/pe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

bool counts(Design design) { return design == Design::kCounting || design == Design::kCountingBeta0; }
bool has_counter_bits(Design design) { return counts(design) || design == Design::kShift; }

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int bits_of(const Layer& layer) {
  for (const auto& [operand, name] :
       {std::pair{&layer.weights, "weights"}, std::pair{&layer.activations, "activations"}}) {
    if (operand->exponent_bits < kFewestExponentBits || operand->exponent_bits > kMostExponentBits) {
      throw Error(
          fmt::format("layer {}: its {} have {} exponent bits, the exponential lanes take {} to {}: quantize it to "
                      "these, or run it on INT8 lanes",
                      layer.name, name, operand->exponent_bits, kFewestExponentBits, kMostExponentBits));
    }
  }
  return std::max(layer.weights.exponent_bits, layer.activations.exponent_bits);
}

// q of base 2^(1/q); throws Error.
int root_of(const Layer& layer) {
  const double exact = layer.weights.base > 1 ? 1 / std::log2(layer.weights.base) : 0;
  const double q = std::round(exact);
  const bool same = std::abs(layer.weights.base - layer.activations.base) <= 1e-6 * layer.weights.base;
  if (!same || q < 1 || q > 256 || std::abs(exact - q) > 1e-4 * q) {
    throw Error(
        fmt::format("layer {}: the shift design needs base 2^(1/q), q whole, for weights and activations alike; they "
                    "are {} and {}: quantize with the family pow2:q, or leave the design shift out",
                    layer.name, layer.weights.base, layer.activations.base));
  }
  return static_cast<int>(q);
}

// Clock cycles that one of the part's takes: more than one where it is slower than the clock. A lane must keep up, the
// units that lanes share may run at a fraction of the clock.
int64_t cycles_of_step(const Config& config, const Part& part) {
  const double needs = part.period_ns * config.energies.delay_scale, has = 1000 / config.array.clock_mhz;
  if (needs <= has) return 1;
  if (part.name != "lane") return static_cast<int64_t>(std::ceil(needs / has));
  throw Error(fmt::format(
      "{}: the {} of design {}{} needs {:.3g} ns at energies.delay_scale, array.clock_mhz = {} leaves {:.3g}: lower "
      "the clock",
      config.energies.file, part.name, part.design,
      part.exponent_bits > 0 ? fmt::format(" with {} exponent bits", part.exponent_bits) : "", needs,
      config.array.clock_mhz, has));
}

}  // namespace

int64_t bins(Design design, int exponent_bits, int q) {
  switch (design) {
    case Design::kCounting:
      return 4 * ((int64_t{1} << exponent_bits) - 1);
    case Design::kCountingBeta0:
      return (int64_t{2} << exponent_bits) - 1;
    case Design::kShift:
      return q;
    case Design::kInt8:
    case Design::kDecode:
      return 1;
  }
  return 1;
}

int64_t pairs_until_flush(Design design, int bits) {
  const int width = bits == 0 ? 32 : bits;
  const int64_t most = width >= 64 ? std::numeric_limits<int64_t>::max() : (int64_t{1} << (width - 1)) - 1;
  return has_counter_bits(design) ? most : most / (127 * 127);
}

ProcessingElement processing_element(const Config& config, Design design, const Layer& layer) {
  const EnergyTable& table = config.energies;
  if (layer.int8_lanes) design = Design::kInt8;
  ProcessingElement pe;
  if (design != Design::kInt8) pe.exponent_bits = bits_of(layer);
  if (design == Design::kShift) pe.q = root_of(layer);
  const std::string storage = counts(design) ? config.array.counters : "";
  const int width = has_counter_bits(design) ? static_cast<int>(config.array.counter_bits) : 0;
  pe.lane = &table.find("lane", design, pe.exponent_bits, storage, pe.q, width);
  pe.post = &table.find("post", design, pe.exponent_bits, "", pe.q, width);
  pe.quantizer = &table.find("quantizer", design, pe.exponent_bits, "");
  pe.post_steps = static_cast<int64_t>(std::ceil(pe.post->cycles));
  if (const int64_t least = bins(design, pe.exponent_bits, pe.q); pe.post_steps < least) {
    throw Error(
        fmt::format("{}: the post of design {} with {} exponent bits has cycles = {}, but an output has {} values to "
                    "read, one a cycle",
                    table.file, to_string(design), pe.exponent_bits, pe.post_steps, least));
  }
  const int bits = pe.lane->counter_bits;
  pe.flush_after = pe.lane->horizon > 0 ? pe.lane->horizon : pairs_until_flush(design, bits);
  if (pe.flush_after < 1) {
    throw Error(
        fmt::format("{}: the {}-bit accumulator of design {} cannot hold one product: give it more counter_bits",
                    table.file, bits, to_string(design)));
  }
  if (!config.array.flush && pe.flush_after < layer.inputs) {
    throw Error(
        fmt::format("layer {}: {} pairs an output can overflow the {}-bit counters of design {} after {}: raise "
                    "array.counter_bits or set array.flush = true",
                    layer.name, layer.inputs, bits == 0 ? 32 : bits, to_string(design), pe.flush_after));
  }
  return on_parts(config, pe, *pe.lane, *pe.post, *pe.quantizer);
}

ProcessingElement on_parts(const Config& config, const ProcessingElement& pe, const Part& lane, const Part& post,
                           const Part& quantizer) {
  ProcessingElement built = pe;
  built.lane = &lane;
  built.post = &post;
  built.quantizer = &quantizer;
  cycles_of_step(config, lane);
  built.quantizer_cycles = cycles_of_step(config, quantizer);
  built.post_cycles = built.post_steps * cycles_of_step(config, post);
  return built;
}

int64_t post_time(const Config& config, const ProcessingElement& pe, int64_t outputs, bool last) {
  const int64_t post = ceil_div(outputs, config.array.post_processors) * pe.post_cycles;
  return last ? std::max(post, ceil_div(outputs, config.array.quantizers) * pe.quantizer_cycles) : post;
}

}  // namespace dnateq::accelerator
