#include "search/normal.h"

#include <cmath>
#include <numbers>

namespace dnateq {

double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

double normal_probability(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double rough_normal_quantile(double probability) {  // Abramowitz and Stegun 26.2.23
  const bool low = probability < 0.5;
  const double t = std::sqrt(-2 * std::log(low ? probability : 1 - probability));
  const double x =
      t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  return low ? -x : x;
}

double normal_quantile(double probability) {
  if (probability > 0.5) return -normal_quantile(1 - probability);  // the lower tail keeps its digits
  double x = rough_normal_quantile(probability);
  for (int i = 0; i < 2; ++i) {  // Halley's steps
    const double error = (normal_probability(x) - probability) / normal_density(x);
    x -= error / (1 + 0.5 * error * x);
  }
  return x;
}

}  // namespace dnateq
