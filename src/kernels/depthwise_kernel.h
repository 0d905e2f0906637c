// What a depthwise kernel is: plain data and functions, as matmul_kernel.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/matmul_kernel.h"

namespace dnateq::kernels {

// Rows x channels. Vectors may read up to 64 bytes past the window's last pixel.
struct DepthwiseTask {
  const uint8_t* x;  // a window; row m's pixel of tap t is at x + rows[m].offset + taps[t]
  const WindowRow* rows;
  const size_t* taps;  // 2 * pairs
  size_t m, pairs;
  size_t channels;
  bool x_signed;
  const int16_t* levels;  // as depthwise.h says
  const Epilogue* epilogue;
};

inline constexpr size_t kDepthwiseBlock = 32;  // channels

void run_depthwise_scalar(const DepthwiseTask& task);
#if defined(__x86_64__)
void run_depthwise_avx2(const DepthwiseTask& task);
void run_depthwise_vnni(const DepthwiseTask& task);
#endif

}  // namespace dnateq::kernels
