// The standard normal distribution.
#pragma once

namespace dnateq {

double normal_density(double x);
double normal_probability(double x);               // of being at most x
double normal_quantile(double probability);        // within 1e-8; probability in (0, 1)
double rough_normal_quantile(double probability);  // within .00045, three times as fast

}  // namespace dnateq
