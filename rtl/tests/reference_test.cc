// The RTL's reference is the library's arithmetic: its counters are count_scalar's, its quantizer the Encoder, its
// shift lane's accumulators the counters' sum.
#include "reference.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <random>

#include "dnateq/code.h"
#include "kernels/exponential.h"
#include "layer_file.h"

namespace dnateq::rtl {
namespace {

TensorCode code_of(int exponent_bits, double base, double alpha, double beta) {
  TensorCode code;
  code.stored_bits = exponent_bits + 1;
  code.positive_levels = 1 << exponent_bits;
  code.negative_levels = (1 << exponent_bits) - 1;
  code.base = base;
  code.alpha = alpha;
  code.beta = beta;
  code.arithmetic = Arithmetic::kExponential;
  return code;
}

Part lane_of(std::string_view design, int n, int q = 0) { return {"", "lane", design, n, 24, q, false, 24}; }

Operand operand_of(const TensorCode& code, uint8_t number) {
  Operand x;
  x.zero = number == 0;
  x.sign = number > code.positive_levels;
  x.exponent = x.zero ? 0 : x.sign ? number - 1 - code.positive_levels : number - 1;
  return x;
}

class EveryExponentWidth : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Rtl, EveryExponentWidth, testing::Range(3, 8));

TEST_P(EveryExponentWidth, LaneCountsWhatTheLibraryCounts) {
  const int n = GetParam();
  const TensorCode x_code = code_of(n, 1.2, 0.5, 0.01), w_code = code_of(n, 1.2, 0.25, 0.02);
  const kernels::SharedBase codes(x_code, w_code);
  std::mt19937 random(1);
  std::vector<uint8_t> x(5000), w(5000);
  LaneModel lane(lane_of("counting", n));
  for (size_t k = 0; k < x.size(); ++k) {
    x[k] = static_cast<uint8_t>(random() & ((2U << n) - 1));
    w[k] = static_cast<uint8_t>(random() & ((2U << n) - 1));
    lane.add(operand_of(x_code, x[k]), operand_of(w_code, w[k]));
  }
  kernels::ExponentCounters counters;
  kernels::count_scalar(codes, x, w, counters);
  for (int row = 0; row < (2 << n) - 1; ++row) EXPECT_EQ(lane.value(row), counters.sums[static_cast<size_t>(row)]);
  EXPECT_EQ(lane.value((2 << n) - 1), counters.signs);
  for (int e = 0; e < 1 << n; ++e) {
    EXPECT_EQ(lane.value((2 << n) + e), counters.x[static_cast<size_t>(e)]);
    EXPECT_EQ(lane.value((3 << n) + e), counters.w[static_cast<size_t>(e)]);
  }
}

TEST_P(EveryExponentWidth, ShiftAccumulatorsHoldWhatTheCountersWeigh) {
  const int n = GetParam(), q = 1 << (n - 2);
  LaneModel counting(lane_of("counting-beta0", n)), shift(lane_of("shift", n, q));
  std::mt19937 random(2);
  for (int k = 0; k < 1000; ++k) {
    const auto draw = [&] {
      Operand x;
      x.zero = random() % 8 == 0;
      x.sign = random() & 1;
      x.exponent = static_cast<int>(random() & ((1U << n) - 1));
      return x;
    };
    const Operand x = draw(), w = draw();
    counting.add(x, w);
    shift.add(x, w);
  }
  for (int r = 0; r < q; ++r) {
    int64_t sum = 0;
    for (int row = r; row < (2 << n) - 1; row += q) sum += counting.value(row) * (int64_t{1} << (row / q));
    EXPECT_EQ(shift.value(r), sum);
  }
}

TEST_P(EveryExponentWidth, QuantizerGivesTheEncodersCodes) {
  const int n = GetParam();
  const TensorCode code = code_of(n, 1.2, 0.5, 0.01);
  const Encoder encoder(code);
  // The negative side's thresholds are the positive one's: one table serves both signs.
  Thresholds thresholds{encoder.positive_thresholds(), code.positive_levels, code.negative_levels};
  const auto negative = encoder.negative_thresholds();
  ASSERT_EQ(thresholds.thresholds.size(), size_t{1} << n);
  for (size_t k = 0; k < negative.size(); ++k) EXPECT_EQ(negative[k], thresholds.thresholds[k]);
  std::mt19937 random(3);
  const auto check = [&](uint32_t magnitude, bool sign) {
    const float value = std::bit_cast<float>(magnitude | static_cast<uint32_t>(sign) << 31);
    const Operand wanted = operand_of(code, encoder.encode(value)), found = thresholds.quantize(sign, magnitude, true);
    EXPECT_EQ(found.zero, wanted.zero) << value;
    if (wanted.zero || found.zero) return;
    EXPECT_EQ(found.exponent, wanted.exponent) << value;
    EXPECT_EQ(found.sign, wanted.sign) << value;
  };
  for (const bool sign : {false, true}) {
    for (const uint32_t threshold : thresholds.thresholds)
      for (const uint32_t magnitude : {threshold - 1, threshold, threshold + 1}) check(magnitude, sign);
    for (const uint32_t magnitude : {0U, 1U, 0x7f7fffffU, 0x7f800000U, 0x7fc00000U, 0x7fffffffU})
      check(magnitude, sign);
    for (int k = 0; k < 20000; ++k) check(static_cast<uint32_t>(random()) >> 1, sign);
  }
}

// Trained layers' counters, which co-simulation holds the RTL against: the library still counts them so.
TEST(TrainedLayers, CountersAreTheLibrarysAndTheReferences) {
  size_t layers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(DNATEQ_COUNTED_LAYERS)) {
    const CountedLayer layer = read_counted_layer(entry.path().string());
    ++layers;
    const int n = layer.exponent_bits;
    TensorCode code = code_of(n, 1.2, 0.5, layer.histograms == 4 ? 0.01 : 0);
    code.stored_bits = n + 2, code.negative_levels = code.positive_levels;
    const kernels::SharedBase codes(code, code);
    const auto numbers = [&](const std::vector<int>& exponents) {
      std::vector<uint8_t> all;
      for (const int e : exponents) all.push_back(static_cast<uint8_t>(e >= 0 ? e : code.positive_levels - e));
      return all;
    };
    size_t not_zero = 0;
    for (const CountedSum& sum : layer.sums) {
      const std::vector<uint8_t> x = numbers(sum.x), w = numbers(sum.w);
      kernels::ExponentCounters counters;
      const auto check = [&] {
        for (size_t row = 0; row < sum.counters.size(); ++row) {
          const auto sums = (size_t{2} << n) - 1;
          const int64_t counted = row < sums               ? counters.sums[row]
                                  : row == sums            ? counters.signs
                                  : row < (size_t{3} << n) ? counters.x[row - (size_t{2} << n)]
                                                           : counters.w[row - (size_t{3} << n)];
          ASSERT_EQ(sum.counters[row], counted) << entry.path() << " row " << row;
        }
      };
      kernels::count_scalar(codes, x, w, counters);
      check();
      if (kernels::counts_planes() && n <= 4) {
        kernels::count_planes({code, n, x}, {code, n, w}, codes.one_term(), counters);
        check();
      }
      LaneModel lane(lane_of(layer.histograms == 4 ? "counting" : "counting-beta0", n));
      for (size_t k = 0; k < x.size(); ++k) lane.add(operand_of(code, x[k]), operand_of(code, w[k]));
      for (size_t row = 0; row < sum.counters.size(); ++row) {
        ASSERT_EQ(lane.value(static_cast<int>(row)), sum.counters[row]);
        not_zero += sum.counters[row] != 0;
      }
    }
    EXPECT_GT(not_zero, 10 * layer.sums.size()) << entry.path() << " holds hardly any counts";
  }
  EXPECT_GE(layers, 1U);
}

}  // namespace
}  // namespace dnateq::rtl
