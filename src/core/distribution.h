// Which distribution a tensor follows: maximum-likelihood fits of Normal, Exponential, Pareto and Uniform, judged by the
// residual sum of squares between density and histogram (DNA-TEQ, section on tensor distributions; the rules below that
// the paper's summary does not state are ours).
//
// Exact zeros are left out. Normal and Uniform are fitted to the values, Exponential and Pareto to their magnitudes.
#pragma once

#include <string>
#include <vector>

#include "core/histogram.h"

namespace dnateq {

struct DistributionFit {
  std::string name;         // normal, exponential, pareto, uniform, laplace, half-normal
  double parameter1 = 0;    // normal: mean; exponential, laplace: rate; pareto: x_min; uniform: low; half-normal: sigma
  double parameter2 = 0;    // normal: sigma; pareto: exponent; uniform: high
  bool on_magnitudes = false;
  double rss = 0;           // residual sum of squares of the densities over the display bins, times bin width
  double ks = 0;            // Kolmogorov-Smirnov distance
  double density(double x) const;
};

// Fits in ascending order of rss; empty if the histogram holds no nonzero value.
std::vector<DistributionFit> fit_distributions(const Histogram& histogram);
// The best of the paper's four.
std::string best_of_paper_families(const std::vector<DistributionFit>& fits);

}  // namespace dnateq
