#include "kernels/pooling.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "core/isa.h"
#include "dnateq/error.h"
#include "kernels/pooling_kernel.h"

namespace dnateq::kernels {
namespace {

size_t span_of(size_t kernel, size_t dilation) { return (kernel - 1) * dilation + 1; }

size_t output_size(size_t size, size_t pads, size_t kernel, size_t stride, size_t dilation) {
  const size_t padded = size + pads, span = span_of(kernel, dilation);
  return padded < span ? 0 : (padded - span) / stride + 1;
}

// The first tap inside [pad, pad + size) and the one past the last, for a window that starts at `first`.
struct Taps {
  size_t begin, end;
};

Taps taps_inside(size_t first, size_t pad, size_t size, size_t kernel, size_t dilation) {
  Taps taps{0, kernel};
  while (taps.begin < kernel && first + taps.begin * dilation < pad) ++taps.begin;
  while (taps.end > taps.begin && first + (taps.end - 1) * dilation >= pad + size) --taps.end;
  return taps;
}

void check_side(size_t outputs, size_t pad, size_t size, size_t kernel, size_t stride, size_t dilation) {
  for (size_t i = 0; i < outputs; ++i) {
    const Taps taps = taps_inside(i * stride, pad, size, kernel, dilation);
    if (taps.begin == taps.end)
      throw Error(
          fmt::format("max pooling of {} by {} taps with a padding of {} has windows of padding only; check the model",
                      size, kernel, pad));
  }
}

void check(const PoolingShape& s) {
  if (s.height * s.width * s.channels == 0 || s.kernel_height * s.kernel_width == 0 ||
      s.stride_height * s.stride_width == 0 || s.dilation_height * s.dilation_width == 0)
    throw Error("image, kernel, strides and dilations of a max pooling must be 1 or more; check the model");
  if (s.output_height() == 0 || s.output_width() == 0)
    throw Error(fmt::format("a {} x {} window does not fit an image of {} x {} with its padding; check the model",
                            s.kernel_height, s.kernel_width, s.height, s.width));
  check_side(s.output_height(), s.pad_top, s.height, s.kernel_height, s.stride_height, s.dilation_height);
  check_side(s.output_width(), s.pad_left, s.width, s.kernel_width, s.stride_width, s.dilation_width);
}

template <typename Level>
void run(const PoolingShape& s, const Level* x, Level* y) {
  check(s);
  const size_t out_height = s.output_height(), out_width = s.output_width(), lines = s.batch * out_height;
  const auto run_line = [&](size_t index) {
    const size_t image = index / out_height, line = index % out_height * s.stride_height;
    const Taps taps = taps_inside(line, s.pad_top, s.height, s.kernel_height, s.dilation_height);
    const PoolingLine<Level> work{.x = x + image * s.height * s.width * s.channels,
                                  .y = y + index * out_width * s.channels,
                                  .begin_height = taps.begin,
                                  .end_height = taps.end,
                                  .line = line,
                                  .shape = &s,
                                  .columns = out_width};
#if defined(__x86_64__)
    if (cpu_in_use().avx2) return pool_line_avx2(work);
#endif
    pool_line_baseline(work);
  };
  // Waking a thread costs some microseconds; about 20 levels are compared in a nanosecond.
  constexpr size_t kWorthSharing = 400'000;
  const size_t comparisons = lines * out_width * s.channels * s.kernel_height * s.kernel_width;
  if (tbb::this_task_arena::max_concurrency() > 1 && comparisons >= kWorthSharing)
    return tbb::parallel_for(size_t{0}, lines, run_line);
  for (size_t index = 0; index < lines; ++index) run_line(index);
}

}  // namespace

void pool_line_baseline(const PoolingLine<uint8_t>& line) { pool_line(line); }
void pool_line_baseline(const PoolingLine<int8_t>& line) { pool_line(line); }

size_t PoolingShape::output_height() const {
  return output_size(height, pad_top + pad_bottom, kernel_height, stride_height, dilation_height);
}

size_t PoolingShape::output_width() const {
  return output_size(width, pad_left + pad_right, kernel_width, stride_width, dilation_width);
}

void max_pool(const PoolingShape& shape, const uint8_t* x, uint8_t* y) { run(shape, x, y); }
void max_pool(const PoolingShape& shape, const int8_t* x, int8_t* y) { run(shape, x, y); }

}  // namespace dnateq::kernels
