#include "kernels/row_functions.h"

#include <bit>
#include <cmath>
#include <cstdint>

#include "core/isa.h"

namespace dnateq::kernels {
namespace {

using namespace row_constants;  // NOLINT: they are this file's

float exp_of(float x) {
  if (std::isnan(x)) return x;
  x = kLowestExponent > x ? kLowestExponent : x;
  x = kHighestExponent < x ? kHighestExponent : x;
  const float k = std::nearbyint(x * kLog2OfE);
  float r = x - k * kLn2High;
  r = r - k * kLn2Low;
  float q = kExp[4];
  for (int i = 3; i >= 0; --i) q = q * r + kExp[i];
  const float y = q * (r * r) + r + 1.0F;
  return y * std::bit_cast<float>((static_cast<int32_t>(k) + 127) << 23);
}

template <typename Term>
float sum_of(size_t count, const Term& term) {
  float lanes[kLanes] = {};
  for (size_t k = 0; k < count; ++k) lanes[k % kLanes] += term(k);
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  return lanes[0];
}

void norm(const float* x, const float* gain, size_t count, float mean, float epsilon, float* y) {
  const auto centred = [&](size_t k) { return x[k] - mean; };
  const float squares = sum_of(count, [&](size_t k) { return centred(k) * centred(k); });
  const float inverse = 1.0F / std::sqrt(squares / static_cast<float>(count) + epsilon);
  for (size_t k = 0; k < count; ++k) y[k] = centred(k) * inverse * (gain == nullptr ? 1.0F : gain[k]);
}

void rms_norm(const float* x, const float* gain, size_t count, float epsilon, float* y) {
  norm(x, gain, count, 0, epsilon, y);
}

void mean_norm(const float* x, const float* gain, size_t count, float epsilon, float* y) {
  const float sum = sum_of(count, [&](size_t k) { return x[k]; });
  norm(x, gain, count, sum / static_cast<float>(count), epsilon, y);
}

template <float (*kFunction)(float)>
void each(const float* x, const float* factor, size_t count, float* y) {
  for (size_t k = 0; k < count; ++k) y[k] = kFunction(x[k]) * (factor == nullptr ? 1.0F : factor[k]);
}

float swish(float x) { return x / (1.0F + exp_of(-x)); }

float gelu_tanh(float x) { return x / (1.0F + exp_of((x + x * x * x * kTanhCube) * kTanhScale)); }

float gelu_erf(float x) {
  const float z = std::fabs(x) * kSqrtHalf;
  const float t = 1.0F / (1.0F + z * kErfP);
  float p = kErf[4];
  for (int i = 3; i >= 0; --i) p = p * t + kErf[i];
  const float tail = p * t * exp_of(-(z * z)) * 0.5F;
  return x * (x < 0 ? tail : 1.0F - tail);
}

void add(const float* a, const float* b, size_t count, float* y) {
  for (size_t k = 0; k < count; ++k) y[k] = a[k] + b[k];
}

void multiply(const float* a, const float* b, size_t count, float* y) {
  for (size_t k = 0; k < count; ++k) y[k] = a[k] * b[k];
}

}  // namespace

const RowFunctions& row_functions_scalar() {
  static constexpr RowFunctions kFunctions = {rms_norm,        mean_norm, each<swish>, each<gelu_erf>,
                                              each<gelu_tanh>, add,       multiply};
  return kFunctions;
}

const RowFunctions& row_functions() {
#if defined(__x86_64__)
  if (cpu_in_use().avx512) return row_functions_avx512();
  if (cpu_in_use().avx2) return row_functions_avx2();
#endif
  return row_functions_scalar();
}

}  // namespace dnateq::kernels
