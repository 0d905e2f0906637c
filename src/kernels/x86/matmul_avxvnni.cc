// "avxvnni": the 256-bit matmul with the VEX form of vpdpbusd, which CPUs without AVX-512 have.
#include "kernels/matmul_kernel.h"

#if defined(__x86_64__)

#include "kernels/x86/vnni_ymm.h"

namespace dnateq::kernels {
namespace {

// The compiler would copy and spill the sums around its own vpdpbusd.
struct VexVnni {
  static void dot(__m256i& sum, __m256i x, __m256i w) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
  }
};

}  // namespace

size_t avxvnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return scratch_bytes_of<VnniDot<VexVnni>>(task, range);
}

void run_avxvnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  run_with<VnniDot<VexVnni>>(task, range, scratch);
}

}  // namespace dnateq::kernels

#endif
