// What a matmul does with its INT32 sums while they are still in the first-level cache.
//
//   y[m][n] = f(float(sum[m][n]) * row_scale[m] * channel_scale[n] + bias[n] + residual[m][n])
//
// in float32, each operation rounded (no fused multiply-add), so that every kernel gives the same bits. A plain struct:
// it is read by units compiled for other instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dnateq::kernels {

enum class Activation { kNone, kRelu, kClamp };

// Takes y[row + i][channel + j], i < rows, j < columns <= 64, which stands at values[i * stride + j], from the calling
// thread's cache: for instance the encoder of the next layer, which then costs no second pass through memory. Called
// once for every value, by several threads for different blocks, in no order. Must not throw, nor call matmul.
struct SinkBlock {
  size_t row, channel, rows, columns;
  const float* values;
  size_t stride;
};
using BlockSink = void (*)(void* context, const SinkBlock& block);

struct Epilogue {
  // Null: a factor of 1, a summand of 0.
  const float* row_scale = nullptr;      // M
  const float* channel_scale = nullptr;  // N
  const float* bias = nullptr;           // N
  const float* residual = nullptr;       // M x N; may be `values` itself
  size_t residual_stride = 0;            // floats from row to row
  Activation activation = Activation::kNone;
  float lowest = 0, highest = 0;  // kClamp

  // Where the results go: exactly one of the three, or both values and sink, which then gets the values in their place.
  float* values = nullptr;   // M x N, y
  int32_t* sums = nullptr;   // M x N, the sums themselves; nothing of the above is applied
  BlockSink sink = nullptr;  // y, block by block
  size_t stride = 0;         // elements of `values` or `sums` from row to row
  void* sink_context = nullptr;
};

}  // namespace dnateq::kernels
