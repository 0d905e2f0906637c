// Which distribution a tensor follows: maximum-likelihood fits of Normal, Exponential, Pareto and Uniform, judged by
// the residual sum of squares between density and histogram (DNA-TEQ, section on tensor distributions). Laplace and
// half-normal stand beside them.
//
// The rules below that the paper's summary does not state are ours:
// - Exact zeros are left out. A value counts as spread evenly over its histogram bin (1/128 of its octave wide).
// - Normal, Uniform and Laplace (centred on zero) are fitted to the values; Exponential, Pareto and half-normal to
//   their magnitudes.
// - All are judged over the values, or a fit to magnitudes would show its residuals on half as many bins, twice as
//   high: its density is split between the signs in the tensor's own proportion.
// - Residuals are taken on 100 equal bins from the 0.1 % to the 99.9 % quantile, so that no outlier decides how wide
//   the bins are. Data and fit are both averaged over a bin, through their distribution functions: no density is
//   sampled where it jumps.
// - Pareto's x_min by maximum likelihood is the smallest magnitude, one stray value. Instead: of the 0, 1, ... 50 %
//   quantiles of the magnitudes the one with the smallest Kolmogorov-Smirnov distance, the exponent by maximum
//   likelihood from the magnitudes above it; the fit has no mass below x_min, and the distance charges it for that.
#pragma once

#include <string>
#include <vector>

#include "core/histogram.h"

namespace dnateq {

struct DistributionFit {
  std::string name;       // normal, exponential, pareto, uniform, laplace, half-normal
  double parameter1 = 0;  // normal: mean; exponential, laplace: rate; pareto: x_min; uniform: low; half-normal: sigma
  double parameter2 = 0;  // normal: sigma; pareto: exponent; uniform: high
  bool on_magnitudes = false;
  double rss = 0;  // residual sum of squares of the densities over the bins above, times bin width
  double ks = 0;   // Kolmogorov-Smirnov distance over all values, at the histogram's edges
  // Of the value x, or of the magnitude x if on_magnitudes.
  double density(double x) const;
  double cdf(double x) const;
};

// Fits in ascending order of rss; empty if the histogram holds no nonzero value.
std::vector<DistributionFit> fit_distributions(const Histogram& histogram);
// The best of the paper's four; empty if there is none.
std::string best_of_paper_families(const std::vector<DistributionFit>& fits);

}  // namespace dnateq
