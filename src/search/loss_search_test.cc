#include "search/loss_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <stdexcept>

#include "core/test_error.h"
#include "search/certificate.h"

namespace dnateq {
namespace {

double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

// From 2 to 8 bits; the divergence falls by 4 with every bit.
std::vector<FrontPoint> front_of(size_t points) {
  std::vector<FrontPoint> front;
  for (size_t i = 0; i < points; ++i) {
    const double bits = 2 + 6 * static_cast<double>(i) / static_cast<double>(points - 1);
    front.push_back({bits, std::pow(0.25, bits)});
  }
  return front;
}

std::vector<size_t> points(const LossSearchResult& result) {
  std::vector<size_t> all;
  for (const LossSearchResult::Tried& one : result.tried) all.push_back(one.point);
  return all;
}

// A search whose losses are known and exact.
class KnownLoss : public ::testing::Test {
 protected:
  LossSearchResult search() {
    LossSearchSteps steps;
    steps.estimate = [this](size_t point) {
      ++made_;
      return LossEstimate{loss_(point), margin_};
    };
    if (certify_)
      steps.certify = [this](size_t point) {
        tested_.push_back(point);
        return certify_(point);
      };
    steps.out_of_time = [this] { return made_ >= time_for_; };
    return search_for_loss(front_, options_, steps);
  }

