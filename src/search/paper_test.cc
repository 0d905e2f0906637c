#include "search/paper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "search/test_data.h"

namespace dnateq {
namespace {

class Paper : public ::testing::Test {
 protected:
  const FitData weights_ = FitData::from_values(testing::normal_values(3000, 31, 0.05F));
  const FitData activations_ = FitData::from_values(testing::laplace_values(3000, 32));
  const PaperLayer layer_ = fit_paper_layer(weights_, &activations_, false);
};

TEST_F(Paper, ALayersTensorsShareTheBaseAndTheNumberOfExponentBits) {
  for (int n = kPaperFewestBits; n <= kPaperMostBits; ++n) {
    const PaperChoice& choice = layer_.by_exponent_bits[static_cast<size_t>(n)];
    EXPECT_EQ(choice.weights.stored_bits, n + 1);
    EXPECT_EQ(choice.weights.positive_levels, (1 << n) - 1);
    EXPECT_EQ(choice.weights.negative_levels, (1 << n) - 1);
    ASSERT_TRUE(choice.activations.has_value());
    EXPECT_EQ(choice.activations->base, choice.weights.base);
    EXPECT_EQ(choice.activations->stored_bits, n + 1);
    EXPECT_NO_THROW(validate(choice.weights, "weights"));
    EXPECT_NO_THROW(validate(*choice.activations, "activations"));
    EXPECT_NEAR(choice.weight_rmae, weights_.absolute_error(choice.weights) / weights_.magnitude(), 1e-12);
    EXPECT_NEAR(choice.activation_rmae, activations_.absolute_error(*choice.activations) / activations_.magnitude(),
                1e-12);
  }
}

TEST_F(Paper, NonNegativeActivationsHaveNoSignBit) {
  const FitData positive = FitData::from_values(testing::many_tensors(1000)[4].values);
  ASSERT_EQ(positive.largest(true), 0.0);
  const PaperLayer layer = fit_paper_layer(weights_, &positive, true);
  for (int n = kPaperFewestBits; n <= kPaperMostBits; ++n) {
    const TensorCode& code = *layer.by_exponent_bits[static_cast<size_t>(n)].activations;
    EXPECT_EQ(code.stored_bits, n);
    EXPECT_EQ(code.negative_levels, 0);
    EXPECT_EQ(code.positive_levels, (1 << n) - 1);
    EXPECT_NO_THROW(validate(code, "activations"));
  }
}

TEST_F(Paper, EmbeddingsAreJudgedByTheirWeightsAlone) {
  const PaperLayer layer = fit_paper_layer(weights_, nullptr, false);
  const double threshold = layer.by_exponent_bits[4].weight_rmae;
  const PaperChoice& choice = choose_paper(layer, threshold, 0.0);
  EXPECT_FALSE(choice.activations.has_value());
  EXPECT_LE(choice.weight_rmae, threshold);
}

TEST_F(Paper, TheFirstWidthWithinBothThresholdsIsChosen) {
  for (const double weight_threshold : paper_thresholds())
    for (const double activation_threshold : paper_thresholds()) {
      int expected = kPaperMostBits;
      for (int n = kPaperMostBits; n >= kPaperFewestBits; --n) {
        const PaperChoice& choice = layer_.by_exponent_bits[static_cast<size_t>(n)];
        if (choice.weight_rmae <= weight_threshold && choice.activation_rmae <= activation_threshold) expected = n;
      }
      EXPECT_EQ(exponent_bits(choose_paper(layer_, weight_threshold, activation_threshold)), expected);
    }
}

TEST_F(Paper, AStricterThresholdNeverTakesFewerBits) {
  for (const double other : {0.3, 0.1, 0.03}) {
    int by_weights = 0, by_activations = 0;
    for (const double threshold : paper_thresholds()) {  // loosest first
      const int w = exponent_bits(choose_paper(layer_, threshold, other));
      const int a = exponent_bits(choose_paper(layer_, other, threshold));
      EXPECT_GE(w, by_weights);
      EXPECT_GE(a, by_activations);
      by_weights = w;
      by_activations = a;
    }
  }
}

TEST_F(Paper, UnreachableThresholdsTakeTheMostBitsAndLooseOnesTheFewest) {
  EXPECT_EQ(exponent_bits(choose_paper(layer_, 0.0, 0.0)), kPaperMostBits);
  EXPECT_EQ(exponent_bits(choose_paper(layer_, 1e9, 1e9)), kPaperFewestBits);
}

TEST_F(Paper, TheSweepGoesFromLooseToStrict) {
  const std::vector<double> thresholds = paper_thresholds();
  EXPECT_GE(thresholds.size(), 5U);
  EXPECT_TRUE(std::is_sorted(thresholds.begin(), thresholds.end(), std::greater<>()));
  EXPECT_GT(thresholds.back(), 0.0);
}

TEST_F(Paper, TensorsOfZerosGetValidCodes) {
  const FitData zeros = FitData::from_values(std::vector<float>(10, 0.0F));
  const PaperLayer layer = fit_paper_layer(zeros, &zeros, true);
  const PaperChoice& choice = choose_paper(layer, 0.1, 0.1);
  EXPECT_EQ(exponent_bits(choice), kPaperFewestBits);
  EXPECT_NO_THROW(validate(choice.weights, "weights"));
  EXPECT_NO_THROW(validate(*choice.activations, "activations"));
}

}  // namespace
}  // namespace dnateq
