#include "dnateq/code.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr int kMirrored = -2;  // for a number of negative levels

TensorCode curve(int bits, int negatives, double base, Arithmetic arithmetic, Rounding rounding = Rounding::kNearest) {
  TensorCode code;
  code.arithmetic = arithmetic;
  code.rounding = rounding;
  code = negatives == kMirrored ? mirrored(code, bits) : with_level_counts(code, bits, negatives);
  code.base = base;
  const int count = std::max(code.negative_levels, code.positive_levels);
  const double top = std::pow(base, count - 1);
  code.alpha = 0.9 / top;
  code.beta = 0.1 / count;
  code.grid = arithmetic == Arithmetic::kInt8Grid ? 100.0 : 0.0;
  return code;
}

std::vector<TensorCode> many_codes() {
  std::vector<TensorCode> codes;
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    for (const int negatives : {-1, 0, 1, kMirrored})
      for (const double base : {1.0001, 1.08, 1.6})
        for (const Arithmetic arithmetic : {Arithmetic::kExponential, Arithmetic::kInt8Grid}) {
          const TensorCode code = curve(bits, negatives, base, arithmetic);
          const int limit = code.negative_levels == 0 ? 255 : 127;
          if (arithmetic == Arithmetic::kInt8Grid && code.positive_levels > limit) continue;
          if (base > 1.5 && bits > 5) continue;  // levels too close for float32
          codes.push_back(code);
        }
  codes.push_back(curve(4, 7, 1.5, Arithmetic::kExponential, Rounding::kLogarithmic));
  codes.push_back(curve(7, 0, 1.05, Arithmetic::kExponential, Rounding::kLogarithmic));
  return codes;
}

std::vector<float> adversarial(const TensorCode& code) {
  std::vector<float> values = {0.0F,
                               -0.0F,
                               1e-45F,
                               -1e-45F,
                               1e-38F,
                               3e38F,
                               -3e38F,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN(),
                               -std::numeric_limits<float>::quiet_NaN()};
  const Encoder encoder(code);
  for (const auto& thresholds : {encoder.positive_thresholds(), encoder.negative_thresholds()})
    for (const uint32_t bits : thresholds)
      for (const uint32_t near : {bits - 1, bits, bits + 1}) {
        values.push_back(std::bit_cast<float>(near));
        values.push_back(-std::bit_cast<float>(near));
      }
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0F, 0.4F);
  for (int i = 0; i < 300; ++i) values.push_back(normal(random));
  return values;
}

TEST(Code, EveryEncoderPathGivesTheReferencesCode) {
  for (const TensorCode& code : many_codes()) {
    validate(code, "test");
    const Encoder encoder(code);
    const std::vector<float> values = adversarial(code);
    std::vector<uint8_t> codes(values.size());
    encoder.encode(values, codes);
    for (size_t i = 0; i < values.size(); ++i) {
      const int expected = reference_code(code, values[i]);
      ASSERT_EQ(encoder.encode(values[i]), expected)
          << values[i] << " at " << code.stored_bits << " bits, base " << code.base;
      ASSERT_EQ(codes[i], expected) << values[i] << " at " << code.stored_bits << " bits, base " << code.base;
    }
  }
}

TEST(Code, EveryLevelEncodesToItselfAndZeroIsExact) {
  for (const TensorCode& code : many_codes()) {
    if (code.rounding == Rounding::kLogarithmic) continue;  // the paper's rounding is of the exponent, not of the level
    const Encoder encoder(code);
    const std::vector<float> table = level_table(code);
    EXPECT_EQ(table[0] == 0.0F, has_zero(code));
    for (int c = 0; c < first_level_code(code) + code.positive_levels + code.negative_levels; ++c)
      ASSERT_EQ(encoder.encode(table[static_cast<size_t>(c)]), c);
  }
}

TEST(Code, QuantizingIsMonotone) {
  for (const TensorCode& code : many_codes()) {
    const Encoder encoder(code);
    float previous = -std::numeric_limits<float>::infinity();
    for (float x = -1.3F; x < 1.3F; x += 0.003F) {
      const float level = encoder.decode(encoder.encode(x));
      ASSERT_GE(level, previous);
      previous = level;
    }
  }
}

