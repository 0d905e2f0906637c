#include "search/pair_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "search/fit.h"
#include "search/solve.h"
#include "search/test_data.h"

namespace dnateq {
namespace {

using testing::normal_values;

// vpmaddubsw: two products of an unsigned and a signed byte, their sum saturated to 16 bits.
int saturated(int x1, int w1, int x2, int w2) { return std::clamp(x1 * w1 + x2 * w2, -32768, 32767); }

TEST(PairSums, AreExactForAllActivationsJustWhenTheRuleSaysSo) {
  constexpr std::array kCorners = {0, 1, 254, 255};  // extremes of a sum that is linear in both
  for (int w1 = -127; w1 <= 127; ++w1)
    for (int w2 = -127; w2 <= 127; ++w2) {
      bool exact = true;
      for (const int x1 : kCorners)
        for (const int x2 : kCorners) exact = exact && saturated(x1, w1, x2, w2) == x1 * w1 + x2 * w2;
      const std::vector<uint8_t> codes = {0, 1};
      const std::vector<int8_t> levels = {static_cast<int8_t>(w1), static_cast<int8_t>(w2)};
      const std::vector<ColumnPair> pairs = {{0, 1}};
      ASSERT_EQ(exact, largest_pair_sum(codes, 2, levels, pairs) <= kLargestPairSum) << w1 << " " << w2;
    }
}

TEST(AddedPairs, AreNeighbouringInputsOfTheSameTap) {
  EXPECT_EQ(added_pairs(5, {}), (std::vector<ColumnPair>{{0, 1}, {2, 3}}));
  const std::vector<int64_t> taps = {1, 3};
  EXPECT_EQ(added_pairs(2 * 3, taps), (std::vector<ColumnPair>{{0, 3}, {1, 4}, {2, 5}}));
  EXPECT_TRUE(added_pairs(1, {}).empty());
}

TEST(AddedPairs, CrossTapsInEitherOrderWhereARowHasAnOddNumberOfInputs) {
  const std::vector<int64_t> taps = {2, 3};  // one input: taps (0,0) (0,1) | (0,2) (1,0) | ...; (0,0) (1,0) | (0,1) ...
  EXPECT_EQ(added_pairs(6, taps), (std::vector<ColumnPair>{{0, 1}, {0, 3}, {1, 4}, {2, 3}, {2, 5}, {4, 5}}));
  // Three inputs, [kh][kw][input] pairs: (tap 0: 0 1) (tap 0: 2, tap 1: 0) (tap 1: 1 2) ...
  const std::vector<int64_t> row = {1, 2};
  EXPECT_EQ(added_pairs(6, row), (std::vector<ColumnPair>{{0, 2}, {1, 3}, {1, 4}, {3, 5}}));
}

TEST(SafeTable, KeepsTheLargestGridThatTheseCodesAllow) {
  const std::vector<float> levels = {0.0F, 0.25F, 1.0F, -1.0F};
  const std::vector<ColumnPair> pairs = {{0, 1}};
  std::vector<int8_t> table;
  EXPECT_EQ(safe_table(levels, 127, std::vector<uint8_t>{2, 3, 1, 0}, 2, pairs, table), 127);  // signs differ
  EXPECT_EQ(table, (std::vector<int8_t>{0, 32, 127, -127}));
  EXPECT_EQ(safe_table(levels, 127, std::vector<uint8_t>{2, 1, 1, 1}, 2, pairs, table), 102);  // 102 + 26
  EXPECT_EQ(safe_table(levels, 127, std::vector<uint8_t>{0, 1, 2, 2}, 2, pairs, table), 64);
  EXPECT_EQ(table, (std::vector<int8_t>{0, 16, 64, -64}));
  EXPECT_EQ(safe_table(std::vector<float>{0, 0}, 127, std::vector<uint8_t>{0, 0}, 2, pairs, table), 127);
}

TEST(PairLimit, MovesFewCodesByLittle) {
  const std::vector<float> values = normal_values(4096, 5);
  for (int bits = 2; bits <= 8; ++bits) {
    const FitResult fit = fit_code(FitData::from_values(values), with_level_counts({}, bits));
    const std::vector<ColumnPair> pairs = added_pairs(64, {});
    const PairLimit limit(fit.code, pairs);
    const Encoder encoder(fit.code);
    const std::vector<float> levels = level_table(fit.code), importance(64, 1.0F);
    for (size_t row = 0; row < 64; ++row) {
      const std::span<const float> wanted = std::span(values).subspan(row * 64, 64);
      std::vector<uint8_t> nearest(64);
      encoder.encode(wanted, nearest);
      std::vector<uint8_t> codes = nearest;
      EXPECT_EQ(limit.apply(codes, wanted, importance), !limit.safe(nearest));
      EXPECT_TRUE(limit.safe(codes));
      EXPECT_LE(largest_pair_sum(codes, 64, int8_level_table(fit.code), pairs), kLargestPairSum);
      for (const ColumnPair& pair : pairs) {
        const auto a = static_cast<size_t>(pair.first), b = static_cast<size_t>(pair.second);
        if (codes[a] == nearest[a] && codes[b] == nearest[b]) continue;
        // No other two codes that are safe come nearer.
        const auto error = [&](uint8_t first, uint8_t second) {
          const float x = wanted[a] - levels[first], y = wanted[b] - levels[second];
          return x * x + y * y;
        };
        for (unsigned first = 0; first < 1U << bits; ++first)
          for (unsigned second = 0; second < 1U << bits; ++second) {
            const std::vector<uint8_t> other = {static_cast<uint8_t>(first), static_cast<uint8_t>(second)};
            if (PairLimit(fit.code, std::vector<ColumnPair>{{0, 1}}).safe(other)) {
              ASSERT_GE(error(other[0], other[1]) * 1.00001F, error(codes[a], codes[b])) << bits;
            }
          }
      }
    }
  }
}

TEST(PairLimit, IsKeptBySolvedLayersAtLittleCost) {
  const LayerShape free{24, 2 * 9, 1}, safe{24, 2 * 9, 1, added_pairs(2 * 9, std::vector<int64_t>{3, 3})};
  const std::vector<float> weights = normal_values(24 * 18, 7, 0.2F);
  LayerSamples samples;
  const std::vector<float> x = normal_values(300 * 18, 8);
  samples.inputs = Eigen::Map<const Eigen::MatrixXf>(x.data(), 300, 18);
  samples.targets = samples.inputs * Eigen::Map<const Eigen::MatrixXf>(weights.data(), 18, 24);
  for (int bits = 2; bits <= 8; ++bits) {
    const TensorCode request = with_level_counts({}, bits);
    // A grid that ends at 64 holds no more levels than 7 bits have: 8 bits are then as good as 7 without the limit.
    const LayerSolution one = solve_layer(weights, free, samples, with_level_counts({}, std::min(bits, 7)), {});
    const LayerSolution other = solve_layer(weights, safe, samples, request, {});
    EXPECT_LE(largest_pair_sum(other.codes, 18, int8_level_table(other.code), safe.pairs), kLargestPairSum) << bits;
    EXPECT_LT(other.output_relative_error, one.output_relative_error * 1.5 + 1e-4) << bits;
    const LayerSolution nearest = quantize_rows(weights, safe, request);
    EXPECT_LE(largest_pair_sum(nearest.codes, 18, int8_level_table(nearest.code), safe.pairs), kLargestPairSum) << bits;
    // Codes that are safe as they come stay as they are.
    if (largest_pair_sum(one.codes, 18, int8_level_table(one.code), safe.pairs) <= kLargestPairSum &&
        one.code == other.code) {
      EXPECT_EQ(one.codes, other.codes) << bits;
    }
  }
}

}  // namespace
}  // namespace dnateq
