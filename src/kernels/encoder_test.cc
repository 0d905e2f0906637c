#include "kernels/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "core/test_error.h"
#include "dnateq/error.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace dnateq::kernels {
namespace {

using testing::error_of;

TensorCode grid_code(int bits, int negatives, double base, double grid = 100.0,
                     Rounding rounding = Rounding::kNearest) {
  TensorCode code;
  code.rounding = rounding;
  code = with_level_counts(code, bits, negatives);
  code.base = base;
  const int count = std::max(code.negative_levels, code.positive_levels);
  const double most = code.negative_levels == 0 ? 255 : 127;
  code.grid = grid;
  code.beta = most / grid * 0.1 / count;
  code.alpha = (most / grid - code.beta) / std::pow(base, count - 1);
  return code;
}

std::vector<TensorCode> many_codes() {
  std::vector<TensorCode> codes;
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    for (const int negatives : {-1, 0, 1, 3})
      for (const double base : {1.0001, 1.08, 1.6})
        for (const double grid : {100.0, 0.37, 3e6, 1e-30}) {
          const TensorCode code = grid_code(bits, negatives, base, grid);
          const bool fits = code.positive_levels > 0 && code.positive_levels <= (code.negative_levels == 0 ? 255 : 127);
          if (fits) codes.push_back(code);
        }
  codes.push_back(grid_code(4, -1, 1.5, 100, Rounding::kLogarithmic));
  codes.push_back(grid_code(7, 0, 1.05, 100, Rounding::kLogarithmic));
  codes.push_back(grid_code(4, 10, 1.3));                   // more negative levels than positive ones
  codes.push_back(grid_code(8, 130 - 4, 1.01));             // nearly so, at eight bits
  codes.push_back(grid_code(3, -1, 1.5, 1e40));             // thresholds are denormal: no cells
  codes.push_back(grid_code(4, -1, 1.0001, 128 / 3.4e38));  // levels up to the largest float
  return codes;
}

// By the definition: Encoder's code, and the integer of its level.
int level_of(const TensorCode& code, const Encoder& encoder, float x) {
  const int number = encoder.encode(x);
  if (number == 0) return 0;
  const bool negative = number > code.positive_levels;
  const int q = grid_magnitudes(code)[static_cast<size_t>(number - 1 - (negative ? code.positive_levels : 0))];
  return negative ? -q : q;
}

std::vector<float> adversarial(const Encoder& encoder, double grid, unsigned seed) {
  std::vector<float> values;
  const auto both_signs = [&](uint32_t bits) {
    values.push_back(std::bit_cast<float>(bits));
    values.push_back(std::bit_cast<float>(bits | 0x80000000U));
  };
  for (const uint32_t bits : {0U, 1U, 2U, 0x007FFFFFU, 0x00800000U, 0x7F7FFFFFU, 0x7F800000U, 0x7F800001U, 0x7FC00000U,
                              0x7FFFFFFFU, 0x3F800000U, 0x4B000000U})
    both_signs(bits);
  for (const auto& thresholds : {encoder.positive_thresholds(), encoder.negative_thresholds()})
    for (const uint32_t bits : thresholds)
      for (const uint32_t near : {bits - 1, bits, bits + 1}) both_signs(near);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, static_cast<float>(60 / grid));
  for (int i = 0; i < 500; ++i) values.push_back(normal(random));
  for (int i = 0; i < 200; ++i) values.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  std::shuffle(values.begin(), values.end(), random);
  return values;
}

std::vector<std::string> encoders_for(const ActivationEncoder& encoder) {
  std::vector<std::string> names;
  for (const KernelVerdict& verdict : encoder.explain())
    if (verdict.refusal.empty()) names.push_back(verdict.name);
  return names;
}

// A caller may have set the processor to read denormals as zero and to write them as zero, as OpenVINO can.
class DenormalsAreZero {
 public:
#if defined(__x86_64__)
  explicit DenormalsAreZero(bool wanted) : before_(_mm_getcsr()) {
    if (wanted) _mm_setcsr(before_ | 0x8040U);
  }
  ~DenormalsAreZero() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#else
  explicit DenormalsAreZero(bool) {}
#endif
};

TEST(ActivationEncoder, GivesTheLevelOfTheDefinitionForEveryFloatTried) {
  unsigned seed = 0;
  for (const TensorCode& code : many_codes()) {
    const ActivationEncoder encoder(code);
    const Encoder definition(code);
    EXPECT_EQ(encoder.is_signed(), code.negative_levels > 0);
    const std::vector<float> x = adversarial(definition, code.grid, ++seed);
    std::vector<int> expected;
    expected.reserve(x.size());
    for (const float value : x) expected.push_back(level_of(code, definition, value));
    const int32_t expected_sum = std::accumulate(expected.begin(), expected.end(), 0);
    for (const std::string& name : encoders_for(encoder))
      for (const bool denormals_are_zero : {false, true}) {
        std::vector<uint8_t> levels(x.size());
        int32_t sum = 0;
        {
          const DenormalsAreZero mode(denormals_are_zero);
          encoder.encode_with(name, {x.data(), 0, 1, x.size(), levels.data(), 0, &sum});
        }
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(encoder.is_signed() ? static_cast<int8_t>(levels[i]) : levels[i], expected[i])
              << name << " of " << x[i] << ", " << code.stored_bits << " bits, " << code.negative_levels
              << " negative, base " << code.base << ", grid " << code.grid;
        EXPECT_EQ(sum, expected_sum) << name;
      }
  }
}

