#include "search/joined_items.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dnateq {
namespace {

std::vector<Allocatable> items(size_t count, double sensitivity) {
  std::vector<Allocatable> all(count);
  for (Allocatable& item : all) {
    item.is_weights = true;
    item.values = 1000;
    for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
      item.divergence[static_cast<size_t>(bits)] = sensitivity * std::pow(0.25, bits - kMinStoredBits);
  }
  return all;
}

TEST(JoinedItems, KeepsNetworksApartInEveryAllocation) {
  JoinedItems joined;
  joined.append(items(2, 1), 10, 1);
  joined.append(items(3, 1), 5, 16);
  EXPECT_EQ(joined.fp32_values, 15);
  const Allocation found = allocate_to_bits(joined.items, 4.5, 4.5, 0);
  const std::span<const int> first = joined.bits_of(found, 0), second = joined.bits_of(found, 1);
  ASSERT_EQ(first.size(), 2U);
  ASSERT_EQ(second.size(), 3U);
  for (const int less : first)
    for (const int more : second) EXPECT_LT(less, more) << "a loss of the second network costs 16 times as much";
}

TEST(CoarseAllocation, HasThreeBitsATensorOrJustMore) {
  const Allocation coarse = coarse_allocation(items(8, 1), 0);
  EXPECT_GE(tensor_mean(coarse), 3);
  EXPECT_LT(tensor_mean(coarse), 4);
}

TEST(CoarseAllocation, OfItemsThatCannotHaveSoManyIsTheirMost) {
  std::vector<Allocatable> narrow = items(3, 1);
  for (Allocatable& item : narrow) item.largest_bits = 2;
  EXPECT_EQ(coarse_allocation(narrow, 0).bits, (std::vector<int>{2, 2, 2}));
}

TEST(DivergenceScales, SayWhatAUnitOfEachPredictionCosts) {
  const std::vector<double> scales = divergence_scales(std::vector{0.02, 0.01}, std::vector{4.0, 0.5});
  EXPECT_DOUBLE_EQ(scales[0], 0.005);
  EXPECT_DOUBLE_EQ(scales[1], 0.02);
}

TEST(DivergenceScales, LetNoNetworkBeFreeThatTheMetricFoundAGainIn) {
  const std::vector<double> scales = divergence_scales(std::vector{0.02, -0.01}, std::vector{1.0, 1.0});
  EXPECT_DOUBLE_EQ(scales[1], 0.002) << "a tenth of the largest loss";
  for (const double scale : divergence_scales(std::vector{-0.1, 0.0}, std::vector{0.5, 0.0})) EXPECT_GT(scale, 0);
}

}  // namespace
}  // namespace dnateq
