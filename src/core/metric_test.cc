#include "core/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "core/test_error.h"

namespace dnateq::testing {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// One call of `samples` samples.
OutputValues values(std::vector<float> all, size_t width, int64_t samples) {
  return {{std::move(all)}, {width}, {samples}};
}

TEST(Metric, NamesGoBothWays) {
  for (const std::string name : {"top1", "top5", "agreement", "cosine", "kl"})
    EXPECT_EQ(to_string(metric_from_string(name)), name);
  EXPECT_EQ(metric_from_string("command:./score.sh"), Metric::kCommand);
  EXPECT_THAT(error_of([] { metric_from_string("accuracy"); }), HasSubstr("unknown metric 'accuracy'"));
  EXPECT_THROW(metric_from_string(""), Error);
}

TEST(Score, TopKCountsTheLabelsAmongTheLargest) {
  const OutputValues out = values({0.1F, 0.7F, 0.2F, 0.0F, 0.3F, 0.4F, 0.6F,  //
                                   9, 8, 7, 6, 5, 4, 3},
                                  7, 2);
  EXPECT_THAT(score(Metric::kTop1, out, {}, {1, 0}), ElementsAre(1, 1));
  EXPECT_THAT(score(Metric::kTop1, out, {}, {6, 1}), ElementsAre(0, 0));
  EXPECT_THAT(score(Metric::kTop5, out, {}, {2, 4}), ElementsAre(1, 1));
  EXPECT_THAT(score(Metric::kTop5, out, {}, {0, 5}), ElementsAre(0, 0));
}

TEST(Score, ATieGoesToTheFirstClass) {
  const OutputValues out = values({1, 1, 1}, 3, 1);
  EXPECT_THAT(score(Metric::kTop1, out, {}, {0}), ElementsAre(1));
  EXPECT_THAT(score(Metric::kTop1, out, {}, {1}), ElementsAre(0));
}

TEST(Score, AgreementAndCosineAreMeansOverTheRowsOfASample) {
  const OutputValues reference = values({1, 0, 0, 1, 3, 4, 0, 2}, 2, 2), out = values({2, 1, 5, 0, 4, 3, 0, -1}, 2, 2);
  // Rows: agree, differ; differ, differ (the first of equals is the largest).
  EXPECT_THAT(score(Metric::kAgreement, out, reference, {}), ElementsAre(0.5, 0.0));
  EXPECT_THAT(score(Metric::kCosine, out, reference, {}),
              ElementsAre(DoubleNear((2 / std::sqrt(5.0) + 0.0) / 2, 1e-9), DoubleNear((24.0 / 25 - 1.0) / 2, 1e-9)));
}

TEST(Score, ZeroRowsAreAlikeAndUnlikeAnyOther) {
  EXPECT_THAT(score(Metric::kCosine, values({0, 0}, 2, 1), values({0, 0}, 2, 1), {}), ElementsAre(1));
  EXPECT_THAT(score(Metric::kCosine, values({0, 0}, 2, 1), values({1, 0}, 2, 1), {}), ElementsAre(0));
}

TEST(Score, KlIsTheDivergenceOfTheNetworkFromFp32) {
  const double log2 = std::log(2.0);
  // P = (1/2, 1/2), Q = (1/4, 3/4) from logits.
  const OutputValues p = values({5, 5}, 2, 1), q = values({0, static_cast<float>(std::log(3.0))}, 2, 1);
  EXPECT_THAT(score(Metric::kKl, q, p, {}), ElementsAre(DoubleNear(0.5 * log2 + 0.5 * std::log(2.0 / 3), 1e-6)));
  EXPECT_THAT(score(Metric::kKl, p, q, {}), ElementsAre(DoubleNear(0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-6)));
  EXPECT_THAT(score(Metric::kKl, p, p, {}), ElementsAre(0));
  EXPECT_THAT(score(Metric::kKl, values({1000, 0}, 2, 1), values({0, 1000}, 2, 1), {}),
              ElementsAre(DoubleNear(1000, 1e-3)));
}

TEST(Score, MaskedClassesAddNothingToKl) {
  const float mask = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(score(Metric::kKl, values({1, 2, mask}, 3, 1), values({1, 2, mask}, 3, 1), {}),
              ElementsAre(DoubleNear(0, 1e-6)));
}

TEST(Score, ANetworkThatGivesNaNIsNeverAGoodOne) {
  const OutputValues broken = values({kNan, kNan, kNan}, 3, 1), reference = values({3, 2, 1}, 3, 1);
  EXPECT_THAT(score(Metric::kTop1, broken, {}, {0}), ElementsAre(0));
  EXPECT_THAT(score(Metric::kTop5, broken, {}, {2}), ElementsAre(0));
  EXPECT_THAT(score(Metric::kAgreement, broken, reference, {}), ElementsAre(0));
  EXPECT_LE(score(Metric::kCosine, broken, reference, {}).at(0), 0.0);
  EXPECT_FALSE(score(Metric::kKl, broken, reference, {}).at(0) < 1e9);
}

TEST(Score, CallsOfDifferentSizesAreJoinedSampleBySample) {
  OutputValues out{{{1, 0, 0, 1}, {0, 1}}, {2, 2}, {2, 1}};
  EXPECT_THAT(score(Metric::kTop1, out, {}, {0, 0, 1}), ElementsAre(1, 0, 1));
  EXPECT_THAT(score(Metric::kAgreement, out, out, {}), ElementsAre(1, 1, 1));
}

TEST(Score, WhatDoesNotFitIsAnError) {
  const OutputValues out = values({1, 0, 0, 1}, 2, 2);
  EXPECT_THAT(error_of([&] { score(Metric::kTop1, out, {}, {0}); }), HasSubstr("1 labels for"));
  EXPECT_THAT(error_of([&] { score(Metric::kTop1, out, {}, {0, 1, 1}); }), HasSubstr("3 labels for 2 samples"));
  EXPECT_THROW(score(Metric::kTop1, out, {}, {}), Error);
  EXPECT_THROW(score(Metric::kTop1, out, {}, {0, 2}), Error);  // no such class
  EXPECT_THROW(score(Metric::kTop1, out, {}, {-1, 0}), Error);
  EXPECT_THAT(error_of([&] {
                score(Metric::kTop1, values({1, 0, 0, 1}, 2, 1), {}, {0});
              }),
              HasSubstr("one row of class scores a sample"));
  EXPECT_THAT(error_of([&] {
                score(Metric::kKl, values({1, 0, 0}, 1, 2), values({1, 0, 0}, 1, 2), {});
              }),
              HasSubstr("no row for every sample"));
  EXPECT_THAT(error_of([&] { score(Metric::kKl, out, values({1, 0}, 2, 2), {}); }), HasSubstr("differ in shape"));
  EXPECT_THROW(score(Metric::kKl, values({}, 2, 1), values({}, 2, 1), {}), Error);
}

TEST(PairedInterval, HoldsTheTrueDifferenceAboutAsOftenAsItSays) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(0.0, 1.0);
  int covered = 0;
  constexpr int kTrials = 100;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> a, b;
    for (int i = 0; i < 120; ++i) {
      const double common = 5 * normal(random);
      a.push_back(common + 0.3 + normal(random));
      b.push_back(common);
    }
    const auto [low, high] = paired_interval(a, b, 7);
    EXPECT_LT(low, high);
    EXPECT_LT(high - low, 0.6);  // paired: the common part, five times as wide, does not count
    covered += low <= 0.3 && 0.3 <= high ? 1 : 0;
  }
  EXPECT_GE(covered, 86);
  EXPECT_LT(covered, 100);
}

