// Choosing one layer's weight codes: the rounding that leaves the least error in the layer's *output*, given the
// quantized inputs that the layer will really see.
//
// Per layer: centred second moments H = E[x^ x^T], G = E[y x^T]; W* = (G + d W)(H + d I)^-1; curve and channel scales
// fitted to W*; error-compensating rounding in the order of descending diag(H) (GPTQ's, as successive projection on the
// Cholesky factor); coordinate descent with refits of the scales; bias from the means. How H is held, and what that
// costs: objective.h. Source: ours, see docs on search.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <vector>

#include "core/pair_sums.h"
#include "core/weight_codes.h"
#include "dnateq/code.h"

namespace dnateq {

// Sampled inputs and targets of one layer. Columns of `inputs` are group-major: group g's inputs are columns
// [g * columns, (g + 1) * columns).
struct LayerSamples {
  Eigen::MatrixXf inputs;   // positions x (groups * columns), after activation quantization
  Eigen::MatrixXf targets;  // positions x rows; none (no columns): what the weights as they came give of the inputs
  Eigen::VectorXf weights;  // importance of each position; empty = 1
};

struct LayerShape {
  int64_t rows = 0, columns = 0, groups = 1;  // rows over all groups, inputs per row
  // Columns whose levels (kInt8Grid) must be safe to add in 16 bits (pair_sums.h); empty: all sums are in 32 bits.
  std::vector<ColumnPair> pairs = {};
  bool may_mirror = false;  // codes without a zero (code.h) may be chosen, where they leave the smaller error
};

struct SolveOptions {
  double damping = 0.02;   // relative to the mean diagonal of H
  int sweeps = 3;          // of two coordinate-descent passes and a refit of the scales each
  bool compensate = true;  // false: nearest rounding of W itself
  bool correct_bias = true;
  bool uniform = false;  // best clipped uniform grid instead of an exponential curve, for comparison
  // The request's base, as that of the layer's inputs, for family beta0 too: what counting needs. (Family shared-base
  // keeps it anyway, the others never.)
  bool keep_base = false;
};

struct LayerSolution : WeightCodes {                  // without samples there is no bias
  double weight_relative_error = 0, weight_rmae = 0;  // against the original W
  double uniform_relative_error = 0;                  // best clipped uniform grid, same counts and scales per row
  double output_relative_error = 0;                   // against the target, bias included
  double nearest_output_relative_error = 0;           // nearest rounding of W with bias correction
};

// w^ = scale * level, float32.
std::vector<float> decode_weights(const LayerSolution& solution, int64_t columns);

// Codes by nearest rounding with a fitted curve and, if `per_row`, fitted channel scales. No samples needed.
LayerSolution quantize_rows(std::span<const float> weights, const LayerShape& shape, const TensorCode& request,
                            bool per_row = true, bool uniform = false);

// Codes by a given code, one scale (1) for the whole tensor.
LayerSolution with_fixed_code(std::span<const float> weights, const LayerShape& shape, const TensorCode& code);

// The whole procedure above. `request` states level counts, family and arithmetic.
LayerSolution solve_layer(std::span<const float> weights, const LayerShape& shape, const LayerSamples& samples,
                          const TensorCode& request, const SolveOptions& options);
// The same with samples that nobody needs any more.
LayerSolution solve_layer(std::span<const float> weights, const LayerShape& shape, LayerSamples&& samples,
                          const TensorCode& request, const SolveOptions& options);

// The bias alone for codes that were chosen elsewhere, and the output error that they leave.
void correct_bias(LayerSolution& solution, const LayerShape& shape, const LayerSamples& samples);

}  // namespace dnateq
