// Max pooling of NHWC levels, u8 or s8: the largest level of every window, padding ignored. Levels ascend with values,
// so that this is the pooling of the values themselves.
//
// Threads: tbb::parallel_for over output lines, if the work is worth it. Source: ours. Non-goals: average pooling
// (its results are no levels), indices of the maxima.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dnateq::kernels {

struct PoolingShape {
  size_t batch = 1, height = 1, width = 1, channels = 1;
  size_t kernel_height = 1, kernel_width = 1;
  size_t stride_height = 1, stride_width = 1;
  size_t dilation_height = 1, dilation_width = 1;
  // Rounding output sizes up is more padding at the end.
  size_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  // 0 where the kernel does not fit the padded image.
  size_t output_height() const;
  size_t output_width() const;
};

// y: batch x output height x output width x channels. Throws Error on a shape that is none, and where a window would
// hold padding only.
void max_pool(const PoolingShape& shape, const uint8_t* x, uint8_t* y);
void max_pool(const PoolingShape& shape, const int8_t* x, int8_t* y);

}  // namespace dnateq::kernels