TEST(ActivationEncoder, TakesRowsOfAnyLengthStrideAndAlignmentAndWritesNothingElse) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const TensorCode& code : {grid_code(3, -1, 1.5), grid_code(4, 0, 1.4), grid_code(7, -1, 1.01)}) {
    const ActivationEncoder encoder(code);
    const Encoder definition(code);
    for (const size_t inputs : {1, 2, 7, 8, 13, 16, 17, 31, 37, 61, 64, 67, 127, 131})
      for (const size_t offset : {0, 1, 3}) {
        const size_t rows = 3, x_stride = inputs + 2, stride = inputs + 5;
        std::vector<float> x(offset + (rows - 1) * x_stride + inputs);
        for (float& value : x) value = normal(random);
        std::vector<uint8_t> expected(offset + rows * stride, 0x5A);
        std::vector<int32_t> expected_sums(rows);
        for (size_t row = 0; row < rows; ++row)
          for (size_t k = 0; k < inputs; ++k) {
            const int level = level_of(code, definition, x[offset + row * x_stride + k]);
            expected[offset + row * stride + k] = static_cast<uint8_t>(level);
            expected_sums[row] += level;
          }
        for (const std::string& name : encoders_for(encoder)) {
          std::vector<uint8_t> levels(expected.size(), 0x5A);
          std::vector<int32_t> sums(rows);
          encoder.encode_with(name,
                              {x.data() + offset, x_stride, rows, inputs, levels.data() + offset, stride, sums.data()});
          EXPECT_EQ(levels, expected) << name << ", " << inputs << " inputs";
          EXPECT_EQ(sums, expected_sums) << name << ", " << inputs << " inputs";
          encoder.encode_with(name,
                              {x.data() + offset, x_stride, rows, inputs, levels.data() + offset, stride, nullptr});
          EXPECT_EQ(levels, expected) << name;
        }
      }
  }
}

// Sanitizers do not see what masked loads touch; the page after the last value does.
TEST(ActivationEncoder, ReadsNothingPastTheLastValue) {
  constexpr size_t kPage = 65536;
  auto* pages =
      static_cast<uint8_t*>(mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(mprotect(pages + kPage, kPage, PROT_NONE), 0);
  const ActivationEncoder encoder(grid_code(4, -1, 1.3));
  for (const std::string& name : encoders_for(encoder))
    for (size_t inputs = 1; inputs < 140; ++inputs) {
      const auto* x = reinterpret_cast<const float*>(pages + kPage) - inputs;
      std::vector<int8_t> levels(inputs, 1);
      encoder.encode_with(name, {x, inputs, 1, inputs, levels.data(), inputs, nullptr});
      EXPECT_EQ(levels, std::vector<int8_t>(inputs, 0));
    }
  munmap(pages, 2 * kPage);
}

TEST(ActivationEncoder, FindsCellsForEveryNearestCodeOfNormalLevels) {
  for (const TensorCode& code : many_codes()) {
    if (code.rounding != Rounding::kNearest || magnitudes(code)[0] / 2 < std::numeric_limits<float>::min()) continue;
    const auto verdicts = ActivationEncoder(code).explain();
    for (const KernelVerdict& verdict : verdicts)
      EXPECT_THAT(verdict.refusal, ::testing::Not(::testing::HasSubstr("cells")))
          << verdict.name << ": " << code.stored_bits << " bits, " << code.negative_levels << " negative, base "
          << code.base << ", grid " << code.grid;
  }
}

TEST(ActivationEncoder, EndsItsListWithTheReferenceThatTakesEverything) {
  const auto verdicts = ActivationEncoder(grid_code(3, -1, 1.5, 1e40)).explain();
  EXPECT_EQ(verdicts.back().name, "scalar");
  EXPECT_EQ(verdicts.back().refusal, "");
  EXPECT_NE(verdicts.front().refusal, "");
}

TEST(ActivationEncoder, SaysWhatItDoesNotTake) {
  TensorCode code = grid_code(4, -1, 1.3);
  const EncoderRows nothing{nullptr, 0, 0, 0, nullptr, 0, nullptr};
  EXPECT_THAT(error_of([&] { ActivationEncoder(code).encode_with("fastest", nothing); }),
              ::testing::AllOf(::testing::HasSubstr("fastest"), ::testing::HasSubstr("scalar")));
  EXPECT_NO_THROW(ActivationEncoder(code).encode(nothing));
  code.arithmetic = Arithmetic::kExponential;
  EXPECT_THAT(error_of([&] { ActivationEncoder encoder(code); }), ::testing::HasSubstr("exponential"));
}

}  // namespace
}  // namespace dnateq::kernels
