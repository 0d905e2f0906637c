// Dynamic INT8: each row of float32 activations onto its own grid, at run time, for matmuls bound by weight traffic.
//
//   scale[m] = max |x[m][k]| / 127,   q[m][k] = round(x[m][k] * (127 / max |x[m]|)), ties to even, in [-127, 127]
//
// NaN gives 0, an infinity the largest level of its sign (the row's maximum is then the largest finite float). A row
// whose maximum is below 2^-100 is all zero, with scale 0: its inverse would leave float32.
// Every instruction set gives the same bytes. Source: the usual symmetric per-row ("dynamic") quantization.
// Non-goals: exponential codes of activations, threads (a row costs less than waking one).
#pragma once

#include <cstddef>
#include <cstdint>

namespace dnateq::kernels {

// x: rows x inputs floats, `x_stride` apart; q: rows x inputs, `q_stride` apart; scales, sums (of q): one a row.
struct RowQuantization {
  const float* x;
  size_t x_stride;
  size_t rows, inputs;
  int8_t* q;
  size_t q_stride;
  float* scales;
  int32_t* sums;  // may be null
};

void quantize_rows(const RowQuantization& work);

// The implementations, for tests: the scalar one is the specification.
void quantize_rows_scalar(const RowQuantization& work);
void quantize_rows_avx2(const RowQuantization& work);
void quantize_rows_avx512(const RowQuantization& work);

}  // namespace dnateq::kernels
