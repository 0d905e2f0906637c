#include "search/bits_request.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/test_error.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

// A tensor whose divergence is `sensitivity` at 2 bits and falls by 4 with every further one.
Allocatable item(bool is_weights, double values, double sensitivity) {
  Allocatable item;
  item.is_weights = is_weights;
  item.values = values;
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    item.divergence[static_cast<size_t>(bits)] = sensitivity * std::pow(0.25, bits - kMinStoredBits);
  return item;
}

class Request : public ::testing::Test {
 protected:
  std::vector<Allocatable> items_ = {item(true, 1000, 1), item(true, 1000, 32), item(false, 100, 1),
                                     item(false, 100, 32)};
};

TEST_F(Request, OfNothingIsFourBitsOnTheMean) {
  const Allocation found = allocate_as_asked(items_, {}, 0);
  EXPECT_DOUBLE_EQ(found.weight_bits, 4);
  EXPECT_DOUBLE_EQ(found.activation_bits, 4);
  EXPECT_EQ(found.bits, (std::vector<int>{3, 5, 3, 5})) << "32 times as sensitive, 1.25 bits each way";
}

TEST_F(Request, OfMeanBitsForWeightsHoldsForActivationsToo) {
  BitsRequest request;
  request.mean_weight_bits = 5;
  EXPECT_DOUBLE_EQ(allocate_as_asked(items_, request, 0).activation_bits, 5);
  request.mean_activation_bits = 3;
  const Allocation found = allocate_as_asked(items_, request, 0);
  EXPECT_DOUBLE_EQ(found.weight_bits, 5);
  EXPECT_DOUBLE_EQ(found.activation_bits, 3);
}

TEST_F(Request, OfOneWidthFixesItsKindAndSharesTheOtherOut) {
  BitsRequest request;
  request.weight_width = 3;
  const Allocation found = allocate_as_asked(items_, request, 0);
  EXPECT_EQ(found.bits, (std::vector<int>{3, 3, 3, 5}));
  EXPECT_EQ(given_width(request, items_[0]), 3);
  EXPECT_EQ(given_width(request, items_[2]), std::nullopt);
}

TEST_F(Request, OfBothWidthsSharesNothingOut) {
  BitsRequest request;
  request.weight_width = 3;
  request.activation_width = 6;
  request.mean_weight_bits = 8;  // counts where no width is given
  EXPECT_EQ(allocate_as_asked(items_, request, 0).bits, (std::vector<int>{3, 3, 6, 6}));
}

TEST_F(Request, OfAWidthThatAnItemCannotHaveGivesTheNearest) {
  items_[2].largest_bits = 4;
  BitsRequest request;
  request.weight_width = 3;
  request.activation_width = 6;
  EXPECT_EQ(allocate_as_asked(items_, request, 0).bits, (std::vector<int>{3, 3, 4, 6}));
}

TEST_F(Request, OfFewerBitsThanThereAreIsRefused) {
  BitsRequest request;
  request.mean_weight_bits = 2.5;
  EXPECT_THROW(allocate_as_asked(items_, request, 500), Error);  // FP32 values: (2 * 2000 + 32 * 500) / 2500 bits
}

}  // namespace
}  // namespace dnateq
