#include "search/betting_bound.h"

#include <algorithm>
#include <cmath>

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

double betting_upper_bound(std::span<const double> values, double lowest, double highest, double level) {
  constexpr int kToOctave = 32, kOctaves = 20;
  double bound = highest;
  for (int i = 1; i <= kToOctave * kOctaves; ++i) {
    const double m = highest * std::exp2(-static_cast<double>(i) / kToOctave);
    if (!refuted_by_betting(values, lowest, highest, m, level)) return bound;
    bound = m;
  }
  return lowest < 0 && refuted_by_betting(values, lowest, highest, 0, level) ? 0 : bound;
}

}  // namespace dnateq