TEST(PairedInterval, FollowsTheSeedAndKnowsEqualScores) {
  const std::vector<double> a = {1, 0, 1, 1, 0, 1}, b = {0, 1, 1, 0, 0, 1};
  EXPECT_EQ(paired_interval(a, b, 1), paired_interval(a, b, 1));
  EXPECT_EQ(paired_interval(a, a, 1), std::make_pair(0.0, 0.0));
  EXPECT_EQ(paired_interval({}, {}, 1), std::make_pair(0.0, 0.0));
}

TEST(Loss, IsPositiveWhereTheNetworkGotWorse) {
  constexpr DropType kAbsolute = DropType::kAbsolute, kRelative = DropType::kRelative;
  EXPECT_DOUBLE_EQ(loss_of(Metric::kTop1, kAbsolute, 0.9, 0.88), 0.9 - 0.88);
  EXPECT_DOUBLE_EQ(loss_of(Metric::kTop1, kRelative, 0.8, 0.76), (0.8 - 0.76) / 0.8);
  EXPECT_DOUBLE_EQ(loss_of(Metric::kCosine, kAbsolute, 1.0, 0.97), 1.0 - 0.97);
  EXPECT_DOUBLE_EQ(loss_of(Metric::kKl, kAbsolute, 0.0, 0.02), 0.02);
  EXPECT_DOUBLE_EQ(loss_of(Metric::kCommand, kRelative, 20, 19), 0.05);
  EXPECT_DOUBLE_EQ(loss_of(Metric::kCommand, kRelative, -20, -21), 0.05);
  EXPECT_DOUBLE_EQ(loss_of(Metric::kCommand, kAbsolute, 20, 19), 1);
  EXPECT_TRUE(lower_is_better(Metric::kKl));
  EXPECT_FALSE(lower_is_better(Metric::kTop1));
}

TEST(Loss, IsCountedAsNamedOrAsTheMetricHasIt) {
  for (const DropType type : {DropType::kAbsolute, DropType::kRelative})
    EXPECT_EQ(drop_type_from_string(to_string(type)), type);
  EXPECT_THAT(error_of([] { drop_type_from_string("percent"); }), HasSubstr("absolute or relative"));
  EXPECT_EQ(usual_drop_type(Metric::kTop1), DropType::kAbsolute);
  EXPECT_EQ(usual_drop_type(Metric::kFunction), DropType::kRelative);
}

}  // namespace
}  // namespace dnateq::testing
