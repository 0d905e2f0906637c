// One row of activations times some units of a panel, 256 bits at a time, codes decoded in registers. Private, as
// matmul_ymm.h is.
#pragma once

#include "core/isa.h"
#include "kernels/x86/codes_ymm.h"

namespace dnateq::kernels {
namespace {

// 16 registers hold the sums of half the channels, so that each pass goes twice over as many units as stay in the
// first-level cache.
constexpr size_t kUnitsOfGemvPass = 8;
constexpr size_t kGemvAhead = 2048;  // bytes, as in matmul_gemv_vnni.cc

// 8-bit codes are levels, which meet the row as they lie in memory.
inline bool is_gemv(const MatmulTask& task, const MatmulRange& range) {
  return range.row_end - range.row_begin == 1 && task.bits < 8;
}

// A row as Dot takes it, zero-padded to whole units: Dot::kRowCopies arrays of `padded` bytes.
struct GemvRow {
  const uint8_t* values;
  size_t padded;
};

inline size_t padded_inputs(const MatmulTask& task) { return (task.units * kUnitInputs + 31) / 32 * 32; }

template <typename Dot>
size_t gemv_scratch_bytes(const MatmulTask& task) {
  return Dot::kRowCopies * padded_inputs(task);
}

template <typename Dot>
GemvRow gemv_row(const MatmulTask& task, size_t row, uint8_t* scratch) {
  const uint8_t* x = task.x + row * task.x_stride;
  const size_t padded = padded_inputs(task);
  const __m256i flip = bytes_of(task.x_signed == Dot::kSignedRows ? 0 : 0x80);
  for (size_t k = 0; k < padded; k += 32) {
    alignas(32) uint8_t last[32] = {};
    const uint8_t* from = x + k;
    if (k + 32 > task.k) {
      if (k < task.k) __builtin_memcpy(last, from, task.k - k);
      from = last;
    }
    Dot::store_row(_mm256_xor_si256(load(from), flip), scratch + k, padded);
  }
  return {scratch, padded};
}

// Adds the products of `units` units to sums: of 64 channels.
using GemvPass = void (*)(const MatmulTask& task, int table, size_t panel, size_t unit, size_t units,
                          const GemvRow& row, int32_t* sums);

template <typename Dot, int kBits>
void gemv_pass(const MatmulTask& task, int table, size_t panel, size_t first, size_t units, const GemvRow& row,
               int32_t* sums) {
  constexpr size_t kUnitBytes = static_cast<size_t>(kBits) * kLineBytes;
  const Lookup<kBits> lookup(task.levels[table]);
  const size_t ahead = cpu().intel ? kGemvAhead : 0, padded = row.padded;
  const uint8_t* const begin = task.panels + panel * task.panel_bytes + first * kUnitBytes;
  for (size_t half = 0; half < 2; ++half) {
    const uint8_t* unit = begin + 32 * half;
    const uint8_t* const end = unit + units * kUnitBytes;
    const uint8_t* x = row.values + first * kUnitInputs;
    int32_t* const of_half = sums + 8 * half;
    __m256i s[4] = {load(of_half), load(of_half + 16), load(of_half + 32), load(of_half + 48)};
    for (; unit != end; unit += kUnitBytes, x += kUnitInputs) {
      // Half of the lines in each of both passes over them.
      for (size_t line = half; line < kBits; line += 2) _mm_prefetch(unit + line * kLineBytes + ahead, _MM_HINT_T0);
      const typename Dot::Quad quads[2] = {Dot::quad(x, padded), Dot::quad(x + 4, padded)};
      for_codes<kBits>(
          unit, [&](int v, __m256i codes)
                    __attribute__((always_inline)) { s[v % 4] = Dot::add_one(s[v % 4], quads[v / 4], lookup[codes]); });
    }
    for (int i = 0; i < 4; ++i) store(of_half + 16 * i, s[i]);
  }
}

template <typename Dot>
GemvPass gemv_pass_of(int bits) {
  constexpr GemvPass kPasses[] = {gemv_pass<Dot, 2>, gemv_pass<Dot, 3>, gemv_pass<Dot, 4>,
                                  gemv_pass<Dot, 5>, gemv_pass<Dot, 6>, gemv_pass<Dot, 7>};
  return kPasses[bits - 2];
}

}  // namespace
}  // namespace dnateq::kernels
