// Fitting one tensor's curve: the (base, alpha, beta, grid) that minimise the squared error of nearest-level rounding.
//
// Source: ours (the paper's rule is `fit_paper`).
#pragma once

#include "dnateq/code.h"
#include "search/fit_data.h"

namespace dnateq {

struct FitResult {
  TensorCode code;
  double relative_error = 0;  // squared error / power
};

// Best curve for the level counts, family and arithmetic that `request` names. The best clipped uniform grid with as
// many levels is always among the candidates (family free), so the result is never worse than it. Signed int8 grids end
// at `largest_level`, at least as many as there are levels (pair_sums.h).
FitResult fit_code(const FitData& data, const TensorCode& request, int largest_level = 127);

// The best clipped uniform grid with the same level counts, as a code (base -> 1); where a mirrored code is asked for,
// with those of the usual code of its width.
FitResult fit_uniform(const FitData& data, const TensorCode& request, int largest_level = 127);

// Of weights: a mirrored code (code.h) of the same width where it leaves the smaller error, else fit_code.
FitResult fit_mirrored_or_not(const FitData& data, const TensorCode& request, int largest_level = 127);

// alpha and beta for a given base by alternating least squares (family shared-base: the layer's other tensor).
FitResult fit_with_base(const FitData& data, const TensorCode& request, double base, int largest_level = 127);

// The paper's rule (our reading): alpha and beta make the levels span the tensor's range for a given base; base walks
// in steps of 0.01 while the relative mean absolute error falls.
FitResult fit_paper(const FitData& data, const TensorCode& request);
FitResult paper_with_base(const FitData& data, const TensorCode& request, double base);

// How many negative levels an activation with these values should have at k stored bits: 0 where it cannot be negative
// (`non_negative`, by the graph's structure), else the best of a short list by squared error.
FitResult fit_activation(const FitData& data, TensorCode request, int stored_bits, bool non_negative);

double sqnr_db(double relative_error);

}  // namespace dnateq
