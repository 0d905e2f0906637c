// Functions of one row of float32: norms and activations between the matmuls of a row block.
//
//   rms_norm    y = x * (1 / sqrt(mean(x^2) + epsilon)) * gain      gain may be null: 1
//   mean_norm   the same of x - mean(x)
//   swish       y = x / (1 + exp(-x)) * factor                      factor may be null: 1
//   gelu_erf    y = x * P(x) * factor, P the normal distribution (Abramowitz and Stegun 7.1.26, within 1e-7)
//   gelu_tanh   y = x / (1 + exp(-2 sqrt(2/pi) (x + .044715 x^3))) * factor
//
// Each operation is rounded to float32, no fused multiply-add; a sum is 16 sums, of the values k = j modulo 16 in
// ascending order, that are then added by halves: j + 8 to j, j + 4 to j, j + 2 to j, 1 to 0. exp is a polynomial
// (within 1e-7, its argument clamped to [-87.3, 88.3]). So every instruction set gives the same bits. NaN gives NaN.
// Rows may lie anywhere; y may be x, gain or factor.
// Source: the usual formulas; the polynomial is ours. Non-goals: threads, several rows.
#pragma once

#include <cstddef>

namespace dnateq::kernels {

struct RowFunctions {
  using Norm = void (*)(const float* x, const float* gain, size_t count, float epsilon, float* y);
  using Binary = void (*)(const float* a, const float* b, size_t count, float* y);
  Norm rms_norm, mean_norm;
  Binary swish, gelu_erf, gelu_tanh, add, multiply;
};

const RowFunctions& row_functions();  // of the fastest instruction set in use (cpu_in_use() of core/isa.h)

// The implementations, for tests: the scalar one is the specification.
const RowFunctions& row_functions_scalar();
const RowFunctions& row_functions_avx2();
const RowFunctions& row_functions_avx512();

// What the implementations share.
namespace row_constants {
inline constexpr float kLowestExponent = -87.3F, kHighestExponent = 88.3F;
inline constexpr float kLog2OfE = 1.44269504F;
inline constexpr float kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;  // k * kLn2High is exact
// exp(r) = 1 + r + r^2 * q(r), |r| <= ln(2) / 2: q's coefficients, lowest first, least largest relative error.
inline constexpr float kExp[] = {0.49999994F, 0.16666521F, 0.04166839F, 0.0083687175F, 0.0013814596F};
inline constexpr float kTanhScale = -1.5957691F, kTanhCube = 0.044715F;  // -2 sqrt(2 / pi)
// 1 - erf(z) = t (p0 + t (p1 + ...)) exp(-z^2), t = 1 / (1 + kErfP z).
inline constexpr float kErfP = 0.3275911F, kSqrtHalf = 0.70710678F;
inline constexpr float kErf[] = {0.254829592F, -0.284496736F, 1.421413741F, -1.453152027F, 1.061405429F};
inline constexpr size_t kLanes = 16;
}  // namespace row_constants

}  // namespace dnateq::kernels
