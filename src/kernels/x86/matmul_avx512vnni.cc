// "avx512vnni": the 256-bit matmul with the EVEX form of vpdpbusd, for CPUs whose AVX-512 has no VBMI (Cascade Lake).
#include "kernels/matmul_kernel.h"

#if defined(__x86_64__)

#include "kernels/x86/vnni_ymm.h"

namespace dnateq::kernels {
namespace {

// The compiler would copy and spill the sums around its own vpdpbusd.
struct EvexVnni {
  static void dot(__m256i& sum, __m256i x, __m256i w) { asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w)); }
};

}  // namespace

size_t avx512vnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return scratch_bytes_of<VnniDot<EvexVnni>>(task, range);
}

void run_avx512vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  run_with<VnniDot<EvexVnni>>(task, range, scratch);
}

}  // namespace dnateq::kernels

#endif
