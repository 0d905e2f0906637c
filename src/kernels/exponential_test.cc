#include "kernels/exponential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "core/test_error.h"
#include "dnateq/error.h"

namespace dnateq::kernels {
namespace {

using testing::error_of;

TensorCode curve(int positive, int negative, double base, double top, double beta) {
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.family = Family::kSharedBase;
  code.stored_bits = 2;
  while (1 + positive + negative > 1 << code.stored_bits) ++code.stored_bits;
  code.positive_levels = positive;
  code.negative_levels = negative;
  code.base = base;
  code.beta = beta;
  code.alpha = (top - beta) / std::pow(base, std::max(positive, negative) - 1);
  return code;
}

struct Case {
  TensorCode x, w;
};

// Classic and filled codes, unsigned and nearly unsigned activations, bases near 1, with and without beta.
std::vector<Case> cases(int n) {
  const int most = 1 << n;
  std::vector<Case> all;
  for (const double base : {1.01, 1.3, 1.9})
    for (const bool beta : {false, true}) {
      // Near base = 1 the paper's beta is about -alpha; any beta > -alpha keeps the levels positive.
      const double alpha_x = 3 / std::pow(base, most - 1), alpha_w = 0.2 / std::pow(base, most - 1);
      const double of_x = beta ? -0.9 * alpha_x : 0, of_w = beta ? 0.4 * alpha_w : 0;
      all.push_back({curve(most - 1, most - 1, base, 3, of_x), curve(most - 1, most - 1, base, 0.2, of_w)});
      all.push_back({curve(most, 0, base, 3, of_x), curve(most, most - 1, base, 0.2, of_w)});
      all.push_back({curve(most - 1, 2, base, 3, of_x), curve(most - 1, most, base, 0.2, 0)});
    }
  return all;
}

std::vector<uint8_t> random_codes(const TensorCode& code, size_t count, unsigned seed, int zeros_in_ten = 2) {
  std::mt19937 random(seed);
  std::vector<uint8_t> codes(count);
  const auto levels = static_cast<unsigned>(code.positive_levels + code.negative_levels);
  for (uint8_t& c : codes)
    c = static_cast<int>(random() % 10) < zeros_in_ten ? uint8_t{0} : static_cast<uint8_t>(1 + random() % levels);
  return codes;
}

double absolute_products(const SharedBase& codes, const std::vector<uint8_t>& x, const std::vector<uint8_t>& w) {
  const auto x_levels = level_table(codes.x()), w_levels = level_table(codes.w());
  double sum = 0;
  for (size_t k = 0; k < x.size(); ++k) sum += std::abs(double{x_levels[x[k]]} * double{w_levels[w[k]]});
  return sum;
}

TEST(Counting, IsTheProductOfTheLevelsWithinItsBound) {
  unsigned seed = 0;
  for (int n = 2; n <= kMostExponentBits; ++n)
    for (const Case& c : cases(n)) {
      if (std::max(c.x.stored_bits, c.w.stored_bits) > kMaxStoredBits) continue;
      const SharedBase codes(c.x, c.w);
      EXPECT_EQ(codes.exponent_bits(), n);
      for (const size_t count : {1, 7, 1021, 4096}) {
        const auto x = random_codes(c.x, count, ++seed), w = random_codes(c.w, count, ++seed);
        ExponentCounters counters;
        count_scalar(codes, x, w, counters);
        const SharedBase::Value value = codes.combine(counters);
        long double exact = 0;  // of the levels before float32 rounds them
        const auto level = [](const TensorCode& code, uint8_t number) {
          if (number == 0) return 0.0L;
          const bool negative = number > code.positive_levels;
          const int i = number - 1 - (negative ? code.positive_levels : 0);
          const long double magnitude = code.alpha * std::pow(static_cast<long double>(code.base), i) + code.beta;
          return negative ? -magnitude : magnitude;
        };
        for (size_t k = 0; k < count; ++k) exact += level(c.x, x[k]) * level(c.w, w[k]);
        EXPECT_LE(std::abs(static_cast<double>(value.sum - exact)), 0x1p-43 * value.terms) << n;
        EXPECT_LE(std::abs(value.sum - dot_of_levels(codes, x, w)),
                  0x1p-43 * value.terms + 0x1p-22 * absolute_products(codes, x, w));
      }
    }
}

TEST(Counting, OnPlanesGivesTheScalarCounters) {
  if (!counts_planes()) GTEST_SKIP() << "this CPU lacks AVX-512 VPOPCNTDQ";
  unsigned seed = 100;
  for (int n = 2; n <= 4; ++n)
    for (const Case& c : cases(n)) {
      const SharedBase codes(c.x, c.w);
      for (const size_t count : {0, 1, 2, 7, 63, 64, 65, 509, 511, 512, 513, 1021, 4096, 5003})
        for (const int zeros_in_ten : {0, 2, 10}) {
          const auto x = random_codes(c.x, count, ++seed, zeros_in_ten), w = random_codes(c.w, count, ++seed);
          ExponentCounters expected, found;
          expected.sums[1] = 41;  // set, not added to
          found.sums[1] = 43;
          count_scalar(codes, x, w, expected);
          count_planes({c.x, n, x}, {c.w, n, w}, codes.one_term(), found);
          ASSERT_EQ(found, expected) << n << " bits, " << count << " codes";
        }
    }
}

TEST(Counting, OnPlanesCountsOneValueFully) {
  if (!counts_planes()) GTEST_SKIP() << "this CPU lacks AVX-512 VPOPCNTDQ";
  for (int n = 2; n <= 4; ++n) {
    const int most = (1 << n) - 1;
    const TensorCode code = curve(most, most, 1.4, 1, 0.01);
    const SharedBase codes(code, code);
    for (const int number : {1, most, most + 1, 2 * most}) {
      const std::vector<uint8_t> x(3001, static_cast<uint8_t>(number)), w(3001, static_cast<uint8_t>(most));
      ExponentCounters expected, found;
      count_scalar(codes, x, w, expected);
      count_planes({code, n, x}, {code, n, w}, false, found);
      EXPECT_EQ(found, expected);
      EXPECT_EQ(std::abs(found.signs), 3001);
    }
  }
}

TEST(Counting, NeedsOneTermOnlyWithoutBetas) {
  const TensorCode x = curve(7, 7, 1.5, 1, 0), w = curve(7, 7, 1.5, 1, 0.01);
  EXPECT_TRUE(SharedBase(x, x).one_term());
  EXPECT_FALSE(SharedBase(x, w).one_term());
  const std::vector<uint8_t> codes{1, 9, 3};
  ExponentCounters counters;
  count_scalar(SharedBase(x, x), codes, codes, counters);
  EXPECT_EQ(counters.signs, 0);
  EXPECT_EQ(counters.sums[0], 1);
  EXPECT_EQ(counters.sums[2], 1);
  EXPECT_EQ(counters.sums[4], 1);
}

TEST(Counting, SaysWhatItDoesNotTake) {
  const TensorCode code = curve(7, 7, 1.5, 1, 0);
  TensorCode other = curve(7, 7, 1.6, 1, 0);
  EXPECT_THAT(error_of([&] { SharedBase(code, other); }), ::testing::HasSubstr("shared-base"));
  other = code;
  other.arithmetic = Arithmetic::kInt8Grid;
  other.grid = 100;
  EXPECT_THAT(error_of([&] { SharedBase(code, other); }), ::testing::HasSubstr("exponential"));
  const std::vector<uint8_t> three(3, 1), four(4, 1);
  ExponentCounters counters;
  EXPECT_THROW(count_scalar(SharedBase(code, code), three, four, counters), Error);
  EXPECT_THROW(ExponentPlanes(code, 2, three), Error);
  EXPECT_THROW(ExponentPlanes(code, 5, three), Error);
  EXPECT_THROW(count_planes({code, 3, three}, {code, 3, four}, true, counters), Error);
  EXPECT_THROW(count_planes({code, 3, three}, {code, 4, three}, true, counters), Error);
}

}  // namespace
}  // namespace dnateq::kernels