TEST(Code, GridLevelsAreIntegersWithinTheGridAndAscend) {
  for (const TensorCode& code : many_codes()) {
    if (code.arithmetic != Arithmetic::kInt8Grid) continue;
    const std::vector<int> q = grid_magnitudes(code);
    const std::vector<float> levels = magnitudes(code);
    int previous = 0;
    for (size_t i = 0; i < q.size(); ++i) {
      ASSERT_GT(q[i], previous);
      ASSERT_LE(q[i], code.negative_levels == 0 ? 255 : 127);
      ASSERT_EQ(levels[i], static_cast<float>(q[i] / code.grid));
      previous = q[i];
    }
  }
}

TEST(Code, TiesRoundAwayFromZero) {
  TensorCode code = with_level_counts({}, 3, 3);
  code.arithmetic = Arithmetic::kExponential;
  code.base = 2;
  code.alpha = 1;
  code.beta = 0;  // levels 1, 2, 4, 8
  EXPECT_EQ(reference_code(code, 0.5F), 1);
  EXPECT_EQ(reference_code(code, -0.5F), 5);
  EXPECT_EQ(reference_code(code, 1.5F), 2);
  EXPECT_EQ(reference_code(code, -3.0F), 7);
}

TEST(Code, FilledCodesWasteNothing) {
  for (int bits = kMinStoredBits; bits <= 7; ++bits) {
    const TensorCode code = with_level_counts({}, bits);
    EXPECT_EQ(1 + code.negative_levels + code.positive_levels, 1 << bits);
    EXPECT_EQ(code.positive_levels, code.negative_levels + 1);
  }
}

TEST(Code, MirroredCodesHaveALevelForEveryCodeAndNoZero) {
  for (int bits = kMinStoredBits; bits <= 7; ++bits) {
    const TensorCode code = curve(bits, kMirrored, 1.05, Arithmetic::kInt8Grid);
    EXPECT_FALSE(has_zero(code));
    const std::vector<float> table = level_table(code);
    const std::vector<int8_t> integers = int8_level_table(code);
    const size_t half = table.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      EXPECT_GT(table[i], 0.0F);
      EXPECT_EQ(table[half + i], -table[i]);
      EXPECT_EQ(integers[half + i], -integers[i]);
    }
    EXPECT_EQ(reference_code(code, 0.0F), 0);
    EXPECT_EQ(reference_code(code, -0.0F), static_cast<int>(half));
    EXPECT_EQ(reference_code(code, 1e9F), static_cast<int>(half) - 1);
  }
}

TEST(Code, PowersOfTwoStayWithinFloat32) {
  for (int q = 1; q <= 4; ++q) {
    TensorCode code;
    code.family = Family::kPow2;
    code.pow2_q = q;
    code.arithmetic = Arithmetic::kExponential;
    code = with_level_counts(code, 8, 0);
    code.base = std::exp2(1.0 / q);
    code.alpha = std::pow(code.base, -(code.positive_levels - 1));
    code.beta = 0;
    EXPECT_NO_THROW(validate(code, "t")) << q;
  }
}

TEST(Code, BadParametersAreRefusedInASentence) {
  const TensorCode good = curve(4, 7, 1.4, Arithmetic::kInt8Grid);
  const auto refused = [&](auto change) {
    TensorCode code = good;
    change(code);
    EXPECT_THROW(validate(code, "t"), Error);
  };
  refused([](TensorCode& c) { c.stored_bits = 1; });
  refused([](TensorCode& c) { c.stored_bits = 9; });
  refused([](TensorCode& c) { c.positive_levels = 9; });
  refused([](TensorCode& c) {  // 2^k levels, but not as many of either sign
    c.positive_levels = 10;
    c.negative_levels = 6;
  });
  refused([](TensorCode& c) { c = mirrored(c, 8); });
  refused([](TensorCode& c) { c.negative_levels = -1; });
  refused([](TensorCode& c) { c.base = 1.0; });
  refused([](TensorCode& c) { c.alpha = 0; });
  refused([](TensorCode& c) { c.beta = std::nan(""); });
  refused([](TensorCode& c) { c.grid = 0; });
  refused([](TensorCode& c) { c.base = 1e300; });
}

TEST(Code, FamiliesAreReadAndWritten) {
  int q = 0;
  EXPECT_EQ(family_from_string("pow2:3", &q), Family::kPow2);
  EXPECT_EQ(q, 3);
  EXPECT_EQ(family_from_string("pow2", &q), Family::kPow2);
  EXPECT_EQ(q, 1);
  for (const char* bad : {"pow2xx3", "pow2:", "pow2:0", "pow2:99999999999", "pow2:3x", "exponential", ""})
    EXPECT_THROW(family_from_string(bad, nullptr), Error) << bad;
}

}  // namespace
}  // namespace dnateq
