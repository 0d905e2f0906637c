// Convolution and matrix product in the exponent domain: every sum by counting, as exponential.h defines it.
//
//   y[m][o] = float32(gamma[o] * combine(counters of the K pairs of codes of row m and output o))
//
// with everything but the last rounding in double, in the one order of SharedBase::combine. The counters are integers,
// so that the sliced kernel, the scalar one and any number of threads give the same bits. This is the golden model of
// the counting lanes in rtl/, which hold the same counters (`counters_of`).
//
// Shapes, rows and the order kh, kw, c of a row's inputs are convolution.h's, codes standing in for levels: NHWC, one
// code a byte, code 0 is zero and pads. A MatMul is the convolution of a map of height 1 by one tap.
//
// Source: DNA-TEQ (arXiv 2306.16430) for counting. Non-goals: speed near that of multiplied levels (convolution.h): a
// pair costs a few nanoseconds by the scalar kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/convolution.h"
#include "kernels/exponential.h"

namespace dnateq::kernels {

class CountingWeights {
 public:
  // `codes`: outputs x inputs (K of one output), one code a byte. Throws Error on sizes that do not fit and on codes
  // that are none of the weights' code.
  CountingWeights(const SharedBase& shared, std::span<const uint8_t> codes, size_t outputs, size_t inputs);

  const SharedBase& shared() const { return shared_; }
  size_t outputs() const { return outputs_; }
  size_t inputs() const { return inputs_; }
  std::span<const uint8_t> row(size_t output) const { return std::span(codes_).subspan(output * inputs_, inputs_); }
  std::span<const SignedExponent> exponents(size_t output) const {
    return std::span(exponents_).subspan(output * inputs_, inputs_);
  }
  // By output; empty where counting on planes does not pay or this CPU does not.
  const std::vector<ExponentPlanes>& planes() const { return planes_; }

 private:
  SharedBase shared_;
  size_t outputs_, inputs_;
  std::vector<uint8_t> codes_;
  std::vector<SignedExponent> exponents_;
  std::vector<ExponentPlanes> planes_;
};

// Where y[m][o] goes: with m = image * pixels + pixel, to values[image * image_stride + pixel * pixel_stride + o *
// output_stride]; pixels: of an output image.
struct CountingOutput {
  float* values;
  size_t image_stride, pixel_stride, output_stride;
};

// gamma: one an output. Throws Error where shape and weights do not agree.
void convolve_counting(const ConvolutionShape& shape, const CountingWeights& weights, std::span<const float> gamma,
                       const uint8_t* x, const CountingOutput& output);
// With one of counting_kernels(); throws Error, with the reason, where it does not take the layer.
void convolve_counting_with(std::string_view kernel, const ConvolutionShape& shape, const CountingWeights& weights,
                            std::span<const float> gamma, const uint8_t* x, const CountingOutput& output);
// "planes" and "scalar", as far as this CPU has them; the first that takes the layer runs.
std::vector<std::string_view> counting_kernels();

// The one that runs for a layer of these codes and so many inputs.
std::string_view counting_kernel_for(const SharedBase& shared, size_t inputs);

// The K codes of row m that meet the weights of output o, in their order; padding is code 0.
std::vector<uint8_t> codes_of_row(const ConvolutionShape& shape, const uint8_t* x, size_t row, size_t output);
// The counters of one sum, by the kernel that convolve_counting() runs.
ExponentCounters counters_of(const ConvolutionShape& shape, const CountingWeights& weights, const uint8_t* x,
                             size_t row, size_t output);

}  // namespace dnateq::kernels
