#include <immintrin.h>

#include "kernels/row_quantizer.h"

namespace dnateq::kernels {
namespace {

__mmask16 lanes(size_t left) {
  return left >= 16 ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << left) - 1U);
}

float largest_magnitude(const float* x, size_t inputs) {
  // Four accumulators: vmaxps takes four cycles. As integers, because the order of non-negative floats is theirs, and
  // NaNs, which lie above infinity, can be masked out.
  const __m512i magnitude_bits = _mm512_set1_epi32(0x7FFFFFFF), infinity = _mm512_set1_epi32(0x7F800000);
  __m512i largest[4] = {};
  for (size_t k = 0; k < inputs; k += 64)
    for (size_t part = 0; part < 4 && k + 16 * part < inputs; ++part) {
      const size_t at = k + 16 * part;
      const __m512i bits = _mm512_and_si512(_mm512_maskz_loadu_epi32(lanes(inputs - at), x + at), magnitude_bits);
      const __mmask16 number = _mm512_cmple_epi32_mask(bits, infinity);
      largest[part] = _mm512_mask_max_epi32(largest[part], number, largest[part], bits);
    }
  const __m512i all =
      _mm512_max_epi32(_mm512_max_epi32(largest[0], largest[1]), _mm512_max_epi32(largest[2], largest[3]));
  const __m512i finite = _mm512_min_epi32(all, _mm512_set1_epi32(0x7F7FFFFF));
  return _mm512_reduce_max_ps(_mm512_castsi512_ps(finite));
}

}  // namespace

void quantize_rows_avx512(const RowQuantization& work) {
  const __m512 low = _mm512_set1_ps(-127), high = _mm512_set1_ps(127);
  for (size_t row = 0; row < work.rows; ++row) {
    const float* x = work.x + row * work.x_stride;
    int8_t* q = work.q + row * work.q_stride;
    const float largest = largest_magnitude(x, work.inputs);
    const bool zero = largest < 0x1p-100F;
    const __m512 inverse = _mm512_set1_ps(zero ? 0 : 127 / largest);
    __m512i sum = _mm512_setzero_si512();
    for (size_t k = 0; k < work.inputs; k += 16) {
      const __mmask16 mask = lanes(work.inputs - k);
      const __m512 values = _mm512_maskz_loadu_ps(mask, x + k);
      const __mmask16 number = zero ? static_cast<__mmask16>(0) : _mm512_cmp_ps_mask(values, values, _CMP_ORD_Q);
      const __m512 levels = _mm512_min_ps(_mm512_max_ps(_mm512_mul_ps(values, inverse), low), high);
      const __m512i integers = _mm512_maskz_cvtps_epi32(number, levels);
      sum = _mm512_add_epi32(sum, integers);
      _mm512_mask_cvtepi32_storeu_epi8(q + k, mask, integers);
    }
    work.scales[row] = zero ? 0 : largest / 127;
    if (work.sums != nullptr) work.sums[row] = _mm512_reduce_add_epi32(sum);
  }
}

}  // namespace dnateq::kernels
