#include <immintrin.h>

#include "kernels/x86/row_functions_lanes.h"

namespace dnateq::kernels {
namespace {

__m256i mask_of(size_t n) {  // of the first n lanes, at most 8
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

struct TwoYmm {
  __m256 low, high;

  static size_t in_high(size_t n) { return n > 8 ? n - 8 : 0; }
  static TwoYmm load(const float* p, size_t n) {
    if (n == kLanes) return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
    if (n <= 8) return {_mm256_maskload_ps(p, mask_of(n)), _mm256_setzero_ps()};
    return {_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, mask_of(n - 8))};
  }
  void store(float* p, size_t n) const {
    if (n >= 8)
      _mm256_storeu_ps(p, low);
    else
      _mm256_maskstore_ps(p, mask_of(n), low);
    if (n == kLanes)
      _mm256_storeu_ps(p + 8, high);
    else if (n > 8)
      _mm256_maskstore_ps(p + 8, mask_of(n - 8), high);
  }
  static TwoYmm all(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  TwoYmm first(size_t n) const {
    return {_mm256_and_ps(low, _mm256_castsi256_ps(mask_of(n))),
            _mm256_and_ps(high, _mm256_castsi256_ps(mask_of(in_high(n))))};
  }
  TwoYmm minus() const {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_xor_ps(low, sign), _mm256_xor_ps(high, sign)};
  }
  TwoYmm magnitude() const {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, low), _mm256_andnot_ps(sign, high)};
  }
  TwoYmm nearest() const {
    constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(low, kMode), _mm256_round_ps(high, kMode)};
  }
  static __m256 power_of_two(__m256 k) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23));
  }
  TwoYmm power_of_two() const { return {power_of_two(low), power_of_two(high)}; }
  static TwoYmm larger(TwoYmm a, TwoYmm b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static TwoYmm smaller(TwoYmm a, TwoYmm b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
  static __m256 where_negative(__m256 x, __m256 a, __m256 b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
  }
  static TwoYmm where_negative(TwoYmm x, TwoYmm a, TwoYmm b) {
    return {where_negative(x.low, a.low, b.low), where_negative(x.high, a.high, b.high)};
  }
};

TwoYmm operator+(TwoYmm a, TwoYmm b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
TwoYmm operator-(TwoYmm a, TwoYmm b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
TwoYmm operator*(TwoYmm a, TwoYmm b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
TwoYmm operator/(TwoYmm a, TwoYmm b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }

}  // namespace

const RowFunctions& row_functions_avx2() { return kFunctionsOf<TwoYmm>; }

}  // namespace dnateq::kernels
