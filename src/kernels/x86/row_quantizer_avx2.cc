#include <immintrin.h>

#include "kernels/row_quantizer.h"

namespace dnateq::kernels {
namespace {

// Eight floats, zeros past the end: the row may end anywhere.
__m256 load(const float* x, size_t left) {
  if (left >= 8) return _mm256_loadu_ps(x);
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(x, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(left)), index));
}

float largest_magnitude(const float* x, size_t inputs) {
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7FFFFFFF), infinity = _mm256_set1_epi32(0x7F800000);
  __m256i largest = _mm256_setzero_si256();
  for (size_t k = 0; k < inputs; k += 8) {
    const __m256i bits = _mm256_and_si256(_mm256_castps_si256(load(x + k, inputs - k)), magnitude_bits);
    const __m256i nan = _mm256_cmpgt_epi32(bits, infinity);
    largest = _mm256_max_epi32(largest, _mm256_andnot_si256(nan, bits));
  }
  alignas(32) float magnitudes[8];
  _mm256_store_ps(magnitudes, _mm256_castsi256_ps(_mm256_min_epi32(largest, _mm256_set1_epi32(0x7F7FFFFF))));
  float all = 0;
  for (const float magnitude : magnitudes) all = magnitude > all ? magnitude : all;
  return all;
}

}  // namespace

void quantize_rows_avx2(const RowQuantization& work) {
  const __m256 low = _mm256_set1_ps(-127), high = _mm256_set1_ps(127);
  for (size_t row = 0; row < work.rows; ++row) {
    const float* x = work.x + row * work.x_stride;
    int8_t* q = work.q + row * work.q_stride;
    const float largest = largest_magnitude(x, work.inputs);
    const bool zero = largest < 0x1p-100F;
    const __m256 inverse = _mm256_set1_ps(zero ? 0 : 127 / largest);
    int32_t sum = 0;
    __m256i sums = _mm256_setzero_si256();
    for (size_t k = 0; k < work.inputs; k += 8) {
      const size_t left = work.inputs - k;
      const __m256 values = load(x + k, left);
      const __m256 number = zero ? _mm256_setzero_ps() : _mm256_cmp_ps(values, values, _CMP_ORD_Q);
      const __m256 levels = _mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(values, inverse), low), high);
      const __m256i integers = _mm256_cvtps_epi32(_mm256_and_ps(levels, number));
      sums = _mm256_add_epi32(sums, integers);
      const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
      const __m128i bytes = _mm_packs_epi16(words, words);
      if (left >= 8) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(q + k), bytes);
      } else {
        alignas(16) int8_t block[16];
        _mm_store_si128(reinterpret_cast<__m128i*>(block), bytes);
        for (size_t i = 0; i < left; ++i) q[k + i] = block[i];
      }
    }
    alignas(32) int32_t parts[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(parts), sums);
    for (const int32_t part : parts) sum += part;
    work.scales[row] = zero ? 0 : largest / 127;
    if (work.sums != nullptr) work.sums[row] = sum;
  }
}

}  // namespace dnateq::kernels
