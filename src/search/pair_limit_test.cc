// The rule of core/pair_sums.h, kept by fitted and by solved codes.
#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "core/pair_sums.h"
#include "search/fit.h"
#include "search/solve.h"
#include "search/test_data.h"

namespace dnateq {
namespace {

using testing::normal_values;

TEST(PairLimit, MovesFewCodesByLittle) {
  const std::vector<float> values = normal_values(4096, 5);
  for (int bits = 2; bits <= 8; ++bits) {
    const FitResult fit = fit_code(FitData::from_values(values), with_level_counts({}, bits));
    const std::vector<ColumnPair> pairs = added_pairs(64, {});
    const PairLimit limit(fit.code, pairs);
    const std::vector<ColumnPair> one_pair = {{0, 1}};
    const PairLimit of_two(fit.code, one_pair);
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
            if (of_two.safe(other)) {
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
