#include "search/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "dnateq/error.h"

namespace dnateq {
namespace {

// Divergence falls by a factor of about four a bit, as squared errors do: convex.
Allocatable make_item(bool weights, double values, double sensitivity, double factor = 4.0) {
  Allocatable item;
  item.is_weights = weights;
  item.values = values;
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    item.divergence[static_cast<size_t>(bits)] = sensitivity * std::pow(factor, -bits);
  return item;
}

std::vector<Allocatable> random_items(size_t count, unsigned seed, bool equal_sizes = false) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::vector<Allocatable> items;
  for (size_t i = 0; i < count; ++i) {
    Allocatable item = make_item(i % 2 == 0, equal_sizes ? 500 : std::floor(100 + 900 * uniform(random)),
                                 std::exp(6 * uniform(random)), 2.5 + 2 * uniform(random));
    if (!equal_sizes)
      for (double& overhead : item.overhead) overhead = 64;
    items.push_back(item);
  }
  return items;
}

double used_bits(const std::vector<Allocatable>& items, const std::vector<int>& bits, bool weights) {
  double sum = 0;
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].is_weights == weights)
      sum += bits[i] * items[i].values + items[i].overhead[static_cast<size_t>(bits[i])];
  return sum;
}

double values(const std::vector<Allocatable>& items, bool weights) {
  double sum = 0;
  for (const Allocatable& item : items) sum += item.is_weights == weights ? item.values : 0;
  return sum;
}

// Least divergence over all choices that keep both budgets.
double brute_force(const std::vector<Allocatable>& items, double weight_bits, double activation_bits) {
  double best = std::numeric_limits<double>::infinity();
  std::vector<int> bits(items.size(), kMinStoredBits);
  for (;;) {
    if (used_bits(items, bits, true) <= weight_bits * values(items, true) &&
        used_bits(items, bits, false) <= activation_bits * values(items, false)) {
      double sum = 0;
      for (size_t i = 0; i < items.size(); ++i) sum += items[i].divergence[static_cast<size_t>(bits[i])];
      best = std::min(best, sum);
    }
    size_t at = 0;
    while (at < bits.size() && bits[at] == kMaxStoredBits) bits[at++] = kMinStoredBits;
    if (at == bits.size()) return best;
    ++bits[at];
  }
}

TEST(Allocation, KeepsBothBudgetsAndReportsWhatItUses) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const std::vector<Allocatable> items = random_items(20, seed);
    for (const double target : {2.7, 3.3, 4.6, 7.9}) {
      const double fp32 = 10;
      const Allocation allocation = allocate_to_bits(items, target, target, fp32);
      ASSERT_EQ(allocation.bits.size(), items.size());
      const double weights = (used_bits(items, allocation.bits, true) + 32 * fp32) / (values(items, true) + fp32);
      const double activations = used_bits(items, allocation.bits, false) / values(items, false);
      EXPECT_LE(weights, target + 1e-9);
      EXPECT_LE(activations, target + 1e-9);
      EXPECT_NEAR(allocation.weight_bits, weights, 1e-9);
      EXPECT_NEAR(allocation.activation_bits, activations, 1e-9);
    }
  }
}

TEST(Allocation, CopiesAreCountedButCostNothing) {
  std::vector<Allocatable> items = random_items(8, 3);
  const double before = values(items, true);
  for (Allocatable& item : items)
    if (item.is_weights) item.copies = item.values;
  const Allocation allocation = allocate_to_bits(items, 2.5, 4, 0);
  EXPECT_NEAR(allocation.weight_bits, used_bits(items, allocation.bits, true) / (2 * before), 1e-9);
  EXPECT_LE(allocation.weight_bits, 2.5);
  EXPECT_GT(used_bits(items, allocation.bits, true) / before, 3) << "twice the weights, twice the bits for one";
}

TEST(Allocation, IsOptimalForFourItemsOfOneSize) {
  for (unsigned seed = 0; seed < 25; ++seed) {
    const std::vector<Allocatable> items = random_items(4, seed, true);
    for (const double target : {2.0, 2.5, 3.5, 5.0, 8.0})
      EXPECT_NEAR(allocate_to_bits(items, target, target, 0).divergence, brute_force(items, target, target), 1e-12)
          << "seed " << seed << ", " << target << " bits";
  }
}

TEST(Allocation, IsOptimalForFourItemsOfAnySize) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const std::vector<Allocatable> items = random_items(4, seed);
    for (const double target : {3.0, 4.0, 5.5}) {
      const double best = brute_force(items, target, target);
      const double got = allocate_to_bits(items, target, target, 0).divergence;
      EXPECT_GE(got, best * (1 - 1e-12));
      EXPECT_LE(got, best * 1.001) << "seed " << seed << ", " << target << " bits";
    }
  }
}

// Three quarters of the weights in one table.
std::vector<Allocatable> table_and_layers() {
  std::vector<Allocatable> items(4);
  for (Allocatable& item : items) {
    item.is_weights = true;
    item.values = 100;
    item.largest_bits = 7;
    for (int bits = kMinStoredBits; bits <= 7; ++bits)
      item.divergence[static_cast<size_t>(bits)] = std::pow(4.0, -bits);
  }
  items[0].values = 900;
  for (double& divergence : items[0].divergence) divergence *= 8;
  return items;
}

