// What a matmul kernel is to the list: plain data and functions, because its unit is compiled for another instruction
// set and must not instantiate code that others share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.h"

namespace dnateq::kernels {

struct MatmulProblem;

// Where the inputs of a row lie if not side by side: segment i of a row is the `inputs` bytes at x + rows[m].offset +
// segments[i]. That is a convolution over a window of its padded image, whose rows overlap. Segments of a row outside
// [begin, end) hold level 0 only, and may be skipped.
struct WindowRow {
  size_t offset;
  uint32_t begin, end;
};
struct Windows {
  const WindowRow* rows;   // M
  const size_t* segments;  // count
  size_t count, inputs;    // inputs: a multiple of 4; count * inputs = K
};

struct MatmulTask {
  // Weights, laid out as packed_weights.h says.
  const uint8_t* panels;
  size_t panel_bytes, unit_bytes, units;
  size_t n, k;
  int bits, tables;
  const int8_t* levels[2];
  const int32_t* channel_sums[2];
  // Activations.
  const uint8_t* x;
  size_t x_stride;
  bool x_signed;
  const Windows* windows;   // null: rows lie x_stride apart. Never signed
  bool x_shifted;           // with windows: x holds signed levels + 128
  const int32_t* row_sums;  // null: not known
  size_t m;

  const Epilogue* epilogue;
};

struct MatmulRange {
  size_t row_begin, row_end, panel_begin, panel_end;
};

struct MatmulKernel {
  const char* name;
  const char* isa;
  bool (*cpu_runs_it)();
  const char* (*refusal)(const MatmulProblem& problem);  // null: takes it
  size_t (*scratch_bytes)(const MatmulTask& task, const MatmulRange& range);
  void (*run)(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);  // scratch: 64-byte aligned
  size_t row_grain;                                                                 // rows that belong to one task
  bool takes_windows = false;  // reads MatmulTask::windows and ::x_shifted; others are given neither
};

// Applies the epilogue to rows x columns sums (columns <= 64) at [row][channel]; the specification of the others.
void finish_block_scalar(const Epilogue& epilogue, const int32_t* sums, size_t sums_stride, size_t row, size_t rows,
                         size_t channel, size_t columns);

size_t scalar_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_scalar(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);

#if defined(__x86_64__)
size_t gemv_vnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_gemv_vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);
size_t gemm_vnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_gemm_vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);
size_t amx_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_amx(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);
size_t avx512vnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_avx512vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);
size_t avxvnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_avxvnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);
size_t avx2_scratch_bytes(const MatmulTask& task, const MatmulRange& range);
void run_avx2(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch);
#endif

}  // namespace dnateq::kernels
