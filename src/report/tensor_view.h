// What the tensor explorer draws for one tensor, small enough to embed: some hundred display bins of equal width, the
// code's levels and thresholds, the best clipped uniform grid with as many codes, and the fitted densities.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "core/histogram.h"
#include "dnateq/code.h"

namespace dnateq {

inline constexpr int kDisplayBins = 120;
inline constexpr int kDensityPoints = 120;

struct DisplayHistogram {
  double low = 0, high = 0;     // edges of the drawn range
  std::vector<double> counts;   // kDisplayBins of them; a source bin is spread evenly over what it covers
  double below = 0, above = 0;  // values outside
};
DisplayHistogram display_histogram(const Histogram& histogram, double low, double high);

// Levels in ascending order, zero among them; the thresholds between them, signed, ascending.
std::vector<double> sorted_levels(const TensorCode& code);
std::vector<double> sorted_thresholds(const TensorCode& code);

nlohmann::json tensor_view_document(const Histogram& histogram, const TensorCode& code);

// Five significant digits: what a plot shows, at half the bytes. NaN stays NaN (JSON: null).
double for_display(double value);

}  // namespace dnateq
