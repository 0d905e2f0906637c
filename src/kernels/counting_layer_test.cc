#include "kernels/counting_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <random>

#include "core/test_error.h"
#include "dnateq/error.h"

namespace dnateq::kernels {
namespace {

using testing::error_of;

TensorCode curve(int positive, int negative, double base, double top, double beta_by_alpha) {
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.family = Family::kSharedBase;
  code.stored_bits = 2;
  while (1 + positive + negative > 1 << code.stored_bits) ++code.stored_bits;
  code.positive_levels = positive, code.negative_levels = negative;
  code.base = base;
  code.alpha = top / (std::pow(base, std::max(positive, negative) - 1) + beta_by_alpha);
  code.beta = beta_by_alpha * code.alpha;
  return code;
}

std::vector<uint8_t> random_codes(const TensorCode& code, size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> codes(count);
  const auto numbers = static_cast<unsigned>(1 + code.positive_levels + code.negative_levels);
  for (uint8_t& c : codes) c = static_cast<uint8_t>(random() % numbers);
  return codes;
}

// Plain, padded on one side, strided, dilated, grouped, depthwise, of a signal, and a MatMul; few and many inputs.
std::vector<ConvolutionShape> shapes() {
  return {{.batch = 2,
           .height = 5,
           .width = 6,
           .channels = 7,
           .outputs = 9,
           .kernel_height = 3,
           .kernel_width = 3,
           .pad_top = 1,
           .pad_left = 1,
           .pad_bottom = 1,
           .pad_right = 1},
          {.height = 9,
           .width = 8,
           .channels = 16,
           .outputs = 5,
           .kernel_height = 3,
           .kernel_width = 2,
           .stride_height = 2,
           .stride_width = 3,
           .pad_bottom = 2,
           .pad_right = 1},
          {.height = 9,
           .width = 11,
           .channels = 6,
           .outputs = 4,
           .kernel_height = 3,
           .kernel_width = 3,
           .dilation_height = 2,
           .dilation_width = 3,
           .pad_top = 2,
           .pad_left = 3},
          {.height = 4,
           .width = 7,
           .channels = 24,
           .outputs = 12,
           .groups = 3,
           .kernel_height = 3,
           .kernel_width = 3,
           .pad_left = 1,
           .pad_right = 1},
          {.batch = 2,
           .height = 6,
           .width = 5,
           .channels = 10,
           .outputs = 10,
           .groups = 10,
           .kernel_height = 3,
           .kernel_width = 3,
           .pad_top = 1,
           .pad_left = 1,
           .pad_bottom = 1,
           .pad_right = 1},
          {.batch = 3, .width = 19, .channels = 12, .outputs = 70, .kernel_width = 5, .stride_width = 2, .pad_left = 2},
          {.width = 21, .channels = 600, .outputs = 131}};
}

struct Layer {
  ConvolutionShape shape;
  SharedBase shared;
  std::vector<uint8_t> x, w;
  std::vector<float> gamma;

  Layer(const ConvolutionShape& s, const TensorCode& x_code, const TensorCode& w_code, unsigned seed)
      : shape(s),
        shared(x_code, w_code),
        x(random_codes(x_code, s.batch * s.height * s.width * s.channels, seed)),
        w(random_codes(w_code, s.outputs * s.inputs(), seed + 1)) {
    std::mt19937 random(seed + 2);
    for (size_t o = 0; o < s.outputs; ++o) gamma.push_back(static_cast<float>(random() % 2000) / 500 - 2);
  }
  CountingWeights weights() const { return {shared, w, shape.outputs, shape.inputs()}; }

