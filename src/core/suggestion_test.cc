#include "core/suggestion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dnateq {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Suggestion, NearestComeFirstAndAtMostThree) {
  EXPECT_THAT(near_names("layer12", {"layer92", "layer99", "layer1", "layer21", "bias"}),
              ElementsAre("layer1", "layer21", "layer92"));
}

TEST(Suggestion, ANameInsideTheOtherIsMeant) {
  EXPECT_THAT(near_names("gemm", {"head/gemm/WithoutBiases", "stem"}), ElementsAre("head/gemm/WithoutBiases"));
}

TEST(Suggestion, WhatIsFarIsNotSuggested) {
  EXPECT_THAT(near_names("attention", {"conv", "stem"}), IsEmpty());
  EXPECT_EQ(did_you_mean("attention", {"conv", "stem"}), "");
  EXPECT_EQ(suggestion("attention", {"conv", "stem"}), "there are conv, stem");
}

TEST(Suggestion, IsTheEndOfASentence) {
  EXPECT_EQ(did_you_mean("cnov", {"conv", "cone", "stem"}), "did you mean conv or cone?");
}

}  // namespace
}  // namespace dnateq
