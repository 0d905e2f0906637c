#include "kernels/row_quantizer.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#include "core/isa.h"

namespace dnateq::kernels {

void quantize_rows_scalar(const RowQuantization& work) {
  for (size_t row = 0; row < work.rows; ++row) {
    const float* x = work.x + row * work.x_stride;
    int8_t* q = work.q + row * work.q_stride;
    float largest = 0;
    for (size_t k = 0; k < work.inputs; ++k)
      if (const float magnitude = std::fabs(x[k]); magnitude > largest) largest = magnitude;  // never NaN
    largest = std::min(largest, FLT_MAX);
    const bool zero = largest < 0x1p-100F;
    const float inverse = zero ? 0 : 127 / largest;
    int32_t sum = 0;
    for (size_t k = 0; k < work.inputs; ++k) {
      const float level = zero || std::isnan(x[k]) ? 0 : std::clamp(x[k] * inverse, -127.0F, 127.0F);
      q[k] = static_cast<int8_t>(std::lrintf(level));
      sum += q[k];
    }
    work.scales[row] = zero ? 0 : largest / 127;
    if (work.sums != nullptr) work.sums[row] = sum;
  }
}

void quantize_rows(const RowQuantization& work) {
#if defined(__x86_64__)
  if (cpu_in_use().avx512) return quantize_rows_avx512(work);
  if (cpu_in_use().avx2) return quantize_rows_avx2(work);
#endif
  quantize_rows_scalar(work);
}

}  // namespace dnateq::kernels
