#include "search/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/test_error.h"
#include "search/betting_bound.h"
#include "search/discrete_bound.h"
#include "search/normal.h"

namespace dnateq {
namespace {

std::vector<double> repeated(std::vector<std::pair<double, int>> parts) {
  std::vector<double> values;
  for (const auto& [value, times] : parts) values.insert(values.end(), static_cast<size_t>(times), value);
  return values;
}

double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

TEST(NormalQuantile, InvertsTheProbability) {
  for (const double p : {1e-12, 0.001, 0.05, 0.3, 0.5, 0.7, 0.95, 0.9999}) {
    EXPECT_NEAR(normal_probability(normal_quantile(p)), p, 1e-8 * p);
    EXPECT_NEAR(rough_normal_quantile(p), normal_quantile(p), 0.00046);
  }
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536, 1e-6);
}

TEST(BinomialBound, LeavesTheSeenCountOrFewerTheErrorsProbability) {
  for (const auto& [count, n] : {std::pair<int64_t, int64_t>{0, 10}, {5, 100}, {70, 100}, {999, 1000}}) {
    const double p = binomial_upper_bound(count, n, 0.95);
    double sum = 0;
    for (int64_t k = 0; k <= count; ++k)
      sum += std::exp(std::lgamma(static_cast<double>(n + 1)) - std::lgamma(static_cast<double>(k + 1)) -
                      std::lgamma(static_cast<double>(n - k + 1)) + static_cast<double>(k) * std::log(p) +
                      static_cast<double>(n - k) * std::log1p(-p));
    EXPECT_NEAR(sum, 0.05, 1e-6) << count << " of " << n;
  }
  EXPECT_EQ(binomial_upper_bound(7, 7, 0.95), 1);
}

// Not sampled but summed over every outcome: the bound is below the truth with a probability of at most 5 %, at every
// pair of probabilities.
TEST(TrinomialBound, HoldsForEveryProbabilityOfLossAndGain) {
  for (const int n : {1, 7, 24}) {
    std::vector<std::vector<double>> bound(static_cast<size_t>(n + 1));
    for (int a = 0; a <= n; ++a)
      for (int b = 0; a + b <= n; ++b) bound[static_cast<size_t>(a)].push_back(trinomial_upper_bound(a, b, n, 0.95));
    double most = 0;
    constexpr int kGrid = 40;
    for (int i = 0; i <= kGrid; ++i)
      for (int j = 0; i + j <= kGrid; ++j) {
        // squared, to look closer where outcomes are rare
        const double p = static_cast<double>(i * i) / (kGrid * kGrid), q = static_cast<double>(j * j) / (kGrid * kGrid);
        if (p + q > 1) continue;
        double missed = 0;
        for (int a = 0; a <= n; ++a)
          for (int b = 0; a + b <= n; ++b) {
            if (bound[static_cast<size_t>(a)][static_cast<size_t>(b)] >= p - q) continue;
            const int c = n - a - b;
            const auto power = [](double base, int to) { return to == 0 ? 1.0 : std::pow(base, to); };
            missed +=
                std::exp(std::lgamma(n + 1.0) - std::lgamma(a + 1.0) - std::lgamma(b + 1.0) - std::lgamma(c + 1.0)) *
                power(p, a) * power(q, b) * power(std::max(0.0, 1 - p - q), c);
          }
        most = std::max(most, missed);
      }
    EXPECT_LE(most, 0.05) << n;
    if (n == 24) {
      EXPECT_GT(most, 0.035) << "wider than need be";
    }
  }
}

TEST(TrinomialBound, IsCloseToTheNormalOneWhereCountsAreLarge) {
  struct Case {
    int64_t losses, gains, n;
  };
  for (const Case& c : {Case{50, 50, 2000}, Case{100, 60, 8000}, Case{30, 20, 1000}, Case{1500, 1300, 50000}}) {
    const auto n = static_cast<double>(c.n);
    const double loss = static_cast<double>(c.losses - c.gains) / n;
    const double margin = 1.645 * std::sqrt(static_cast<double>(c.losses + c.gains) / n - loss * loss) / std::sqrt(n);
    const double bound = trinomial_upper_bound(c.losses, c.gains, c.n, 0.95);
    EXPECT_GT(bound, loss + margin);
    EXPECT_LT(bound, loss + 1.06 * margin);
  }
}

TEST(TrinomialBound, FollowsTheRuleOfThreeWhereNothingDiffers) {
  EXPECT_NEAR(trinomial_upper_bound(0, 0, 1000, 0.95), 3.0 / 1000, 0.05 / 1000);
}

TEST(TrinomialBound, FindsTheWorstShareOfDiscordantSamples) {
  EXPECT_NEAR(trinomial_upper_bound(7, 9, 1329, 0.95), 0.00385019, 1e-6);  // by a search of 400 shares; 16 give .003833
}

TEST(TrinomialBound, RisesWithLossesAndFallsWithGains) {
  EXPECT_LT(trinomial_upper_bound(10, 5, 300, 0.95), trinomial_upper_bound(11, 5, 300, 0.95));
  EXPECT_GT(trinomial_upper_bound(10, 5, 300, 0.95), trinomial_upper_bound(10, 6, 300, 0.95));
  EXPECT_LT(trinomial_upper_bound(10, 5, 300, 0.9), trinomial_upper_bound(10, 5, 300, 0.95));
  EXPECT_EQ(trinomial_upper_bound(2, 40, 300, 0.95), 0);
  EXPECT_EQ(trinomial_upper_bound(3, 0, 3, 0.95), 1);
}

// What is refuted at the true mean is missed by the bound.
TEST(BettingBound, HoldsForValuesOfAnyShape) {
  struct Case {
    const char* name;
    double lowest, highest, mean;
    double (*draw)(std::mt19937_64&);
  };
  const std::vector<Case> cases = {
      {"rare and huge", 0, 2, 0.02, [](std::mt19937_64& r) { return uniform(r) < 0.01 ? 2.0 : 0.0; }},
      {"half and half", 0, 1, 0.5, [](std::mt19937_64& r) { return uniform(r) < 0.5 ? 1.0 : 0.0; }},
      {"nearly always lost", 0, 1, 0.97, [](std::mt19937_64& r) { return uniform(r) < 0.97 ? 1.0 : 0.0; }},
      {"even", -1, 1, 0, [](std::mt19937_64& r) { return 2 * uniform(r) - 1; }},
      {"skewed", 0, 2, 0.01 + 0.002,
       [](std::mt19937_64& r) { return 0.02 * uniform(r) + (uniform(r) < 0.002 ? 1 : 0); }},
      {"three values", -1, 1, 0.01, [](std::mt19937_64& r) {
         const double u = uniform(r);
         return u < 0.04 ? 1.0 : u < 0.07 ? -1.0 : 0.0;
       }}};
  constexpr int kRuns = 3000;
  for (const Case& one : cases)
    for (const int n : {20, 300}) {
      std::mt19937_64 random(static_cast<uint64_t>(n));
      int missed = 0;
      std::vector<double> values(static_cast<size_t>(n));
      for (int run = 0; run < kRuns; ++run) {
        for (double& value : values) value = one.draw(random);
        missed += refuted_by_betting(values, one.lowest, one.highest, one.mean, 0.95) ? 1 : 0;
      }
      EXPECT_LE(missed, 0.05 * kRuns + 3 * std::sqrt(0.05 * 0.95 * kRuns)) << one.name << ", " << n;
    }
}

TEST(BettingBound, IsTightForRareAndForFrequentLosses) {
  for (const double p : {0.01, 0.1, 0.5}) {
    std::mt19937_64 random(5);
    double betting = 0, exact = 0;
    constexpr int kRuns = 20, kSamples = 1000;
    for (int run = 0; run < kRuns; ++run) {
      std::vector<double> losses(kSamples);
      for (double& loss : losses) loss = uniform(random) < p ? 1 : 0;
      betting += upper_bound(losses, LossRange::bounded(0, 1), 0.95, static_cast<uint64_t>(run)).upper - p;
      exact += upper_bound(losses, LossRange::zero_or_one()).upper - p;
    }
    EXPECT_LT(betting, 1.45 * exact) << p;
  }
}

TEST(BettingBound, FollowsTheRuleOfThreeWhereLossesHardlyDiffer) {
  const std::vector<double> losses = repeated({{0.004, 500}, {0.006, 500}});
  const LossBound bound = upper_bound(losses, LossRange::bounded(0, 2));
  EXPECT_NEAR(bound.loss, 0.005, 1e-12);
  EXPECT_LT(bound.upper, 0.005 + 1.06 * 2 * 3.0 / 1000);
  EXPECT_GT(bound.upper, least_upper_bound(LossRange::bounded(0, 2), 1000));
}

TEST(UpperBound, NamesItsMethod) {
  const std::vector<double> losses = repeated({{0, 90}, {1, 10}});
  EXPECT_EQ(upper_bound(losses, LossRange::zero_or_one()).method, "Clopper-Pearson");
  EXPECT_EQ(upper_bound(losses, LossRange::sign()).method, "exact trinomial");
  EXPECT_EQ(upper_bound(losses, LossRange::bounded(0, 1)).method, "betting");
  EXPECT_EQ(upper_bound(losses, LossRange::unbounded()).method, "bootstrap");
  for (const LossRange& range :
       {LossRange::zero_or_one(), LossRange::sign(), LossRange::bounded(0, 1), LossRange::unbounded()}) {
    const LossBound bound = upper_bound(losses, range);
    EXPECT_DOUBLE_EQ(bound.loss, 0.1);
    EXPECT_EQ(bound.samples, 100);
    EXPECT_GT(bound.upper, 0.14) << bound.method;
    EXPECT_LT(bound.upper, 0.187) << bound.method;
  }
}

TEST(UpperBound, GivesTheSameForTheSameSeed) {
  std::mt19937_64 random(3);
  std::vector<double> losses(200);
  for (double& loss : losses) loss = uniform(random) * uniform(random);
  for (const LossRange& range : {LossRange::bounded(0, 1), LossRange::unbounded()})
    EXPECT_EQ(upper_bound(losses, range, 0.95, 9).upper, upper_bound(losses, range, 0.95, 9).upper);
}

TEST(UpperBound, KnowsNothingWithoutSamples) {
  EXPECT_EQ(upper_bound({}, LossRange::sign()).upper, std::numeric_limits<double>::infinity());
  const std::vector<double> one = {0.3};
  EXPECT_EQ(upper_bound(one, LossRange::unbounded()).upper, std::numeric_limits<double>::infinity());
}

TEST(UpperBound, RefusesALossOutsideItsRange) {
  const std::vector<double> losses = {0, 1.5};
  EXPECT_THAT(testing::error_of([&] { upper_bound(losses, LossRange::bounded(0, 1)); }),
              ::testing::AllOf(::testing::HasSubstr("1.5"), ::testing::HasSubstr("[0, 1]")));
  EXPECT_THAT(testing::error_of([&] { upper_bound(losses, LossRange::sign()); }), ::testing::HasSubstr("1.5"));
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  EXPECT_THAT(testing::error_of([&] { upper_bound(nan, LossRange::unbounded()); }), ::testing::HasSubstr("NaN"));
}

// A skewed loss as a KL divergence has: the studentized bootstrap misses about as often as it says.
TEST(UpperBound, BootstrapIsRoughlyRightForASkewedLoss) {
  std::mt19937_64 random(17);
  int missed = 0;
  constexpr int kRuns = 100;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> losses(150);
    for (double& loss : losses) loss = -std::log(1 - uniform(random));  // exponential, of mean 1
    missed += upper_bound(losses, LossRange::unbounded(), 0.95, static_cast<uint64_t>(run)).upper < 1 ? 1 : 0;
  }
  EXPECT_LE(missed, 0.05 * kRuns + 3 * std::sqrt(0.05 * 0.95 * kRuns));
}

