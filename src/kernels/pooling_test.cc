#include "kernels/pooling.h"

#include <gtest/gtest.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <random>
#include <vector>

#include "core/isa.h"
#include "dnateq/error.h"
#include "kernels/pooling_kernel.h"

namespace dnateq::kernels {
namespace {

template <typename Level>
std::vector<Level> expected(const PoolingShape& s, const std::vector<Level>& x) {
  std::vector<Level> y;
  for (size_t image = 0; image < s.batch; ++image)
    for (size_t line = 0; line < s.output_height(); ++line)
      for (size_t column = 0; column < s.output_width(); ++column)
        for (size_t c = 0; c < s.channels; ++c) {
          int most = -1000;
          for (size_t kh = 0; kh < s.kernel_height; ++kh)
            for (size_t kw = 0; kw < s.kernel_width; ++kw) {
              const size_t h = line * s.stride_height + kh * s.dilation_height - s.pad_top;  // wraps above the image
              const size_t w = column * s.stride_width + kw * s.dilation_width - s.pad_left;
              if (h < s.height && w < s.width)
                most = std::max<int>(most, x[((image * s.height + h) * s.width + w) * s.channels + c]);
            }
          y.push_back(static_cast<Level>(most));
        }
  return y;
}

template <typename Level>
std::vector<Level> random_levels(const PoolingShape& s) {
  std::mt19937 random(3);
  std::vector<Level> x(s.batch * s.height * s.width * s.channels);
  for (Level& level : x) level = static_cast<Level>(random());
  return x;
}

template <typename Level>
void expect_largest(const PoolingShape& s) {
  const std::vector<Level> x = random_levels<Level>(s);
  std::vector<Level> y(s.batch * s.output_height() * s.output_width() * s.channels);
  for (const int threads : {1, 4}) {
    std::fill(y.begin(), y.end(), Level{});
    tbb::task_arena(threads).execute([&] { max_pool(s, x.data(), y.data()); });
    EXPECT_EQ(y, expected(s, x));
  }
}

TEST(MaxPool, GivesTheLargestLevelOfEveryWindow) {
  const PoolingShape shapes[] = {
      {.height = 1, .width = 1, .channels = 1},
      {.batch = 2,
       .height = 7,
       .width = 9,
       .channels = 83,
       .kernel_height = 3,
       .kernel_width = 3,
       .stride_height = 2,
       .stride_width = 2,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1},
      {.batch = 3,
       .height = 6,
       .width = 5,
       .channels = 17,
       .kernel_height = 2,
       .kernel_width = 3,
       .stride_width = 2,
       .dilation_height = 3,
       .dilation_width = 2,
       .pad_left = 2,
       .pad_right = 1},
      {.width = 31, .channels = 130, .kernel_width = 4, .stride_width = 3, .pad_right = 3},
      {.height = 60,
       .width = 60,
       .channels = 64,
       .kernel_height = 3,
       .kernel_width = 3,
       .stride_height = 2,
       .stride_width = 2,
       .pad_bottom = 1,
       .pad_right = 1},
      {.height = 5, .width = 5, .channels = 3, .kernel_height = 5, .kernel_width = 5},
      {.batch = 0, .height = 5, .width = 5, .channels = 3, .kernel_height = 5, .kernel_width = 5},
  };
  for (const PoolingShape& shape : shapes) {
    expect_largest<uint8_t>(shape);
    expect_largest<int8_t>(shape);
  }
}

TEST(MaxPool, IsTheSameForEveryInstructionSet) {
#if defined(__x86_64__)
  if (!cpu().avx2) GTEST_SKIP() << "this CPU has no AVX2";
  const PoolingShape s{.width = 20, .channels = 90, .kernel_width = 3, .stride_width = 2, .pad_left = 1};
  const std::vector<int8_t> x = random_levels<int8_t>(s);
  std::vector<int8_t> baseline(s.output_width() * s.channels), wide(baseline.size());
  PoolingLine<int8_t> line{.x = x.data(),
                           .y = baseline.data(),
                           .begin_height = 0,
                           .end_height = 1,
                           .line = 0,
                           .shape = &s,
                           .columns = s.output_width()};
  pool_line_baseline(line);
  line.y = wide.data();
  pool_line_avx2(line);
  EXPECT_EQ(baseline, wide);
  EXPECT_EQ(baseline, expected(s, x));
#endif
}

TEST(MaxPool, RefusesShapesThatAreNone) {
  std::vector<uint8_t> x(1000), y(1000);
  const PoolingShape good{.height = 4, .width = 4, .channels = 2, .kernel_height = 2, .kernel_width = 2};
  EXPECT_NO_THROW(max_pool(good, x.data(), y.data()));
  const auto with = [&](const auto& change) {
    PoolingShape shape = good;
    change(shape);
    max_pool(shape, x.data(), y.data());
  };
  EXPECT_THROW(with([](auto& s) { s.kernel_height = 5; }), Error);
  EXPECT_THROW(with([](auto& s) { s.stride_width = 0; }), Error);
  EXPECT_THROW(with([](auto& s) { s.channels = 0; }), Error);
  EXPECT_THROW(with([](auto& s) { s.pad_left = 2; }), Error);    // the first window sees padding only
  EXPECT_THROW(with([](auto& s) { s.pad_bottom = 2; }), Error);  // the last one
}

}  // namespace
}  // namespace dnateq::kernels
