#include "core/pair_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <vector>

namespace dnateq {
namespace {

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

}  // namespace
}  // namespace dnateq
