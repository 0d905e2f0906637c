// "avxvnni": the 256-bit matmul with the VEX form of vpdpbusd, which CPUs without AVX-512 have.
#include "kernels/matmul_kernel.h"

#if defined(__x86_64__)

#include "kernels/x86/matmul_ymm.h"

namespace dnateq::kernels {
namespace {

struct AvxVnniDot {
  static constexpr int kRows = 6;  // 12 sums, 2 vectors of weights, 1 of activations
  static constexpr bool kSignedRows = false;

  // The compiler would copy and spill the sums around its own vpdpbusd.
  static void dot(__m256i& sum, __m256i x, __m256i w) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
  }
  void add(__m256i& left, __m256i& right_sum, __m256i x, __m256i w_left, __m256i w_right) const {
    dot(left, x, w_left);
    dot(right_sum, x, w_right);
  }

  // For one row.
  static constexpr size_t kRowCopies = 1;
  using Quad = __m256i;
  static void store_row(__m256i values, uint8_t* to, size_t) { store(to, values); }
  static Quad quad(const uint8_t* x, size_t) { return broadcast_quad(x); }
  static __m256i add_one(__m256i sum, const Quad& x, __m256i w) {
    dot(sum, x, w);
    return sum;
  }
};

}  // namespace

size_t avxvnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return scratch_bytes_of<AvxVnniDot>(task, range);
}

void run_avxvnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  run_with<AvxVnniDot>(task, range, scratch);
}

}  // namespace dnateq::kernels

#endif