TEST(SamplesNeeded, AreAsManyAsWouldCertify) {
  const std::vector<double> losses = repeated({{1, 14}, {-1, 10}, {0, 476}});  // .8 % of 500
  ASSERT_GT(upper_bound(losses, LossRange::sign()).upper, 0.015);
  const std::optional<int64_t> needed = samples_needed(losses, LossRange::sign(), 0.015);
  ASSERT_TRUE(needed.has_value());
  EXPECT_GT(*needed, 500);
  const auto at = [](int64_t n) {
    return trinomial_upper_bound(n * 14 / 500, n * 10 / 500, n, 0.95);  // rounding aside
  };
  EXPECT_LT(at(*needed), 0.0155);
  EXPECT_GT(at(*needed * 8 / 10), 0.015);
  EXPECT_EQ(samples_needed(losses, LossRange::sign(), 0.2), 500) << "these are enough";
  EXPECT_FALSE(samples_needed(losses, LossRange::sign(), 0.008).has_value()) << "the loss itself is at the limit";
}

TEST(SamplesNeeded, AreToldForEveryKindOfLoss) {
  const std::vector<double> losses = repeated({{0.001, 40}, {0.009, 10}});
  const std::optional<int64_t> bounded = samples_needed(losses, LossRange::bounded(0, 2), 0.01);
  ASSERT_TRUE(bounded.has_value());
  std::vector<double> many;
  for (int64_t i = 0; i < *bounded * 5 / 4; ++i) many.push_back(losses[static_cast<size_t>(i) % losses.size()]);
  EXPECT_LE(upper_bound(many, LossRange::bounded(0, 2)).upper, 0.01);
  EXPECT_GE(*bounded, 600);
  EXPECT_LE(*bounded, 1200);
  EXPECT_EQ(samples_needed(losses, LossRange::unbounded(), 0.01), kFewestForBootstrap);
  EXPECT_GT(samples_needed(losses, LossRange::unbounded(), 0.003), 101);
}

