#include "core/uniform_grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace dnateq {
namespace {

TEST(UniformGridOfAHistogram, FindsTheGridOfDataOnAGrid) {
  Histogram histogram;
  for (int i = -3; i <= 4; ++i) histogram.add(std::vector<float>(size_t(50 + i), 0.25F * float(i)));
  const UniformGrid grid = best_uniform_grid(histogram.bins(), 3, 4);
  EXPECT_NEAR(grid.step, 0.25, 0.25 / 100);  // the histogram's bins are 1/128 wide
}

TEST(UniformGridOfAHistogram, IsNoWorseThanAnyScannedStep) {
  Histogram histogram;
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 0.5F);
  std::vector<float> values(4000);
  for (float& value : values) value = normal(random);
  histogram.add(values);
  const std::vector<Histogram::Bin> bins = histogram.bins();
  const UniformGrid grid = best_uniform_grid(bins, 7, 8);
  for (double step = 0.02; step < 0.4; step += 0.001)
    EXPECT_LE(grid.squared_error, uniform_squared_error(bins, step, 7, 8) * 1.0005) << step;
}

TEST(UniformGridOfAHistogram, NoValuesOrNoLevelsGiveNoGrid) {
  EXPECT_EQ(best_uniform_grid({}, 3, 4).step, 0);
  Histogram histogram;
  histogram.add(std::vector<float>(10, -1.0F));
  EXPECT_EQ(best_uniform_grid(histogram.bins(), 0, 7).step, 0);
}

TEST(BestEnd, IsTheFirstOfLeastErrorAmongEightyth) {
  EXPECT_DOUBLE_EQ(best_end(8, [](double end) { return std::fabs(end - 3.16); }), 3.2);
  EXPECT_DOUBLE_EQ(best_end(8, [](double end) { return end < 4 ? 1 : 0; }), 4);
  EXPECT_EQ(best_end(8, [](double) { return std::nan(""); }), 8);
}

}  // namespace
}  // namespace dnateq
