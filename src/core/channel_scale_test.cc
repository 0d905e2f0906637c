#include "core/channel_scale.h"

#include <gtest/gtest.h>

#include <vector>

namespace dnateq {
namespace {

TEST(ChannelScale, IsAFloat16TimesAPowerOfTwo) {
  EXPECT_EQ(channel_scale(to_float16(-0.75F), 0), -0.75F);
  EXPECT_EQ(channel_scale(to_float16(-0.75F), -30), -0.75F * 0x1p-30F);
  EXPECT_EQ(channel_scale(to_float16(1.5F), 40), 1.5F * 0x1p40F);
}

TEST(ChannelScale, IsANormalFloat32WhateverTheExponent) {
  for (const int exponent : {kLeastScaleExponent, kMostScaleExponent})
    for (const uint16_t bits : {uint16_t{0x0001}, uint16_t{0x7bff}})
      EXPECT_TRUE(std::isnormal(channel_scale(bits, exponent)));
}

TEST(ScaleExponent, IsZeroWhereFloat16HoldsEveryScale) {
  EXPECT_EQ(scale_exponent_of(std::vector<float>{0.1F, -0.2F, 1e-4F, 3e-4F}, 2), 0);
  EXPECT_EQ(scale_exponent_of(std::vector<float>{2e4F, 2e4F, 7e-5F, 7e-5F}, 2), 0);
  EXPECT_EQ(scale_exponent_of(std::vector<float>{0, 0, 1, 1}, 2), 0) << "a row of zeros needs no scale";
  EXPECT_EQ(scale_exponent_of(std::vector<float>(6, 0.0F), 3), 0);
  EXPECT_EQ(scale_exponent_of({}, 0), 0);
}

TEST(ScaleExponent, PutsTheLargestScaleNearTheEndOfFloat16) {
  for (const float size : {1e-9F, 1e-30F, 1e6F, 1e30F, 1e33F}) {
    const int exponent = scale_exponent_of(std::vector<float>{size, size, 0, 0}, 2);
    ASSERT_NE(exponent, 0);
    const float rest = std::ldexp(size, -exponent);
    EXPECT_GE(rest, exponent == kLeastScaleExponent ? 0x1p-14F : 0x1p13F) << size;
    EXPECT_LT(rest, 0x1p14F) << size;
  }
}

TEST(ScaleExponent, OfASmallRowBesideALargeOneFollowsTheLarge) {
  const int exponent = scale_exponent_of(std::vector<float>{1, 1, 1e-6F, 1e-6F}, 2);
  EXPECT_EQ(exponent, -13);
  const float kept = channel_scale(to_float16(std::ldexp(1e-6F, -exponent)), exponent);
  EXPECT_NEAR(kept, 1e-6F, 1e-6F * 0x1p-11F);
}

}  // namespace
}  // namespace dnateq
