// The best clipped uniform grid: levels i * step, -m- <= i <= m+, the step chosen for the least squared error on a
// histogram. It is what an exponential code has to beat at the same number of codes.
#pragma once

#include <functional>
#include <span>

#include "core/histogram.h"

namespace dnateq {

// Where a grid should end: of 80 ends up to `largest`, evenly apart, the first of least error. The error is not convex
// in it.
double best_end(double largest, const std::function<double(double end)>& error_of);

struct UniformGrid {
  double step = 0;  // 0 = no grid: no values, or no levels
  int negative_levels = 0, positive_levels = 0;
  double squared_error = 0;
};

double uniform_squared_error(std::span<const Histogram::Bin> bins, double step, int negative_levels,
                             int positive_levels);
UniformGrid best_uniform_grid(std::span<const Histogram::Bin> bins, int negative_levels, int positive_levels);

}  // namespace dnateq
