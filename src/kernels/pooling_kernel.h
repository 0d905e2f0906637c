// Pooling of output lines, compiled once for each instruction set: plain loops that compilers turn into vectors. All in
// an unnamed namespace, so that the units' code is not merged.
#pragma once

#include "kernels/pooling.h"

namespace dnateq::kernels {

// One output line of one image.
template <typename Level>
struct PoolingLine {
  const Level* x;                   // the image
  Level* y;                         // the line
  size_t begin_height, end_height;  // taps whose lines lie in the image
  size_t line;                      // of tap 0, in padded lines
  const PoolingShape* shape;
  size_t columns;  // of the output
};

void pool_line_baseline(const PoolingLine<uint8_t>& line);
void pool_line_baseline(const PoolingLine<int8_t>& line);
#if defined(__x86_64__)
void pool_line_avx2(const PoolingLine<uint8_t>& line);
void pool_line_avx2(const PoolingLine<int8_t>& line);
#endif

namespace {

// y[0 ... count - 1], the maxima over taps [h_begin, h_end) x [w_begin, w_end) from x.
template <size_t kCount, typename Level>
inline void largest(const Level* x, size_t lines, size_t line_stride, size_t columns, size_t column_stride, Level* y) {
  Level most[kCount];
  for (size_t c = 0; c < kCount; ++c) most[c] = x[c];
  for (size_t i = 0; i < lines; ++i)
    for (size_t j = 0; j < columns; ++j) {
      const Level* tap = x + i * line_stride + j * column_stride;
      for (size_t c = 0; c < kCount; ++c) most[c] = most[c] > tap[c] ? most[c] : tap[c];
    }
  for (size_t c = 0; c < kCount; ++c) y[c] = most[c];
}

template <typename Level>
void pool_line(const PoolingLine<Level>& line) {
  const PoolingShape& s = *line.shape;
  const size_t line_stride = s.dilation_height * s.width * s.channels, column_stride = s.dilation_width * s.channels;
  const size_t lines = line.end_height - line.begin_height;
  const Level* const top =
      line.x + (line.line + line.begin_height * s.dilation_height - s.pad_top) * s.width * s.channels;
  Level* y = line.y;
  for (size_t column = 0; column < line.columns; ++column, y += s.channels) {
    const size_t left = column * s.stride_width;  // in padded columns
    size_t begin = 0, end = s.kernel_width;
    while (left + begin * s.dilation_width < s.pad_left) ++begin;
    while (left + (end - 1) * s.dilation_width >= s.pad_left + s.width) --end;
    const Level* x = top + (left + begin * s.dilation_width - s.pad_left) * s.channels;
    size_t c = 0;
    for (; c + 64 <= s.channels; c += 64) largest<64>(x + c, lines, line_stride, end - begin, column_stride, y + c);
    for (; c + 16 <= s.channels; c += 16) largest<16>(x + c, lines, line_stride, end - begin, column_stride, y + c);
    for (; c < s.channels; ++c) largest<1>(x + c, lines, line_stride, end - begin, column_stride, y + c);
  }
}

}  // namespace
}  // namespace dnateq::kernels
