#include "core/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

// Any bit pattern: all magnitudes, denormals, infinities and NaN.
std::vector<float> random_patterns(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = std::bit_cast<float>(static_cast<uint32_t>(random()));
  values.insert(values.end(), {0.0F, -0.0F, kDenormal, -kDenormal, kMax, -kMax, kInfinity, -kInfinity, kNaN});
  return values;
}

void expect_same(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.count(), b.count());
  EXPECT_EQ(a.zeros(), b.zeros());
  EXPECT_EQ(a.non_finite(), b.non_finite());
  EXPECT_EQ(std::bit_cast<uint32_t>(a.minimum()), std::bit_cast<uint32_t>(b.minimum()));
  EXPECT_EQ(std::bit_cast<uint32_t>(a.maximum()), std::bit_cast<uint32_t>(b.maximum()));
  const auto entries_a = a.entries(), entries_b = b.entries();
  ASSERT_EQ(entries_a.size(), entries_b.size());
  for (size_t i = 0; i < entries_a.size(); ++i) {
    EXPECT_EQ(entries_a[i].key, entries_b[i].key);
    EXPECT_EQ(entries_a[i].count, entries_b[i].count);
  }
}

TEST(Histogram, IsEmptyBeforeTheFirstValue) {
  Histogram histogram;
  histogram.add({});
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.minimum(), 0.0F);
  EXPECT_TRUE(histogram.bins().empty());
  EXPECT_TRUE(histogram.entries().empty());
}

TEST(Histogram, CountsEveryValueOnce) {
  const std::vector<float> values = random_patterns(200'000, 1);
  Histogram histogram;
  histogram.add(values);
  uint64_t in_bins = 0;
  for (const auto& bin : histogram.bins()) in_bins += bin.count;
  EXPECT_EQ(histogram.count() + histogram.non_finite(), values.size());
  EXPECT_EQ(in_bins + histogram.zeros(), histogram.count());
  EXPECT_EQ(histogram.non_finite(),
            static_cast<uint64_t>(std::ranges::count_if(values, [](float value) { return !std::isfinite(value); })));
}

TEST(Histogram, CountsZerosAndDenormalsApart) {
  Histogram histogram;
  histogram.add(
      std::vector{0.0F, -0.0F, kDenormal, -kDenormal, std::nextafter(kSmallestNormal, 0.0F), kSmallestNormal});
  EXPECT_EQ(histogram.zeros(), 5U);
  ASSERT_EQ(histogram.bins().size(), 1U);
  EXPECT_EQ(histogram.bins()[0].low, kSmallestNormal);
}

TEST(Histogram, KeepsNonFiniteValuesOutOfBinsAndRange) {
  Histogram histogram;
  histogram.add(std::vector{kNaN, kInfinity, -kInfinity, -kNaN});
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.maximum(), 0.0F);
  histogram.add(std::vector{kNaN, 2.0F, kInfinity, -kInfinity, 1.0F, kNaN});
  EXPECT_EQ(histogram.non_finite(), 8U);
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.minimum(), 1.0F);
  EXPECT_EQ(histogram.maximum(), 2.0F);
  EXPECT_EQ(histogram.bins().size(), 2U);
}

TEST(Histogram, PutsEveryValueBetweenTheEdgesOfItsBin) {
  for (const float value : random_patterns(2'000, 2)) {
    if (!std::isnormal(value)) continue;
    Histogram histogram;
    histogram.add(std::span(&value, 1));
    const std::vector<Histogram::Bin> bins = histogram.bins();
    ASSERT_EQ(bins.size(), 1U);
    const auto [low, high, center, count] = bins[0];
    EXPECT_EQ(count, 1U);
    EXPECT_EQ(std::signbit(low), std::signbit(value));
    EXPECT_LE(std::fabs(low), std::fabs(value));
    if (std::fabs(high) < kMax) {
      EXPECT_LT(std::fabs(value), std::fabs(high));
    }
    EXPECT_LT(std::fabs(low), std::fabs(center));
    EXPECT_LT(std::fabs(center), std::fabs(high));
    EXPECT_LE(std::fabs(value - center), std::fabs(value) / 256) << "seven mantissa bits select the bin";
  }
}

TEST(Histogram, ListsBinsAscendingByValue) {
  Histogram histogram;
  histogram.add(random_patterns(100'000, 3));
  const std::vector<Histogram::Bin> bins = histogram.bins();
  ASSERT_GT(bins.size(), 1000U);
  for (size_t i = 1; i < bins.size(); ++i) EXPECT_LT(bins[i - 1].center, bins[i].center);
}

TEST(Histogram, KeepsTheEdgesOfTheLargestBinFinite) {
  Histogram histogram;
  histogram.add(std::vector{kMax, -kMax});
  ASSERT_EQ(histogram.bins().size(), 2U);
  EXPECT_EQ(histogram.bins()[0].high, -kMax);
  EXPECT_EQ(histogram.bins()[1].high, kMax);
}

TEST(Histogram, DoesNotDependOnTheOrderOfValuesNorOnHowTheyAreSplit) {
  std::vector<float> values = random_patterns(50'000, 4);
  Histogram whole;
  whole.add(values);
  std::shuffle(values.begin(), values.end(), std::mt19937(5));
  Histogram first, second, merged;
  first.add(std::span(values).first(17));
  second.add(std::span(values).subspan(17, 1000));
  second.add(std::span(values).subspan(1017));
  merged.merge(second);
  merged.merge(Histogram());
  merged.merge(first);
  expect_same(whole, merged);
}

TEST(Histogram, ForgetsTheSignOfZeroInItsRange) {
  Histogram a, b;
  a.add(std::vector{0.0F, -0.0F});
  b.add(std::vector{-0.0F, 0.0F});
  expect_same(a, b);
}

TEST(Histogram, MergesCountsOfNonFiniteValuesAlone) {
  Histogram bad, histogram;
  bad.add(std::vector{kNaN});
  histogram.add(std::vector{3.0F});
  histogram.merge(bad);
  EXPECT_EQ(histogram.non_finite(), 1U);
  EXPECT_EQ(histogram.minimum(), 3.0F);
}

TEST(Histogram, ComesBackFromItsEntries) {
  Histogram histogram;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  std::vector<float> values(10'000, 0.0F);
  for (size_t i = 0; i < 7'000; ++i) values[i] = normal(random);
  histogram.add(values);
  expect_same(histogram, Histogram::from_entries(histogram.entries(), histogram.zeros(), histogram.minimum(),
                                                 histogram.maximum()));
}

TEST(Histogram, RefusesEntriesThatHoldNoNormalNumber) {
  for (const int key : {0x0000, 0x007f, 0x8000, 0x807f, 0x7f80, 0x7fff, 0xff80, 0xffff}) {
    const Histogram::Entry entry{static_cast<uint16_t>(key), 1};
    EXPECT_THROW(Histogram::from_entries(std::span(&entry, 1), 0, 0, 0), Error) << key;
  }
}

}  // namespace
}  // namespace dnateq
