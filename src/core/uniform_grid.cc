#include "core/uniform_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dnateq {
namespace {

constexpr int kEnds = 80;         // the codes of recipes depend on it
constexpr int kRefinements = 16;  // by the golden ratio: 1/2000 of their distance

}  // namespace

double best_end(double largest, const std::function<double(double end)>& error_of) {
  double best = largest, least = std::numeric_limits<double>::infinity();
  for (int i = 1; i <= kEnds; ++i) {
    const double end = largest * i / double(kEnds);
    const double error = error_of(end);
    if (error < least) best = end, least = error;
  }
  return best;
}

double uniform_squared_error(std::span<const Histogram::Bin> bins, double step, int negative_levels,
                             int positive_levels) {
  double error = 0;
  for (const Histogram::Bin& bin : bins) {
    const double x = bin.center;
    const double level = std::clamp(std::round(x / step), -double(negative_levels), double(positive_levels)) * step;
    error += double(bin.count) * (x - level) * (x - level);
  }
  return error;
}

UniformGrid best_uniform_grid(std::span<const Histogram::Bin> bins, int negative_levels, int positive_levels) {
  UniformGrid best{.negative_levels = negative_levels, .positive_levels = positive_levels};
  double unclipped = 0;  // the step whose outermost levels meet the outermost values
  for (const Histogram::Bin& bin : bins) {
    const int levels = bin.center < 0 ? negative_levels : positive_levels;
    if (levels > 0) unclipped = std::max(unclipped, std::abs(double(bin.center)) / levels);
  }
  if (unclipped == 0) return best;

  const auto error_of = [&](double step) {
    return uniform_squared_error(bins, step, negative_levels, positive_levels);
  };
  best.step = best_end(unclipped, error_of);
  best.squared_error = error_of(best.step);
  // Finer, by a golden-section search between the neighbours.
  constexpr double kGolden = 0.6180339887498949;
  double low = best.step - unclipped / kEnds, high = best.step + unclipped / kEnds;
  for (int i = 0; i < kRefinements; ++i) {
    const double left = high - kGolden * (high - low), right = low + kGolden * (high - low);
    const double left_error = error_of(left), right_error = error_of(right);
    if (left_error < best.squared_error) best.step = left, best.squared_error = left_error;
    if (right_error < best.squared_error) best.step = right, best.squared_error = right_error;
    (left_error < right_error ? high : low) = left_error < right_error ? right : left;
  }
  return best;
}

}  // namespace dnateq
