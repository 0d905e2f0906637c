#include "kernels/counting_layer.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "core/isa.h"
#include "dnateq/error.h"

namespace dnateq::kernels {
namespace {

enum class Kernel { kScalar, kPlanes };

constexpr int kMostPlaneBits = 4;
// Planes hold 512 codes, which cost the same however few of them there are: about what 40 scalar pairs do.
constexpr size_t kFewestPlaneInputs = 40;

bool planes_take(const SharedBase& shared, size_t inputs) {
  return shared.exponent_bits() <= kMostPlaneBits && inputs >= kFewestPlaneInputs;
}

Kernel kernel_for(const CountingWeights& weights) {
  return !weights.planes().empty() && cpu_in_use().avx512_vpopcntdq ? Kernel::kPlanes : Kernel::kScalar;
}

void check_layer(const ConvolutionShape& shape, const CountingWeights& weights, std::span<const float> gamma) {
  check(shape);
  if (weights.outputs() != shape.outputs || weights.inputs() != shape.inputs() || gamma.size() != shape.outputs)
    throw Error(
        fmt::format("a convolution of {} outputs of {} inputs got {} x {} weights and {} scales; this is a bug of "
                    "dnateq, report it",
                    shape.outputs, shape.inputs(), weights.outputs(), weights.inputs(), gamma.size()));
}

// Codes of row m that a group's outputs read.
void gather_row(const ConvolutionShape& s, const uint8_t* x, size_t row, size_t group, uint8_t* codes) {
  const size_t width = s.output_width(), pixels = s.output_height() * width, channels = s.channels / s.groups;
  const size_t image = row / pixels, line = row % pixels / width * s.stride_height;
  const size_t column = row % width * s.stride_width;
  for (size_t kh = 0; kh < s.kernel_height; ++kh)
    for (size_t kw = 0; kw < s.kernel_width; ++kw, codes += channels) {
      const size_t h = line + kh * s.dilation_height, w = column + kw * s.dilation_width;  // of the padded image
      if (h < s.pad_top || h >= s.pad_top + s.height || w < s.pad_left || w >= s.pad_left + s.width)
        std::fill_n(codes, channels, uint8_t{0});
      else
        std::copy_n(x + ((image * s.height + h - s.pad_top) * s.width + w - s.pad_left) * s.channels + group * channels,
                    channels, codes);
    }
}

void run(Kernel kernel, const ConvolutionShape& s, const CountingWeights& weights, std::span<const float> gamma,
         const uint8_t* x, const CountingOutput& output) {
  const SharedBase& shared = weights.shared();
  const size_t pixels = s.output_height() * s.output_width(), group_outputs = s.outputs / s.groups;
  const std::vector<SignedExponent> by_code = signed_exponents(shared.x());
  constexpr size_t kRows = 16, kOutputs = 64;  // of a task: some hundred microseconds
  const size_t row_blocks = (s.rows() + kRows - 1) / kRows, output_blocks = (group_outputs + kOutputs - 1) / kOutputs;
  tbb::parallel_for(size_t{0}, row_blocks * s.groups * output_blocks, [&](size_t piece) {
    const size_t group = piece / output_blocks % s.groups, row_block = piece / output_blocks / s.groups;
    const size_t begin = group * group_outputs + piece % output_blocks * kOutputs;
    const size_t end = std::min(begin + kOutputs, (group + 1) * group_outputs);
    std::vector<uint8_t> codes(s.inputs());
    std::vector<SignedExponent> exponents(s.inputs());
    ExponentCounters counters;
    for (size_t row = row_block * kRows; row < std::min((row_block + 1) * kRows, s.rows()); ++row) {
      gather_row(s, x, row, group, codes.data());
      float* const y = output.values + row / pixels * output.image_stride + row % pixels * output.pixel_stride;
      const auto give = [&](size_t o) {
        y[o * output.output_stride] = static_cast<float>(static_cast<double>(gamma[o]) * shared.combine(counters).sum);
      };
      if (kernel == Kernel::kPlanes) {
        const ExponentPlanes planes(shared.x(), shared.exponent_bits(), codes);
        for (size_t o = begin; o < end; ++o) {
          count_planes(planes, weights.planes()[o], shared.one_term(), counters);
          give(o);
        }
      } else {
        for (size_t k = 0; k < codes.size(); ++k) exponents[k] = by_code[codes[k]];
        for (size_t o = begin; o < end; ++o) {
          count_exponents(shared, exponents, weights.exponents(o), counters);
          give(o);
        }
      }
    }
  });
}

}  // namespace

CountingWeights::CountingWeights(const SharedBase& shared, std::span<const uint8_t> codes, size_t outputs,
                                 size_t inputs)
    : shared_(shared), outputs_(outputs), inputs_(inputs), codes_(codes.begin(), codes.end()) {
  if (outputs == 0 || inputs == 0 || codes.size() != outputs * inputs)
    throw Error(fmt::format("{} codes are no {} x {} weights; emit the model again", codes.size(), outputs, inputs));
  const int levels = 1 + shared.w().positive_levels + shared.w().negative_levels;
  if (std::any_of(codes.begin(), codes.end(), [levels](uint8_t code) { return code >= levels; }))
    throw Error("a code of the weights has no level; emit the model again");
  const std::vector<SignedExponent> by_code = signed_exponents(shared.w());
  exponents_.reserve(codes.size());
  for (const uint8_t code : codes) exponents_.push_back(by_code[code]);
  if (!counts_planes() || !planes_take(shared, inputs)) return;
  planes_.reserve(outputs);
  for (size_t o = 0; o < outputs; ++o) planes_.emplace_back(shared.w(), shared.exponent_bits(), row(o));
}

void convolve_counting(const ConvolutionShape& shape, const CountingWeights& weights, std::span<const float> gamma,
                       const uint8_t* x, const CountingOutput& output) {
  check_layer(shape, weights, gamma);
  run(kernel_for(weights), shape, weights, gamma, x, output);
}

void convolve_counting_with(std::string_view kernel, const ConvolutionShape& shape, const CountingWeights& weights,
                            std::span<const float> gamma, const uint8_t* x, const CountingOutput& output) {
  check_layer(shape, weights, gamma);
  const std::vector<std::string_view> all = counting_kernels();
  if (std::find(all.begin(), all.end(), kernel) == all.end())
    throw Error(fmt::format("this CPU has no counting kernel {}; use one of {}", kernel, fmt::join(all, ", ")));
  if (kernel == "planes" && weights.planes().empty())
    throw Error(fmt::format("kernel planes takes 2 to {} exponent bits and {} inputs or more", kMostPlaneBits,
                            kFewestPlaneInputs));
  run(kernel == "planes" ? Kernel::kPlanes : Kernel::kScalar, shape, weights, gamma, x, output);
}

std::string_view counting_kernel_for(const SharedBase& shared, size_t inputs) {
  return planes_take(shared, inputs) && cpu_in_use().avx512_vpopcntdq ? "planes" : "scalar";
}

std::vector<std::string_view> counting_kernels() {
  if (counts_planes()) return {"planes", "scalar"};
  return {"scalar"};
}

std::vector<uint8_t> codes_of_row(const ConvolutionShape& shape, const uint8_t* x, size_t row, size_t output) {
  check(shape);
  std::vector<uint8_t> codes(shape.inputs());
  gather_row(shape, x, row, output / (shape.outputs / shape.groups), codes.data());
  return codes;
}

ExponentCounters counters_of(const ConvolutionShape& shape, const CountingWeights& weights, const uint8_t* x,
                             size_t row, size_t output) {
  const std::vector<uint8_t> codes = codes_of_row(shape, x, row, output);
  const SharedBase& shared = weights.shared();
  ExponentCounters counters;
  if (kernel_for(weights) == Kernel::kPlanes)
    count_planes({shared.x(), shared.exponent_bits(), codes}, weights.planes().at(output), shared.one_term(), counters);
  else
    count_scalar(shared, codes, weights.row(output), counters);
  return counters;
}

}  // namespace dnateq::kernels