  const std::vector<FrontPoint> front_ = front_of(121);  // .05 bits apart
  LossSearchOptions options_{.limit = 0.01};
  std::function<double(size_t)> loss_ = [this](size_t point) { return 2 * front_[point].divergence; };  // .01 at 3.82
  std::function<LossJudgement(size_t)> certify_;
  double margin_ = 0;
  size_t made_ = 0, time_for_ = 1000;
  std::vector<size_t> tested_;
};

TEST_F(KnownLoss, IsMetByTheFewestBitsInFewTries) {
  const LossSearchResult result = search();
  EXPECT_EQ(result.verdict, LossVerdict::kUncertified) << "nobody certified";
  EXPECT_LE(loss_(result.point), 0.01);
  EXPECT_GT(loss_(result.point - 2), 0.01);
  EXPECT_LE(made_, 5U);
  EXPECT_EQ(points(result).front(), 40U) << "4 bits";
}

TEST_F(KnownLoss, LeavesTheMarginOfACertificate) {
  certify_ = [this](size_t point) { return LossJudgement{loss_(point), loss_(point) + margin_, {}}; };
  margin_ = 0.005;
  const LossSearchResult result = search();
  EXPECT_EQ(result.verdict, LossVerdict::kCertified);
  EXPECT_LE(loss_(result.point), 0.005);
  EXPECT_GT(loss_(result.point - 3), 0.005);
  EXPECT_LE(made_, 7U);
  ASSERT_TRUE(result.judgement.has_value());
  EXPECT_LE(result.judgement->upper, 0.01);
}

TEST_F(KnownLoss, IsTestedFromMostBitsToFewestUpToTheFirstThatFails) {
  certify_ = [](size_t point) { return LossJudgement{0.005, point >= 45 ? 0.009 : 0.011, 900}; };
  const LossSearchResult result = search();
  EXPECT_TRUE(std::is_sorted(tested_.rbegin(), tested_.rend()));
  EXPECT_EQ(std::set<size_t>(tested_.begin(), tested_.end()).size(), tested_.size()) << "none is tested twice";
  for (size_t i = 0; i + 1 < tested_.size() && result.verdict == LossVerdict::kCertified; ++i)
    EXPECT_GE(tested_[i], 45U);
  EXPECT_NE(result.verdict, LossVerdict::kCannotMeet);
}

TEST_F(KnownLoss, ThatNoSamplesCanShowGivesTheBestEstimateAndTheSamplesNeeded) {
  margin_ = 0.02;
  certify_ = [this](size_t point) { return LossJudgement{loss_(point), loss_(point) + margin_, 4000}; };
  const LossSearchResult result = search();
  EXPECT_EQ(result.verdict, LossVerdict::kUncertified);
  EXPECT_LE(loss_(result.point), 0.01);
  EXPECT_GT(loss_(result.point), 0.005) << "bits for a margin that brings nothing";
  ASSERT_TRUE(result.judgement.has_value());
  EXPECT_EQ(result.judgement->samples_needed, 4000);
  EXPECT_EQ(result.judgement->loss, loss_(result.point));
}

TEST_F(KnownLoss, BeyondTheLimitEverywhereCannotBeMet) {
  loss_ = [](size_t point) { return 0.02 + 0.001 * static_cast<double>(120 - point); };
  const LossSearchResult result = search();
  EXPECT_EQ(result.verdict, LossVerdict::kCannotMeet);
  EXPECT_EQ(result.point, 120U);
  EXPECT_DOUBLE_EQ(result.least_loss, 0.02);
}

TEST_F(KnownLoss, ThatMostBitsMissIsFoundBetween) {
  loss_ = [](size_t point) { return point > 60 && point < 110 ? 0.01 : 0.012; };
  const LossSearchResult result = search();
  EXPECT_EQ(result.verdict, LossVerdict::kUncertified);
  EXPECT_EQ(loss_(result.point), 0.01);
}

TEST_F(KnownLoss, NotFoundInTimeIsAnotherOutcomeThanOneThatCannotBeMet) {
  loss_ = [this](size_t point) { return 8000 * front_[point].divergence * front_[point].divergence; };  // .01 at 4.9
  time_for_ = 1;
  const LossSearchResult late = search();
  EXPECT_EQ(points(late), (std::vector<size_t>{40, 120})) << "one more than time allows: what has the best chance";
  EXPECT_EQ(late.verdict, LossVerdict::kUncertified);
  EXPECT_EQ(late.point, 120U);

  made_ = 0;
  loss_ = [](size_t point) { return point == 100 ? 0.005 : 0.5; };
  EXPECT_EQ(search().verdict, LossVerdict::kOutOfTime);
}

TEST_F(KnownLoss, CancelledComesThrough) {
  loss_ = [](size_t) -> double { throw std::runtime_error("cancelled"); };
  EXPECT_THROW(search(), std::runtime_error);
}

TEST_F(KnownLoss, NotANumberIsNoLossWithinALimit) {
  loss_ = [](size_t) { return std::numeric_limits<double>::quiet_NaN(); };
  EXPECT_EQ(search().verdict, LossVerdict::kCannotMeet);
}

TEST(LossSearch, RefusesAnEmptyFront) {
  LossSearchSteps steps;
  steps.estimate = [](size_t) { return LossEstimate{}; };
  EXPECT_THAT(testing::error_of([&] { search_for_loss({}, {}, steps); }), ::testing::HasSubstr("no candidate"));
}

// --- the promise
// ------------------------------------------------------------------------------------------------------

// Searches among networks of known true loss. A sample is how hard it is for quantization, in [0, 1]; candidates of
// fewer bits lose what those of more bits lose, and more, as real ones do.
struct Family {
  const char* name;
  LossRange range;
  // The loss of a sample of difficulty u at a scale: that of the candidate's true loss.
  double (*loss)(double u, double scale);
  double (*true_loss)(double scale);
  double limit;
  size_t samples;
};

const Family kTopOne{"top-1", LossRange::sign(),
                     // twice as much is lost as is gained, as where predictions are near a tie
                     [](double u, double scale) { return u < 2 * scale   ? 1.0
                                                         : u > 1 - scale ? -1.0
                                                                         : 0.0; },
                     [](double scale) { return scale; }, 0.01, 4000};
const Family kNoisyTopOne{"top-1, much discordance",
                          LossRange::sign(),
                          [](double u, double scale) { return u < 0.03 + scale ? 1.0
                                                              : u > 0.97       ? -1.0
                                                                               : 0.0; },
                          [](double scale) { return scale; },
                          0.02,
                          4000};
const Family kAgreement{"agreement",
                        LossRange::zero_or_one(),
                        [](double u, double scale) { return u < scale ? 1.0 : 0.0; },
                        [](double scale) { return scale; },
                        0.02,
                        4000};
const Family kCosine{
    "cosine", LossRange::bounded(0, 2),
    // mostly small and even, for one sample in 20 ten times as much
    [](double u, double scale) { return std::min(2.0, scale * (u < 0.05 ? 10.0 : (u - 0.05) / 0.95)); },
    [](double scale) { return scale * (0.5 + 0.475); }, 0.03, 1000};

struct Outcome {
  bool exceeded, certified;
  double true_loss, made;
};

struct Tally {
  int exceeded = 0, certified = 0;
  double used = 0;  // mean share of the limit that a certified candidate really loses
  double made = 0;  // mean candidates of a search
};

Outcome synthetic_search(const Family& family, uint64_t seed, size_t samples) {
  std::mt19937_64 random(seed);
  const std::vector<FrontPoint> front = front_of(121);
  // True losses fall with bits, not evenly, and the prediction is off by a factor that differs from point to point.
  std::vector<double> scale;
  const double at_four_bits = family.limit * std::exp(3 * (uniform(random) - 0.5));
  for (const FrontPoint& point : front)
    scale.push_back(
        std::min(0.3, at_four_bits * std::pow(2.5, 4 - point.bits) * std::exp(0.3 * (uniform(random) - 0.5))));
  std::vector<double> search_part(samples / 2), certification_part(samples - samples / 2);
  for (double& u : search_part) u = uniform(random);
  for (double& u : certification_part) u = uniform(random);
  const auto losses = [&](const std::vector<double>& part, size_t point) {
    std::vector<double> all;
    for (const double u : part) all.push_back(family.loss(u, scale[point]));
    return all;
  };
  LossSearchSteps steps;
  steps.estimate = [&](size_t point) {
    const LossBound bound = upper_bound(losses(search_part, point), family.range, kCertificateLevel, seed);
    return LossEstimate{bound.loss, bound.upper - bound.loss};
  };
  steps.certify = [&](size_t point) {
    const LossBound bound = upper_bound(losses(certification_part, point), family.range, kCertificateLevel, seed);
    return LossJudgement{bound.loss, bound.upper, {}};
  };
  const LossSearchResult result = search_for_loss(front, {.limit = family.limit}, steps);
  const double truth = family.true_loss(scale[result.point]);
  const bool certified = result.verdict == LossVerdict::kCertified;
  return {certified && truth > family.limit, certified, truth, static_cast<double>(result.tried.size())};
}

class CertifiedSearch : public ::testing::TestWithParam<Family> {};

TEST_P(CertifiedSearch, ExceedsItsLimitInFivePercentAtMostAndComesCloseToIt) {
  const Family& family = GetParam();
  constexpr int kSearches = 200;
  const auto run = [&](int searches, size_t samples) {
    Tally tally;
    for (uint64_t seed = 1; seed <= static_cast<uint64_t>(searches); ++seed) {
      const Outcome outcome = synthetic_search(family, seed, samples);
      tally.exceeded += outcome.exceeded ? 1 : 0;
      tally.certified += outcome.certified ? 1 : 0;
      if (outcome.certified) tally.used += outcome.true_loss / family.limit;
      tally.made += outcome.made;
    }
    tally.used /= std::max(1, tally.certified);
    tally.made /= searches;
    return tally;
  };
  const Tally tally = run(kSearches, family.samples);
  const double slack = 2.33 * std::sqrt(0.05 * 0.95 * kSearches);  // at a rate of 5 %, 1 % of test runs would be above
  EXPECT_LE(tally.exceeded, 0.05 * kSearches + slack);
  EXPECT_GE(tally.certified, 0.8 * kSearches) << "the limit is in reach of nearly all";
  EXPECT_GE(tally.used, 0.35) << "far more bits are taken than need be";
  EXPECT_LE(tally.made, 8) << "candidates, each of which costs a pass over all layers";
  const Tally many = run(kSearches / 8, 8 * family.samples);
  EXPECT_GE(many.used, 0.55) << "many samples bring the loss close to the limit";
  EXPECT_GE(many.certified, kSearches / 8 * 9 / 10);
  EXPECT_GT(many.used, tally.used + 0.1);
  RecordProperty("exceeded", tally.exceeded);
  RecordProperty("certified", tally.certified);
  RecordProperty("used_percent", static_cast<int>(100 * tally.used));
  RecordProperty("used_percent_many", static_cast<int>(100 * many.used));
  RecordProperty("made_times_100", static_cast<int>(100 * tally.made));
}

// What the certificate is for: to choose by the estimate alone exceeds the limit in a third of the searches or more.
TEST_P(CertifiedSearch, IsNeededAsTheEstimateAloneExceedsTheLimitOften) {
  const Family& family = GetParam();
  int exceeded = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed + 1000);
    const std::vector<FrontPoint> front = front_of(121);
    const double at_four_bits = family.limit * std::exp(3 * (uniform(random) - 0.5));
    std::vector<double> part(1000);
    for (double& u : part) u = uniform(random);
    const auto scale = [&](size_t point) { return std::min(0.3, at_four_bits * std::pow(2.5, 4 - front[point].bits)); };
    LossSearchSteps steps;
    steps.estimate = [&](size_t point) {
      double sum = 0;
      for (const double u : part) sum += family.loss(u, scale(point));
      return LossEstimate{sum / static_cast<double>(part.size()), 0};
    };
    const LossSearchResult result = search_for_loss(front, {.limit = family.limit}, steps);
    exceeded += family.true_loss(scale(result.point)) > family.limit ? 1 : 0;
  }
  EXPECT_GE(exceeded, 12) << family.name;
}

