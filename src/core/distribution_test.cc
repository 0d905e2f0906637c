#include "core/distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace dnateq {
namespace {

constexpr size_t kSamples = 100'000;

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

template <class Draw>
std::vector<float> sample(Draw draw) {
  std::mt19937 random(11);
  std::vector<float> values(kSamples);
  for (float& value : values) value = static_cast<float>(draw(random));
  return values;
}

std::vector<float> with_random_signs(std::vector<float> values) {
  std::mt19937 random(12);
  for (float& value : values)
    if ((random() & 1) != 0) value = -value;
  return values;
}

std::vector<float> normal_sample(double mean, double sigma) { return sample(std::normal_distribution(mean, sigma)); }
std::vector<float> exponential_sample(double rate) { return sample(std::exponential_distribution(rate)); }
std::vector<float> uniform_sample(double low, double high) { return sample(std::uniform_real_distribution(low, high)); }
std::vector<float> pareto_sample(double x_min, double exponent) {
  return sample([&](std::mt19937& random) {
    return x_min * std::pow(1 - std::uniform_real_distribution(0.0, 1.0)(random), -1 / exponent);
  });
}

const DistributionFit& named(const std::vector<DistributionFit>& fits, const std::string& name) {
  return *std::ranges::find(fits, name, &DistributionFit::name);
}

TEST(Distribution, RecognizesNormalValuesWithTheirParameters) {
  const auto fits = fit_distributions(histogram_of(normal_sample(0.3, 2.0)));
  EXPECT_EQ(fits.front().name, "normal");
  EXPECT_NEAR(fits.front().parameter1, 0.3, 0.03);
  EXPECT_NEAR(fits.front().parameter2, 2.0, 0.02);
}

TEST(Distribution, RecognizesUniformValuesWithTheirParameters) {
  const auto fits = fit_distributions(histogram_of(uniform_sample(-1.0, 3.0)));
  EXPECT_EQ(fits.front().name, "uniform");
  EXPECT_NEAR(fits.front().parameter1, -1.0, 0.001);
  EXPECT_NEAR(fits.front().parameter2, 3.0, 0.001);
}

TEST(Distribution, RecognizesExponentialMagnitudesWithOneSignAndWithTwo) {
  const std::vector<float> positive = exponential_sample(4.0);
  for (const auto& values : {positive, with_random_signs(positive)}) {
    const auto fits = fit_distributions(histogram_of(values));
    EXPECT_EQ(best_of_paper_families(fits), "exponential");
    EXPECT_NEAR(named(fits, "exponential").parameter1, 4.0, 0.05);
  }
}

TEST(Distribution, RecognizesParetoMagnitudesWithTheirParameters) {
  const std::vector<float> positive = pareto_sample(0.5, 2.5);
  for (const auto& values : {positive, with_random_signs(positive)}) {
    const auto fits = fit_distributions(histogram_of(values));
    EXPECT_EQ(fits.front().name, "pareto");
    EXPECT_NEAR(fits.front().parameter1, 0.5, 0.005);
    EXPECT_NEAR(fits.front().parameter2, 2.5, 0.05);
  }
}

TEST(Distribution, KeepsParetoApartFromOneStrayValueNearZero) {
  std::vector<float> values = pareto_sample(0.5, 2.5);
  values[0] = 1e-30F;
  const auto fits = fit_distributions(histogram_of(values));
  EXPECT_NEAR(named(fits, "pareto").parameter1, 0.5, 0.01);
  EXPECT_NEAR(named(fits, "pareto").parameter2, 2.5, 0.1);
}

TEST(Distribution, RecognizesARectifiedNormalAsHalfNormal) {
  std::vector<float> values = normal_sample(0.0, 1.0);
  for (float& value : values) value = std::max(value, 0.0F);
  const auto fits = fit_distributions(histogram_of(values));
  EXPECT_EQ(fits.front().name, "half-normal");
  EXPECT_NEAR(fits.front().parameter1, 1.0, 0.02);
}

TEST(Distribution, JudgesLaplaceAndExponentialAlikeWhereSignsAreBalanced) {
  std::vector<float> values = exponential_sample(1.0);
  const std::vector<float> positive = values;
  for (const float value : positive) values.push_back(-value);
  const auto fits = fit_distributions(histogram_of(values));
  EXPECT_NEAR(named(fits, "laplace").rss, named(fits, "exponential").rss, 1e-12);
  EXPECT_NEAR(named(fits, "laplace").ks, named(fits, "exponential").ks, 1e-12);
}

TEST(Distribution, IgnoresZeros) {
  std::vector<float> values = normal_sample(0.0, 1.0);
  const auto without = fit_distributions(histogram_of(values));
  values.resize(values.size() * 3, 0.0F);
  const auto with = fit_distributions(histogram_of(values));
  ASSERT_EQ(with.size(), without.size());
  for (size_t i = 0; i < with.size(); ++i) {
    EXPECT_EQ(with[i].name, without[i].name);
    EXPECT_EQ(with[i].parameter1, without[i].parameter1);
    EXPECT_EQ(with[i].rss, without[i].rss);
  }
}

TEST(Distribution, DoesNotDependOnScale) {
  std::vector<float> values = normal_sample(0.1, 1.0);
  const auto fits = fit_distributions(histogram_of(values));
  for (float& value : values) value *= 0x1p-20F;
  const auto scaled = fit_distributions(histogram_of(values));
  for (size_t i = 0; i < fits.size(); ++i) {
    EXPECT_EQ(fits[i].name, scaled[i].name);
    EXPECT_NEAR(fits[i].ks, scaled[i].ks, 1e-9);
    EXPECT_NEAR(fits[i].rss, scaled[i].rss * 0x1p-20, 1e-9) << "rss is a density";
  }
}

TEST(Distribution, DoesNotDependOnSign) {
  std::vector<float> values = sample(std::gamma_distribution(1.5, 1.0));
  for (size_t i = 0; i < values.size(); i += 5) values[i] = -values[i];
  const auto fits = fit_distributions(histogram_of(values));
  for (float& value : values) value = -value;
  const auto mirrored = fit_distributions(histogram_of(values));
  for (size_t i = 0; i < fits.size(); ++i) {
    EXPECT_EQ(fits[i].name, mirrored[i].name);
    EXPECT_NEAR(fits[i].ks, mirrored[i].ks, 1e-9);
    EXPECT_NEAR(fits[i].rss, mirrored[i].rss, 1e-6);
  }
}

TEST(Distribution, OrdersFitsByResiduals) {
  const auto fits = fit_distributions(histogram_of(exponential_sample(1.0)));
  ASSERT_EQ(fits.size(), 6U);
  EXPECT_TRUE(std::ranges::is_sorted(fits, {}, &DistributionFit::rss));
  EXPECT_LT(fits.front().rss * 10, fits.back().rss);
}

TEST(Distribution, FindsASmallDistanceForTheTrueFamilyOnly) {
  const auto fits = fit_distributions(histogram_of(normal_sample(0.0, 1.0)));
  EXPECT_LT(named(fits, "normal").ks, 0.01) << "about 1.36 / sqrt(samples) at 95 %";
  EXPECT_NEAR(named(fits, "laplace").ks, 0.06, 0.02);
  EXPECT_GT(named(fits, "uniform").ks, 0.2);
}

TEST(Distribution, HasDensitiesThatAreTheDerivativeOfTheirDistributionFunction) {
  for (const auto& fit : fit_distributions(histogram_of(with_random_signs(pareto_sample(1.0, 1.5))))) {
    EXPECT_NEAR(fit.cdf(-1e12), 0.0, 1e-9) << fit.name;
    EXPECT_EQ(fit.on_magnitudes, fit.density(-2.0) == 0) << fit.name;
    EXPECT_NEAR(fit.cdf(1e12), 1.0, 1e-9) << fit.name;
    for (double x = -20.03; x < 20; x += 0.25) {
      const double step = 1e-5;
      const double slope = (fit.cdf(x + step) - fit.cdf(x - step)) / (2 * step);
      EXPECT_NEAR(fit.density(x), slope, 1e-6) << fit.name << " at " << x;
    }
  }
}

TEST(Distribution, JudgesAMagnitudeFitWithTheTensorsOwnShareOfNegativeValues) {
  for (const size_t one_in : {2, 4, 20}) {
    std::vector<float> values = exponential_sample(1.0);
    for (size_t i = 0; i < values.size(); i += one_in) values[i] = -values[i];
    const auto fits = fit_distributions(histogram_of(values));
    EXPECT_LT(named(fits, "exponential").ks, 0.01) << one_in;
    EXPECT_EQ(best_of_paper_families(fits), "exponential") << one_in;
  }
}

TEST(Distribution, SurvivesConstantTinyAndHugeTensors) {
  const float max = std::numeric_limits<float>::max(), min = std::numeric_limits<float>::min();
  for (const auto& values : {std::vector{0.7F}, std::vector{-3.0F, -3.0F}, std::vector{max}, std::vector{max, -max},
                             std::vector{min}, std::vector{min, max}, std::vector{-min, 0.0F, min}}) {
    for (const auto& fit : fit_distributions(histogram_of(values))) {
      EXPECT_TRUE(std::isfinite(fit.rss)) << fit.name << " of " << values[0];
      EXPECT_TRUE(fit.ks >= 0 && fit.ks <= 1) << fit.name << " of " << values[0];
      EXPECT_TRUE(std::isfinite(fit.parameter1) && std::isfinite(fit.parameter2)) << fit.name << " of " << values[0];
    }
  }
}

TEST(Distribution, FitsNothingToATensorOfZeros) {
  const auto fits = fit_distributions(histogram_of({0.0F, -0.0F}));
  EXPECT_TRUE(fits.empty());
  EXPECT_EQ(best_of_paper_families(fits), "");
}

TEST(Distribution, NamesTheBestOfThePapersFourEvenWhereAnotherFitsBetter) {
  std::vector<DistributionFit> fits(3);
  fits[0].name = "laplace";
  fits[1].name = "pareto";
  fits[2].name = "normal";
  EXPECT_EQ(best_of_paper_families(fits), "pareto");
}

}  // namespace
}  // namespace dnateq