TEST(UpperBound, OfUnknownRangeSaysNothingOnFewSamples) {
  for (const int64_t n : {2, 4, 99}) {
    EXPECT_TRUE(std::isinf(upper_bound(repeated({{0.0, n}}), LossRange::unbounded()).upper)) << n;
    EXPECT_TRUE(std::isinf(least_upper_bound(LossRange::unbounded(), n))) << n;
  }
  EXPECT_EQ(upper_bound(repeated({{0.0, 100}}), LossRange::unbounded()).upper, 0);
}

// A metric that prints 1 for every one of two samples shows next to nothing.
TEST(RelativeBound, TakesScoresOfZeroAndOneAsRightOrWrong) {
  for (const int64_t n : {2, 20, 2000}) {
    const std::vector<double> ones = repeated({{1.0, n}});
    const LossBound bound = relative_upper_bound(ones, ones, {});
    EXPECT_EQ(bound.method, "betting");
    EXPECT_EQ(bound.upper, relative_upper_bound(ones, ones, {true, 0, 1}).upper) << n;
    EXPECT_GT(bound.upper, 1.0 / static_cast<double>(n)) << n;
  }
}

TEST(RelativeBound, ComparesWithTheReferencesMean) {
  std::mt19937_64 random(23);
  std::vector<double> reference(3000), candidate(3000);
  for (size_t i = 0; i < reference.size(); ++i) {
    reference[i] = 0.5 + 0.4 * uniform(random);
    candidate[i] = reference[i] - 0.02 * uniform(random);
  }
  for (const ScoreRange& range : {ScoreRange{true, 0, 1}, ScoreRange{}}) {
    const LossBound bound = relative_upper_bound(reference, candidate, range);
    EXPECT_NEAR(bound.loss, 0.01 / 0.7, 0.0005);
    EXPECT_GT(bound.upper, bound.loss);
    EXPECT_LT(bound.upper, bound.loss + 0.004);
    EXPECT_EQ(bound.method, range.known ? "betting" : "bootstrap");
    EXPECT_EQ(relative_samples_needed(reference, candidate, range, 0.05), 3000);
    EXPECT_GT(relative_samples_needed(reference, candidate, range, bound.loss + 0.0001), 3001);
    EXPECT_FALSE(relative_samples_needed(reference, candidate, range, 0.01).has_value());
  }
  candidate.pop_back();
  EXPECT_THAT(testing::error_of([&] { relative_upper_bound(reference, candidate, {}); }),
              ::testing::AllOf(::testing::HasSubstr("3000"), ::testing::HasSubstr("2999")));
  const std::vector<double> outside = {1.5};
  EXPECT_THAT(testing::error_of([&] {
                relative_upper_bound(outside, outside, {true, 0, 1});
              }),
              ::testing::AllOf(::testing::HasSubstr("1.5"), ::testing::HasSubstr("range")));
}

TEST(LeastUpperBound, SaysWhereNothingCanBeCertified) {
  EXPECT_NEAR(least_upper_bound(LossRange::zero_or_one(), 300), 0.00994, 0.0001);
  EXPECT_NEAR(least_upper_bound(LossRange::sign(), 300), 0.01, 0.0003);
  EXPECT_NEAR(least_upper_bound(LossRange::bounded(0, 2), 300), 2 * 0.00994, 0.0002);
  EXPECT_EQ(least_upper_bound(LossRange::unbounded(), 300), 0);
}

}  // namespace
}  // namespace dnateq
