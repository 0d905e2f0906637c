#include <immintrin.h>

#include <cstdint>

#include "kernels/x86/row_functions_lanes.h"

namespace dnateq::kernels {
namespace {

struct Zmm {
  __m512 v;

  static __mmask16 mask(size_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
  static Zmm load(const float* p, size_t n) { return {_mm512_maskz_loadu_ps(mask(n), p)}; }
  void store(float* p, size_t n) const { _mm512_mask_storeu_ps(p, mask(n), v); }
  static Zmm all(float value) { return {_mm512_set1_ps(value)}; }
  Zmm first(size_t n) const { return {_mm512_maskz_mov_ps(mask(n), v)}; }
  Zmm minus() const {
    return {_mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(v), _mm512_set1_epi32(INT32_MIN)))};
  }
  Zmm magnitude() const { return {_mm512_abs_ps(v)}; }
  Zmm nearest() const { return {_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  Zmm power_of_two() const {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(127));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
  }
  static Zmm larger(Zmm a, Zmm b) { return {_mm512_max_ps(a.v, b.v)}; }
  static Zmm smaller(Zmm a, Zmm b) { return {_mm512_min_ps(a.v, b.v)}; }
  static Zmm where_negative(Zmm x, Zmm a, Zmm b) {
    return {_mm512_mask_mov_ps(b.v, _mm512_cmp_ps_mask(x.v, _mm512_setzero_ps(), _CMP_LT_OQ), a.v)};
  }
};

Zmm operator+(Zmm a, Zmm b) { return {_mm512_add_ps(a.v, b.v)}; }
Zmm operator-(Zmm a, Zmm b) { return {_mm512_sub_ps(a.v, b.v)}; }
Zmm operator*(Zmm a, Zmm b) { return {_mm512_mul_ps(a.v, b.v)}; }
Zmm operator/(Zmm a, Zmm b) { return {_mm512_div_ps(a.v, b.v)}; }

}  // namespace

const RowFunctions& row_functions_avx512() { return kFunctionsOf<Zmm>; }

}  // namespace dnateq::kernels