INSTANTIATE_TEST_SUITE_P(
    Families, CertifiedSearch, ::testing::Values(kTopOne, kNoisyTopOne, kAgreement, kCosine), [](const auto& instance) {
      std::string name = instance.param.name;
      name.erase(std::remove_if(name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }), name.end());
      return name;
    });

// The error rate at its worst: every candidate's true loss is a little above the limit, so that any certificate is
// wrong.
TEST(CertifiedSearchWorstCase, KeepsTheErrorRateWhereEveryCandidateIsALittleTooBad) {
  int wrong = 0;
  constexpr int kSearches = 400;
  for (uint64_t seed = 1; seed <= kSearches; ++seed) {
    std::mt19937_64 random(seed);
    const std::vector<FrontPoint> front = front_of(41);
    const auto losses = [&](std::vector<double>& all) {  // of another candidate: another draw, its true loss .0101
      for (double& loss : all) {
        const double u = uniform(random);
        loss = u < 0.0301 ? 1 : u < 0.0501 ? -1 : 0;
      }
    };
    LossSearchSteps steps;
    steps.estimate = [&](size_t) { return LossEstimate{0.001, 0.001}; };  // the search part is all too sure
    steps.certify = [&](size_t) {
      std::vector<double> all(1000);
      losses(all);
      const LossBound bound = upper_bound(all, LossRange::sign());
      return LossJudgement{bound.loss, bound.upper, {}};
    };
    wrong += search_for_loss(front, {.limit = 0.01}, steps).verdict == LossVerdict::kCertified ? 1 : 0;
  }
  EXPECT_LE(wrong, 0.05 * kSearches + 2.33 * std::sqrt(0.05 * 0.95 * kSearches));
  EXPECT_GE(wrong, 0.01 * kSearches) << "the test is far more careful than it says";
}