// No price for a bit buys the table its fourth and leaves the others what they can have.
TEST(Allocation, ATableThatIsMostOfTheNetworkGetsItsBit) {
  EXPECT_THAT(allocate_to_bits(table_and_layers(), 4.0, 8, 0).bits, testing::ElementsAre(4, 4, 4, 4));
}

TEST(Allocation, AHigherBudgetNeverPredictsMoreDivergence) {
  const std::vector<Allocatable> items = random_items(24, 3, true);
  double previous = std::numeric_limits<double>::infinity();
  for (double target = 2.0; target <= 8.0; target += 0.1) {
    const double divergence = allocate_to_bits(items, target, target, 0).divergence;
    EXPECT_LE(divergence, previous * (1 + 1e-12)) << target;
    previous = divergence;
  }
}

TEST(Allocation, SensitiveTensorsGetMoreBits) {
  const std::vector<Allocatable> items = {make_item(true, 100, 1), make_item(true, 100, 4096)};
  const Allocation allocation = allocate_to_bits(items, 5.0, 8.0, 0);
  EXPECT_EQ(allocation.bits, (std::vector<int>{2, 8}));
}

TEST(Allocation, ItemsKeepToTheirOwnWidths) {
  std::vector<Allocatable> items = random_items(6, 4);
  for (Allocatable& item : items) {
    item.smallest_bits = 3;
    item.largest_bits = 6;
  }
  for (const double target : {3.5, 8.0})
    for (const int bits : allocate_to_bits(items, target, target, 0).bits) {
      EXPECT_GE(bits, 3);
      EXPECT_LE(bits, 6);
    }
  for (const Allocation& allocation : allocation_front(items, 0))
    for (const int bits : allocation.bits) {
      EXPECT_GE(bits, 3);
      EXPECT_LE(bits, 6);
    }
}

TEST(Allocation, ATargetBelowTheFewestBitsIsRefusedWithTheNumberThatCanBeReached) {
  const std::vector<Allocatable> items = {make_item(true, 100, 1), make_item(false, 100, 1)};
  try {
    allocate_to_bits(items, 3.0, 4.0, 100);  // (2 + 32) / 2
    FAIL() << "the target cannot be reached";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("17.000"));
  }
  try {
    allocate_to_bits(items, 3.0, 1.5, 0);
    FAIL() << "the target cannot be reached";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("2.000"));
  }
}

TEST(Allocation, OneKindAloneNeedsNoBudgetForTheOther) {
  const Allocation weights = allocate_to_bits({make_item(true, 10, 1)}, 4, 0, 0);
  EXPECT_EQ(weights.bits, std::vector<int>{4});
  EXPECT_EQ(weights.activation_bits, 0);
  const Allocation activations = allocate_to_bits({make_item(false, 10, 1)}, 0, 4, 0);
  EXPECT_EQ(activations.bits, std::vector<int>{4});
  EXPECT_TRUE(allocate_to_bits({}, 3, 3, 0).bits.empty());
}

TEST(Allocation, ADivergenceThatRisesWithTheBitsIsNotPaidFor) {
  Allocatable odd = make_item(true, 100, 1);
  odd.divergence[5] = 10;  // a fit that failed at five bits
  const Allocation allocation = allocate_to_bits({odd}, 5.0, 8.0, 0);
  EXPECT_EQ(allocation.bits, std::vector<int>{4});
}

TEST(AllocationFront, GoesFromFewBitsToManyAndFromMuchDivergenceToLittle) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<Allocation> front = allocation_front(random_items(12, seed), 5);
    ASSERT_GE(front.size(), 3U);
    for (size_t i = 1; i < front.size(); ++i) {
      EXPECT_GE(front[i].weight_bits, front[i - 1].weight_bits);
      EXPECT_GE(front[i].activation_bits, front[i - 1].activation_bits);
      EXPECT_LE(front[i].divergence, front[i - 1].divergence);
      EXPECT_NE(front[i].bits, front[i - 1].bits);
    }
    EXPECT_EQ(front.back().bits, std::vector<int>(12, kMaxStoredBits));
  }
}

TEST(AllocationFront, EndsWithTheMostBitsHoweverSmallTheDivergences) {
  const std::vector<Allocatable> items = {make_item(true, 1e6, 1e-12), make_item(false, 1e6, 1e-15)};
  const std::vector<int> most = {items[0].largest_bits, items[1].largest_bits};
  EXPECT_EQ(allocation_front(items, 0).back().bits, most);
}

TEST(AllocationFront, HasNoGapWhereOneTableIsMostOfTheNetwork) {
  const std::vector<Allocation> front = allocation_front(table_and_layers(), 0);
  for (size_t i = 1; i < front.size() && front[i].weight_bits < 6; ++i)  // beyond, nothing that lies between is better
    EXPECT_LT(front[i].weight_bits - front[i - 1].weight_bits, 0.3) << "after " << front[i - 1].weight_bits;
}

TEST(AllocationFront, EveryPointIsTheBestForItsBits) {
  const std::vector<Allocatable> items = random_items(4, 9);
  for (const Allocation& point : allocation_front(items, 0))
    EXPECT_NEAR(point.divergence, brute_force(items, point.weight_bits + 1e-9, point.activation_bits + 1e-9),
                1e-9 * point.divergence);
}

}  // namespace
}  // namespace dnateq
