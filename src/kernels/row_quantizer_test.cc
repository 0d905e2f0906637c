#include "kernels/row_quantizer.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/isa.h"

namespace dnateq::kernels {
namespace {

struct Result {
  std::vector<int8_t> q;
  std::vector<float> scales;
  std::vector<int32_t> sums;
  bool operator==(const Result&) const = default;
};

Result quantize(void (*implementation)(const RowQuantization&), const std::vector<float>& x, size_t rows, size_t inputs,
                size_t offset) {
  Result result{std::vector<int8_t>(rows * (inputs + 3), 99), std::vector<float>(rows), std::vector<int32_t>(rows)};
  implementation({x.data() + offset, inputs + 1, rows, inputs, result.q.data(), inputs + 3, result.scales.data(),
                  result.sums.data()});
  return result;
}

std::vector<void (*)(const RowQuantization&)> implementations() {
  std::vector<void (*)(const RowQuantization&)> all{quantize_rows};
  if (cpu().avx2) all.push_back(quantize_rows_avx2);
  if (cpu().avx512) all.push_back(quantize_rows_avx512);
  return all;
}

TEST(QuantizeRows, EveryInstructionSetGivesTheScalarBytes) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  const float special[] = {0.0F,    -0.0F,    NAN,    -NAN,      INFINITY, -INFINITY,
                           FLT_MAX, -FLT_MIN, 1e-42F, 0x1p-100F, 127,      -63.5F};
  for (const size_t inputs : {1, 2, 7, 8, 15, 16, 17, 63, 64, 65, 131, 1000})
    for (int kind = 0; kind < 6; ++kind)
      for (size_t offset = 0; offset < 3; ++offset) {
        const size_t rows = 3;
        std::vector<float> x(offset + (rows - 1) * (inputs + 1) + inputs);  // no float past the last row
        for (float& value : x) {
          value = normal(random) * (kind == 1 ? 1e-31F : 1.0F);
          if (kind == 2) value = 0;
          if (kind >= 3 && random() % 4 == 0) value = special[random() % (kind == 3 ? 4 : std::size(special))];
          if (kind == 5) value = std::round(value * 4) / 2;  // ties
        }
        const Result expected = quantize(quantize_rows_scalar, x, rows, inputs, offset);
        for (const auto implementation : implementations())
          ASSERT_EQ(quantize(implementation, x, rows, inputs, offset), expected) << inputs << " inputs, kind " << kind;
      }
}

TEST(QuantizeRows, IsWithinHalfAStepAndSumsItsLevels) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> x(777);
  for (float& value : x) value = normal(random);
  std::vector<int8_t> q(x.size());
  float scale = 0;
  int32_t sum = 0, expected = 0;
  quantize_rows({x.data(), x.size(), 1, x.size(), q.data(), q.size(), &scale, &sum});
  int largest = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    EXPECT_LE(std::fabs(x[k] - scale * q[k]), scale * 0.5001F);
    expected += q[k];
    largest = std::max(largest, std::abs(q[k]));
  }
  EXPECT_EQ(sum, expected);
  EXPECT_EQ(largest, 127);
}

TEST(QuantizeRows, DecidesNaNInfinityAndTinyRows) {
  const std::vector<float> x{NAN, INFINITY, -INFINITY, 1.0F};
  std::vector<int8_t> q(4);
  float scale = 0;
  quantize_rows({x.data(), 4, 1, 4, q.data(), 4, &scale, nullptr});
  EXPECT_EQ(q, (std::vector<int8_t>{0, 127, -127, 0}));
  EXPECT_EQ(scale, FLT_MAX / 127);
  const std::vector<float> tiny(4, 0x1p-101F);
  quantize_rows({tiny.data(), 4, 1, 4, q.data(), 4, &scale, nullptr});
  EXPECT_EQ(q, std::vector<int8_t>(4, 0));
  EXPECT_EQ(scale, 0);
}

}  // namespace
}  // namespace dnateq::kernels
