#include "search/betting_bound.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "search/normal.h"

namespace dnateq {

bool refuted_by_betting(std::span<const double> values, double lowest, double highest, double m, double level) {
  if (m <= lowest) return false;
  if (m > highest) return true;
  const double most = m < highest ? 1 / (highest - m) : 1 / (highest - lowest);
  // Aimed at a little more than the goal: the option's price would creep up to the goal and never quite reach it.
  constexpr double kAim = 1.02;
  double reached = 1 - level;  // share of the goal
  // Of the values seen so far and of a quarter of one that is as far above m as can be: without it, values that are
  // mostly alike would be thought to be always alike, and the first other one would cost the whole capital.
  double mean = m, squares = (highest - m) * (highest - m) / 4, seen = 1;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto to_come = static_cast<double>(values.size() - i);
    const double price = std::clamp(reached / kAim, 1e-300, 1 - 1e-12);
    const double deviation = std::sqrt(squares / seen * to_come);
    const double stake =
        deviation > 0 ? std::min(most, normal_density(rough_normal_quantile(price)) / (price * deviation)) : most;
    reached *= 1 + stake * (m - values[i]);
    if (reached >= 1) return true;
    if (reached <= 0) return false;
    const double difference = values[i] - mean;
    seen += 1;
    mean += difference / seen;
    squares += difference * (values[i] - mean);
  }
  return false;
}

double upper_bound_on_grid(double highest, double level, int octaves,
                           const std::function<bool(double m, double level)>& refuted) {
  constexpr int kCoarse = 4, kFine = 32;  // to the octave
  const double coarse_error = (1 - level) / 50;
  const auto at = [&](int step, int to_octave) { return highest * std::exp2(-static_cast<double>(step) / to_octave); };
  int coarse = 0;
  while (coarse < kCoarse * octaves && refuted(at(coarse + 1, kCoarse), 1 - coarse_error)) ++coarse;
  int fine = coarse * (kFine / kCoarse);
  while (fine < kFine * octaves && refuted(at(fine + 1, kFine), level + coarse_error)) ++fine;
  return at(fine, kFine);
}

double betting_upper_bound(std::span<const double> values, double lowest, double highest, double level) {
  constexpr int kOctaves = 20;
  const double bound = upper_bound_on_grid(highest, level, kOctaves, [&](double m, double at_level) {
    return refuted_by_betting(values, lowest, highest, m, at_level);
  });
  const bool at_the_end = bound <= highest * std::exp2(-kOctaves) * 1.001;
  return lowest < 0 && at_the_end && refuted_by_betting(values, lowest, highest, 0, level) ? 0 : bound;
}

}  // namespace dnateq