TEST(LossSearch, ACandidateLosesWhatItsWorstFormDoes) {
  const std::vector<LossEstimate> forms = {{0.002, 0.006}, {0.004, 0.001}, {0.003, 0.002}};
  size_t asked = 0;
  const auto estimate = [&](size_t form) { return ++asked, forms[form]; };
  const LossEstimate worst = estimate_of_forms(forms.size(), 0.01, estimate);
  EXPECT_EQ(worst.loss, 0.004);
  EXPECT_DOUBLE_EQ(worst.loss + worst.margin, 0.008) << "of whichever form a bound would lie highest for";
  EXPECT_EQ(asked, 3U);
  asked = 0;
  EXPECT_EQ(estimate_of_forms(forms.size(), 0.003, estimate).loss, 0.004);
  EXPECT_EQ(asked, 2U) << "the second misses the limit already";
}

TEST(LossSearch, ACandidateIsJudgedByTheFormWithTheHighestBound) {
  const std::vector<LossJudgement> forms = {{0.004, 0.006, 100}, {0.003, 0.009, 700}, {0.001, 0.002, {}}};
  const LossJudgement worst = judgement_of_forms(forms.size(), [&](size_t form) { return forms[form]; });
  EXPECT_EQ(worst.loss, 0.003);
  EXPECT_EQ(worst.upper, 0.009);
  EXPECT_EQ(worst.samples_needed, 700);
}

TEST(LossSearch, AMarginShrinksWithTheRootOfTheSamplesThatCertify) {
  EXPECT_DOUBLE_EQ(expected_margin(0.01, 0.03, 500, 500), 0.02);
  EXPECT_DOUBLE_EQ(expected_margin(0.01, 0.03, 500, 2000), 0.01);
  EXPECT_EQ(expected_margin(0.01, std::numeric_limits<double>::infinity(), 500, 500), 0);
}

TEST(LossSearch, ALossMeetsItsLimitWhateverTheRounding) {
  EXPECT_GT(0.88 - 0.87, 0.01);
  EXPECT_TRUE(within(0.88 - 0.87, 0.01));
  EXPECT_FALSE(within(0.0101, 0.01));
  EXPECT_FALSE(within(std::numeric_limits<double>::quiet_NaN(), 0.01));
}

}  // namespace
}  // namespace dnateq