  // Channels first, by the definition: where every code of a sum comes from is worked out here anew.
  std::vector<float> expected() const {
    const ConvolutionShape& s = shape;
    const size_t channels = s.channels / s.groups, group_outputs = s.outputs / s.groups;
    std::vector<float> y;
    for (size_t n = 0; n < s.batch; ++n)
      for (size_t o = 0; o < s.outputs; ++o)
        for (size_t h = 0; h < s.output_height(); ++h)
          for (size_t v = 0; v < s.output_width(); ++v) {
            std::vector<uint8_t> codes;
            for (size_t kh = 0; kh < s.kernel_height; ++kh)
              for (size_t kw = 0; kw < s.kernel_width; ++kw)
                for (size_t c = 0; c < channels; ++c) {
                  const auto at = [](size_t out, size_t stride, size_t tap, size_t dilation, size_t pad) {
                    return static_cast<int64_t>(out * stride + tap * dilation) - static_cast<int64_t>(pad);
                  };
                  const int64_t line = at(h, s.stride_height, kh, s.dilation_height, s.pad_top);
                  const int64_t column = at(v, s.stride_width, kw, s.dilation_width, s.pad_left);
                  const bool inside = line >= 0 && line < static_cast<int64_t>(s.height) && column >= 0 &&
                                      column < static_cast<int64_t>(s.width);
                  const size_t pixel =
                      inside ? (n * s.height + static_cast<size_t>(line)) * s.width + static_cast<size_t>(column) : 0;
                  codes.push_back(inside ? x[pixel * s.channels + o / group_outputs * channels + c] : uint8_t{0});
                }
            ExponentCounters counters;
            count_scalar(shared, codes, std::span(w).subspan(o * s.inputs(), s.inputs()), counters);
            y.push_back(static_cast<float>(static_cast<double>(gamma[o]) * shared.combine(counters).sum));
          }
    return y;
  }
};

std::vector<float> run(const Layer& layer, std::string_view kernel) {
  const size_t pixels = layer.shape.output_height() * layer.shape.output_width();
  std::vector<float> y(layer.shape.rows() * layer.shape.outputs, 99.0F);
  const CountingOutput output{y.data(), pixels * layer.shape.outputs, 1, pixels};
  if (kernel.empty())
    convolve_counting(layer.shape, layer.weights(), layer.gamma, layer.x.data(), output);
  else
    convolve_counting_with(kernel, layer.shape, layer.weights(), layer.gamma, layer.x.data(), output);
  return y;
}

TEST(CountingLayer, GivesTheBitsOfTheScalarReferenceWithEveryKernelAndThreads) {
  unsigned seed = 0;
  for (const ConvolutionShape& shape : shapes())
    for (const int n : {2, 3, 4, 6})
      for (const double beta : {0.0, 0.4}) {
        const int most = (1 << n) - 1;
        const Layer layer(shape, curve(most + 1, 0, 1.2, 3, beta), curve(most, most, 1.2, 0.5, -2 * beta), seed += 3);
        const std::vector<float> expected = layer.expected();
        EXPECT_EQ(run(layer, ""), expected);
        EXPECT_EQ(run(layer, "scalar"), expected);
        if (!layer.weights().planes().empty()) {
          EXPECT_EQ(run(layer, "planes"), expected);
        }
        tbb::task_arena one(1);
        EXPECT_EQ(one.execute([&] { return run(layer, ""); }), expected);
      }
}

TEST(CountingLayer, ShowsTheCountersOfEverySum) {
  const Layer layer(shapes()[0], curve(7, 7, 1.4, 2, 0.02), curve(7, 7, 1.4, 1, -0.01), 9);
  const std::vector<float> y = run(layer, "");
  const CountingWeights weights = layer.weights();
  const size_t pixels = layer.shape.output_height() * layer.shape.output_width();
  for (size_t row = 0; row < layer.shape.rows(); ++row)
    for (size_t o = 0; o < layer.shape.outputs; ++o) {
      const ExponentCounters counters = counters_of(layer.shape, weights, layer.x.data(), row, o);
      ExponentCounters expected;
      count_scalar(layer.shared, codes_of_row(layer.shape, layer.x.data(), row, o), weights.row(o), expected);
      EXPECT_EQ(counters, expected);
      int64_t of_sums = 0, of_x = 0, of_w = 0;
      for (const int64_t count : counters.sums) of_sums += count;
      for (const int64_t count : counters.x) of_x += count;
      for (const int64_t count : counters.w) of_w += count;
      EXPECT_EQ(of_sums, counters.signs);
      EXPECT_EQ(of_x, counters.signs);
      EXPECT_EQ(of_w, counters.signs);
      const double sum = layer.shared.combine(counters).sum;
      EXPECT_EQ(y[(row / pixels * layer.shape.outputs + o) * pixels + row % pixels],
                static_cast<float>(static_cast<double>(layer.gamma[o]) * sum));
    }
}

TEST(CountingLayer, SaysWhatItDoesNotTake) {
  const Layer layer(shapes()[0], curve(63, 63, 1.1, 2, 0), curve(63, 63, 1.1, 1, 0), 9);
  EXPECT_THAT(error_of([&] { run(layer, "vnni"); }), ::testing::HasSubstr("no counting kernel vnni"));
  if (counts_planes()) {
    EXPECT_THAT(error_of([&] { run(layer, "planes"); }), ::testing::HasSubstr("2 to 4 exponent bits"));
  }
  std::vector<uint8_t> codes = layer.w;
  EXPECT_THROW(CountingWeights(layer.shared, codes, 8, layer.shape.inputs()), Error);
  codes[3] = 127;
  EXPECT_THAT(error_of([&] { CountingWeights(layer.shared, codes, 9, layer.shape.inputs()); }),
              ::testing::HasSubstr("no level"));
}

TEST(Counting, PowersAreTheNearestDoubles) {
  for (const double base : {1.0000001, 1.01, 1.3, 1.9999}) {
    const TensorCode code = curve(100, 0, base, 1, 0);
    const std::vector<double> powers = SharedBase(code, code).powers();
    ASSERT_EQ(powers.size(), 199U);
    for (size_t i = 0; i < powers.size(); ++i) {
      const long double exact = std::pow(static_cast<long double>(base), static_cast<long double>(i));
      EXPECT_LE(std::abs(static_cast<long double>(powers[i]) - exact), 0x1.01p-53L * exact) << base << "^" << i;
    }
  }
}

}  // namespace
}  // namespace dnateq::kernels
