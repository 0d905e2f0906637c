#include "accelerator/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/test_error.h"

namespace dnateq::accelerator {
namespace {

using ::testing::HasSubstr;

Workload of_layers(size_t count) {
  Workload workload;
  workload.layers.resize(count);
  return workload;
}

TEST(Precision, MeanOverLayersIsWithinHalfABitOfASum) {
  for (const double mean : {2.0, 3.05, 4.83, 5.72, 7.5, 8.0}) {
    Workload workload = of_layers(54);
    set_mean_precision(workload, {.weight_bits = mean, .activation_bits = mean, .origin = "test"});
    double sum = 0;
    for (size_t i = 0; i < workload.layers.size(); ++i) {
      const Operand& weights = workload.layers[i].weights;
      EXPECT_LT(std::fabs(weights.stored_bits - mean), 1.0);
      EXPECT_EQ(weights.exponent_bits, std::max(2, weights.stored_bits - 1));
      sum += weights.stored_bits;
      EXPECT_LE(std::fabs(sum - mean * static_cast<double>(i + 1)), 0.5 + 1e-9);
    }
  }
}

TEST(Precision, TheThreeNetworksAverageWhatThePaperStates) {
  const double mean = (paper_precision("alexnet").weight_bits + paper_precision("resnet50").weight_bits +
                       paper_precision("transformer").weight_bits) /
                      3;
  EXPECT_NEAR(mean, 4.83, 1e-12);
  EXPECT_DOUBLE_EQ(paper_precision("transformer").activation_bits, 3.05);
}

TEST(Precision, ExponentBitsHaveTheSignOnTop) {
  Workload stored = of_layers(40), exponent = of_layers(40);
  Precision precision = paper_precision("transformer");
  set_mean_precision(stored, precision);
  precision.bits_are = BitsAre::kExponent;
  set_mean_precision(exponent, precision);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(exponent.layers[i].weights.stored_bits, stored.layers[i].weights.stored_bits + 1);
    EXPECT_EQ(exponent.layers[i].activations.stored_bits, stored.layers[i].activations.stored_bits + 1);
    EXPECT_EQ(exponent.layers[i].weights.exponent_bits, stored.layers[i].weights.stored_bits);
  }
  precision.weight_bits = 7.5;
  EXPECT_THAT(dnateq::testing::error_of([&] { set_mean_precision(exponent, precision); }), HasSubstr("the sign"));
}

TEST(Precision, ProductsOfActivationsTakeTheActivationsBits) {
  Workload workload = of_layers(2);
  workload.layers[1].weights_are_activations = true;
  set_mean_precision(workload, {.weight_bits = 3, .activation_bits = 6, .weight_zeros = 0.1, .activation_zeros = 0.5});
  EXPECT_EQ(workload.layers[0].weights.stored_bits, 3);
  EXPECT_EQ(workload.layers[0].weights.zero_fraction, 0.1);
  EXPECT_EQ(workload.layers[1].weights.stored_bits, 6);
  EXPECT_EQ(workload.layers[1].weights.zero_fraction, 0.5);
}

TEST(Precision, ShiftTakesTheBaseOfTheWiderOperand) {
  Workload workload = of_layers(2);
  set_mean_precision(workload, {.weight_bits = 4, .activation_bits = 5});
  for (const Layer& layer : workload.layers) EXPECT_TRUE(same_base(layer) && has_shift_base(layer));
  workload.layers[1].weights.base = 1.13;
  EXPECT_FALSE(same_base(workload.layers[1]));
  EXPECT_FALSE(has_shift_base(workload.layers[1]));
  workload.layers[1].activations.base = 1.13;
  EXPECT_TRUE(same_base(workload.layers[1]));
  EXPECT_FALSE(has_shift_base(workload.layers[1]));  // q would be 5.67
  set_shift_bases(workload);
  for (const Layer& layer : workload.layers) {
    EXPECT_DOUBLE_EQ(layer.weights.base, std::exp2(0.25));  // 4 exponent bits: q = 4
    EXPECT_EQ(layer.weights.base, layer.activations.base);
  }
}

TEST(Precision, RefusesBitsAndSharesOutsideTheRange) {
  Workload workload = of_layers(1);
  const auto refusal = [&](const Precision& precision) {
    return dnateq::testing::error_of([&] { set_mean_precision(workload, precision); });
  };
  EXPECT_THAT(refusal({.weight_bits = 1.5, .activation_bits = 4}), HasSubstr("1.5 bits"));
  EXPECT_THAT(refusal({.weight_bits = 4, .activation_bits = 9}), HasSubstr("9 bits"));
  EXPECT_THAT(refusal({.weight_bits = 4, .activation_bits = std::nan("")}), HasSubstr("range"));
  EXPECT_THAT(refusal({.weight_bits = 4, .activation_bits = 4, .weight_zeros = -0.1}), HasSubstr("zeros"));
}

}  // namespace
}  // namespace dnateq::accelerator
