#include "core/hadamard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace dnateq {
namespace {

TEST(Hadamard, IsTheMatrixOfParities) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const size_t block : {1U, 2U, 8U, 64U, 512U}) {
    std::vector<float> x(3 * block);
    for (float& value : x) value = normal(random);
    std::vector<float> y = x;
    hadamard(y, block);
    for (size_t i = 0; i < x.size(); ++i) {
      double wanted = 0;
      for (size_t j = 0; j < block; ++j) {
        const bool odd = std::popcount(i % block & j) % 2 == 1;
        wanted += static_cast<double>(odd ? -x[i / block * block + j] : x[i / block * block + j]);
      }
      ASSERT_NEAR(static_cast<double>(y[i]), wanted / std::sqrt(static_cast<double>(block)), 1e-5) << block << " " << i;
    }
    hadamard(y, block);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], x[i], 1e-5F) << "its own inverse";
  }
}

TEST(Hadamard, BlocksDivideTheWidth) {
  EXPECT_EQ(hadamard_block(1536), 512U);
  EXPECT_EQ(hadamard_block(576), 64U);
  EXPECT_EQ(hadamard_block(4864), 256U);
  EXPECT_EQ(hadamard_block(4096), 512U);
  EXPECT_EQ(hadamard_block(7), 1U);
  EXPECT_EQ(hadamard_block(0), 1U);
}

}  // namespace
}  // namespace dnateq
