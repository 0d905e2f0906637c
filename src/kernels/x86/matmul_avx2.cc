// "avx2": the 256-bit matmul with products that cannot saturate.
#include "kernels/matmul_kernel.h"

#if defined(__x86_64__)

#include "kernels/x86/matmul_ymm.h"

namespace dnateq::kernels {
namespace {

// vpmaddubsw adds two products of u8 and s8 in 16 bits, saturating. With |x| <= 128 and x's sign moved to the level,
// |level| <= 127, they reach 2 * 128 * 127 = 32512 < 2^15: exact. Levels negate exactly; activations of -128 would not.
struct Avx2Dot {
  static constexpr int kRows = 4;  // 8 sums, and 8 registers for the product
  static constexpr bool kSignedRows = true;

  void add(__m256i& left, __m256i& right_sum, __m256i x, __m256i w_left, __m256i w_right) const {
    const __m256i ones = _mm256_set1_epi16(1), magnitude = _mm256_abs_epi8(x);
    const __m256i l = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(w_left, x));
    left = _mm256_add_epi32(left, _mm256_madd_epi16(l, ones));
    const __m256i r = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(w_right, x));
    right_sum = _mm256_add_epi32(right_sum, _mm256_madd_epi16(r, ones));
  }

  // For one row: its values, and their magnitudes.
  static constexpr size_t kRowCopies = 2;
  struct Quad {
    __m256i values, magnitudes;
  };
  static void store_row(__m256i values, uint8_t* to, size_t padded) {
    store(to, values);
    store(to + padded, _mm256_abs_epi8(values));
  }
  static Quad quad(const uint8_t* x, size_t padded) { return {broadcast_quad(x), broadcast_quad(x + padded)}; }
  static __m256i add_one(__m256i sum, const Quad& x, __m256i w) {
    const __m256i pairs = _mm256_maddubs_epi16(x.magnitudes, _mm256_sign_epi8(w, x.values));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

size_t avx2_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return scratch_bytes_of<Avx2Dot>(task, range);
}

void run_avx2(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  run_with<Avx2Dot>(task, range, scratch);
}

}  // namespace dnateq::kernels

#endif
