// The functions of row_functions.h on Lanes, 16 floats of some instruction set: the reference's operations, 16 values
// at a time. All in an unnamed namespace, because code compiled for different instruction sets must not be merged.
//
// Lanes has load(p, n) (zeros from n on, n <= 16), store(p, n), all(value), + - * /, minus(), magnitude(),
// larger(a, b) = a > b ? a : b, smaller(a, b) = a < b ? a : b, nearest(), power_of_two() of whole numbers, first(n)
// (zeros from n on) and where_negative(x, a, b).
#pragma once

#include <cmath>

#include "kernels/row_functions.h"

namespace dnateq::kernels {
namespace {

using namespace row_constants;  // NOLINT: these units are nothing else

inline size_t lanes_at(size_t k, size_t count) { return count - k < kLanes ? count - k : kLanes; }

template <typename Lanes>
inline Lanes exp_of(Lanes x) {
  x = Lanes::larger(Lanes::all(kLowestExponent), x);
  x = Lanes::smaller(Lanes::all(kHighestExponent), x);
  const Lanes k = (x * Lanes::all(kLog2OfE)).nearest();
  Lanes r = x - k * Lanes::all(kLn2High);
  r = r - k * Lanes::all(kLn2Low);
  Lanes q = Lanes::all(kExp[4]);
  for (int i = 3; i >= 0; --i) q = q * r + Lanes::all(kExp[i]);
  return (q * (r * r) + r + Lanes::all(1)) * k.power_of_two();
}

template <typename Lanes, typename Term>
inline float sum_of(size_t count, const Term& term) {
  Lanes sums = Lanes::all(0);
  for (size_t k = 0; k < count; k += kLanes) sums = sums + term(k, lanes_at(k, count));
  float lanes[kLanes];
  sums.store(lanes, kLanes);
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  return lanes[0];
}

template <typename Lanes>
inline void norm(const float* x, const float* gain, size_t count, float mean_of_x, float epsilon, float* y) {
  const Lanes mean = Lanes::all(mean_of_x);
  const float squares = sum_of<Lanes>(count, [&](size_t k, size_t n) {
    const Lanes centred = Lanes::load(x + k, n) - mean;
    return (centred * centred).first(n);
  });
  const Lanes inverse = Lanes::all(1.0F / std::sqrt(squares / static_cast<float>(count) + epsilon));
  for (size_t k = 0; k < count; k += kLanes) {
    const size_t n = lanes_at(k, count);
    Lanes value = (Lanes::load(x + k, n) - mean) * inverse;
    if (gain != nullptr) value = value * Lanes::load(gain + k, n);
    value.store(y + k, n);
  }
}

template <typename Lanes>
void rms_norm(const float* x, const float* gain, size_t count, float epsilon, float* y) {
  norm<Lanes>(x, gain, count, 0, epsilon, y);
}

template <typename Lanes>
void mean_norm(const float* x, const float* gain, size_t count, float epsilon, float* y) {
  const float sum = sum_of<Lanes>(count, [&](size_t k, size_t n) { return Lanes::load(x + k, n); });
  norm<Lanes>(x, gain, count, sum / static_cast<float>(count), epsilon, y);
}

template <typename Lanes>
inline Lanes swish(Lanes x) {
  return x / (Lanes::all(1) + exp_of(x.minus()));
}

template <typename Lanes>
inline Lanes gelu_tanh(Lanes x) {
  return x / (Lanes::all(1) + exp_of((x + x * x * x * Lanes::all(kTanhCube)) * Lanes::all(kTanhScale)));
}

template <typename Lanes>
inline Lanes gelu_erf(Lanes x) {
  const Lanes z = x.magnitude() * Lanes::all(kSqrtHalf);
  const Lanes t = Lanes::all(1) / (Lanes::all(1) + z * Lanes::all(kErfP));
  Lanes p = Lanes::all(kErf[4]);
  for (int i = 3; i >= 0; --i) p = p * t + Lanes::all(kErf[i]);
  const Lanes tail = p * t * exp_of((z * z).minus()) * Lanes::all(0.5F);
  return x * Lanes::where_negative(x, tail, Lanes::all(1) - tail);
}

template <typename Lanes, Lanes (*kFunction)(Lanes)>
void each(const float* x, const float* factor, size_t count, float* y) {
  for (size_t k = 0; k < count; k += kLanes) {
    const size_t n = lanes_at(k, count);
    Lanes value = kFunction(Lanes::load(x + k, n));
    if (factor != nullptr) value = value * Lanes::load(factor + k, n);
    value.store(y + k, n);
  }
}

template <typename Lanes, bool kAdds>
void binary(const float* a, const float* b, size_t count, float* y) {
  for (size_t k = 0; k < count; k += kLanes) {
    const size_t n = lanes_at(k, count);
    const Lanes left = Lanes::load(a + k, n), right = Lanes::load(b + k, n);
    (kAdds ? left + right : left * right).store(y + k, n);
  }
}

template <typename Lanes>
constexpr RowFunctions kFunctionsOf = {rms_norm<Lanes>,
                                       mean_norm<Lanes>,
                                       each<Lanes, swish<Lanes>>,
                                       each<Lanes, gelu_erf<Lanes>>,
                                       each<Lanes, gelu_tanh<Lanes>>,
                                       binary<Lanes, true>,
                                       binary<Lanes, false>};

}  // namespace
}  // namespace dnateq::kernels
