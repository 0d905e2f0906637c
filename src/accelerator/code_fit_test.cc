#include "accelerator/code_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "accelerator/precision.h"

namespace dnateq::accelerator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Layer layer_of(double weight_base, double activation_base, bool beta_is_zero, Levels levels) {
  Layer layer;
  layer.weights.base = weight_base;
  layer.activations.base = activation_base;
  layer.weights.beta_is_zero = layer.activations.beta_is_zero = beta_is_zero;
  layer.weights.levels = layer.activations.levels = levels;
  return layer;
}

bool fits(const Layer& layer, Design design) { return misfit(layer, design).empty(); }

TEST(CodeFit, EachFamilyRunsOnTheLanesThatItIsFor) {
  const double root = std::exp2(0.5);
  const Layer free = layer_of(1.3, 1.2, false, Levels::kInt8Grid), shared = layer_of(1.3, 1.3, false, Levels::kReal),
              beta0 = layer_of(1.3, 1.2, true, Levels::kReal), pow2 = layer_of(root, root, true, Levels::kReal);
  struct Case {
    const Layer& layer;
    bool counting, counting_beta0, shift, decode;
  };
  for (const Case& c : {Case{free, false, false, false, true}, Case{shared, true, false, false, false},
                        Case{beta0, false, false, false, false}, Case{pow2, true, true, true, false}}) {
    EXPECT_EQ(fits(c.layer, Design::kCounting), c.counting);
    EXPECT_EQ(fits(c.layer, Design::kCountingBeta0), c.counting_beta0);
    EXPECT_EQ(fits(c.layer, Design::kShift), c.shift);
    EXPECT_EQ(fits(c.layer, Design::kDecode), c.decode);
    EXPECT_TRUE(fits(c.layer, Design::kInt8));
  }
}

TEST(CodeFit, OneBetaOrAnotherBaseIsEnoughToMiss) {
  const double root = std::exp2(0.25);
  Layer layer = layer_of(root, root, true, Levels::kReal);
  EXPECT_TRUE(fits(layer, Design::kShift));
  layer.activations.beta_is_zero = false;
  EXPECT_THAT(misfit(layer, Design::kShift), HasSubstr("beta"));
  EXPECT_THAT(misfit(layer, Design::kCountingBeta0), HasSubstr("beta"));
  EXPECT_TRUE(fits(layer, Design::kCounting));
  layer.activations.base = std::exp2(0.5);
  EXPECT_THAT(misfit(layer, Design::kCounting), HasSubstr("bases of their own"));
  layer.activations.levels = Levels::kInt8Grid;
  EXPECT_THAT(misfit(layer, Design::kCounting), HasSubstr("8-bit grid"));
  EXPECT_THAT(misfit(layer, Design::kDecode), HasSubstr("real numbers"));  // the weights'
}

TEST(CodeFit, AssumedCodesAreWhatEachDesignNeeds) {
  Workload workload = built_in_workload("alexnet");
  set_mean_precision(workload, paper_precision("alexnet"));
  for (const Design design : all_designs()) {
    const CodeFit fit = code_fit(workload, design);
    EXPECT_EQ(fit.foreign, 0) << to_string(design);
    EXPECT_EQ(fit.layers, static_cast<int64_t>(workload.layers.size()));
  }
}

TEST(CodeFit, LayersOnInt8LanesDoNotCount) {
  Workload workload;
  workload.layers = {layer_of(1.3, 1.2, true, Levels::kReal), layer_of(1.3, 1.3, true, Levels::kReal),
                     layer_of(1.5, 1.2, true, Levels::kReal)};
  CodeFit fit = code_fit(workload, Design::kCounting);
  EXPECT_EQ(fit.layers, 3);
  EXPECT_EQ(fit.foreign, 2);
  EXPECT_THAT(fit.reasons, ElementsAre(HasSubstr("bases")));
  workload.layers[0].int8_lanes = true;
  fit = code_fit(workload, Design::kCounting);
  EXPECT_EQ(fit.layers, 2);
  EXPECT_EQ(fit.foreign, 1);
}

}  // namespace
}  // namespace dnateq::accelerator
