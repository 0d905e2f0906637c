// The 256-bit matmul, for CPUs without AVX-512 VBMI. Private: included by units that differ in the dot product alone
// and are compiled for different instruction sets, so that all is local to the unit.
//
// Codes become levels in scratch, 8 vectors of 64 bytes a unit as packed_weights.h orders them: a panel at once where
// there are several blocks of rows, else as many units as stay in the first-level cache, between the products. A block
// of rows x 16 channels is summed in registers. A single row needs no such copy: gemv_ymm.h. `Dot` says what its
// activations are (kSignedRows); the others are shifted by 128, and 128 times the channel's sum of levels makes up for
// it: exact, and padded inputs, whose levels are 0, need no care.
//
// Source: ours. Non-goals: a kernel for every shape; CPUs with VBMI have better ones.
#pragma once

#include "kernels/x86/codes_ymm.h"
#include "kernels/x86/gemv_ymm.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kGroupInputs = 4;                  // that one 32-bit sum takes at once
constexpr size_t kGroupBytes = 4 * kLineBytes;      // 4 inputs x 64 channels
constexpr size_t kUnitsInFirstLevelCache = 16;      // 8 KiB of levels a table
constexpr size_t kChannelsOfPass = kLineBytes / 4;  // 16
constexpr size_t kLargestRowBlock = 8;              // bounds the scratch

// ---- decoding ----

template <int kBits>
void decode_units(const MatmulTask& task, int table, const uint8_t* unit, size_t units, uint8_t* levels) {
  if constexpr (kBits == 8) {
    unit += static_cast<size_t>(table) * kUnitCodes;
    for (size_t i = 0; i < units; ++i, unit += task.unit_bytes, levels += kUnitCodes)
      for (size_t byte = 0; byte < kUnitCodes; byte += 32) store(levels + byte, load(unit + byte));
  } else {
    const Lookup<kBits> lookup(task.levels[table]);
    for (size_t i = 0; i < units; ++i, unit += task.unit_bytes, levels += kUnitCodes)
      for (size_t half = 0; half < kLineBytes; half += 32)
        for_codes<kBits>(
            unit + half, [&](int v, __m256i codes) __attribute__((always_inline)) {
              store(levels + static_cast<size_t>(v) * kLineBytes + half, lookup[codes]);
            });
  }
}

using Decode = void (*)(const MatmulTask& task, int table, const uint8_t* unit, size_t units, uint8_t* levels);

inline Decode decode_of(int bits) {
  constexpr Decode kDecode[] = {decode_units<2>, decode_units<3>, decode_units<4>, decode_units<5>,
                                decode_units<6>, decode_units<7>, decode_units<8>};
  return kDecode[bits - 2];
}

// ---- products ----

inline uint32_t group_at(const uint8_t* x, size_t inputs) {
  uint32_t group = 0;
  __builtin_memcpy(&group, x, inputs);
  return group;
}

// Adds kRows x 16 channels of `inputs` inputs to sums (64 a row).
template <typename Dot, int kRows, bool kShift>
void multiply(const uint8_t* x, size_t x_stride, size_t inputs, const uint8_t* levels, int32_t* sums) {
  const Dot dot;
  __m256i left[kRows], right_[kRows];
  for (int row = 0; row < kRows; ++row) {
    left[row] = load(sums + row * static_cast<int>(kPanelChannels));
    right_[row] = load(sums + row * static_cast<int>(kPanelChannels) + 8);
  }
  const auto add_group = [&](size_t count) __attribute__((always_inline)) {
    const __m256i w_left = load(levels), w_right = load(levels + 32);
    for (int row = 0; row < kRows; ++row) {
      const uint32_t group = group_at(x + static_cast<size_t>(row) * x_stride, count);
      __m256i values = _mm256_set1_epi32(static_cast<int>(group));
      if constexpr (kShift) values = _mm256_xor_si256(values, _mm256_set1_epi8(static_cast<char>(0x80)));
      dot.add(left[row], right_[row], values, w_left, w_right);
    }
    levels += kGroupBytes, x += kGroupInputs;
  };
  for (size_t group = 0; group < inputs / kGroupInputs; ++group) add_group(kGroupInputs);
  if (inputs % kGroupInputs != 0) add_group(inputs % kGroupInputs);
  for (int row = 0; row < kRows; ++row) {
    store(sums + row * static_cast<int>(kPanelChannels), left[row]);
    store(sums + row * static_cast<int>(kPanelChannels) + 8, right_[row]);
  }
}

template <typename Dot, bool kShift, int kRows = Dot::kRows>
void multiply_rows(size_t rows, const uint8_t* x, size_t x_stride, size_t inputs, const uint8_t* levels,
                   int32_t* sums) {
  if constexpr (kRows > 0) {
    if (rows != kRows) return multiply_rows<Dot, kShift, kRows - 1>(rows, x, x_stride, inputs, levels, sums);
    for (size_t n = 0; n < kPanelChannels; n += kChannelsOfPass)
      multiply<Dot, kRows, kShift>(x, x_stride, inputs, levels + 4 * n, sums + n);
  }
}

// ---- epilogue ----

// In the order and roundings of finish_block_scalar(), which takes what is not 64 channels wide.
inline void finish(const Epilogue& e, const int32_t* sums, size_t row, size_t rows, size_t channel, size_t columns) {
  if (columns != kPanelChannels || e.sums != nullptr)
    return finish_block_scalar(e, sums, kPanelChannels, row, rows, channel, columns);
  for (size_t m = row; m < row + rows; ++m, sums += kPanelChannels) {
    float block[kPanelChannels];
    float* const values = e.values == nullptr ? block : e.values + m * e.stride + channel;
    for (size_t j = 0; j < kPanelChannels; j += 8) {
      const size_t n = channel + j;
      __m256 y = _mm256_cvtepi32_ps(load(sums + j));
      if (e.row_scale != nullptr) y = _mm256_mul_ps(y, _mm256_set1_ps(e.row_scale[m]));
      if (e.channel_scale != nullptr) y = _mm256_mul_ps(y, _mm256_loadu_ps(e.channel_scale + n));
      if (e.bias != nullptr) y = _mm256_add_ps(y, _mm256_loadu_ps(e.bias + n));
      if (e.residual != nullptr) y = _mm256_add_ps(y, _mm256_loadu_ps(e.residual + m * e.residual_stride + n));
      // vmaxps and vminps give their second operand for NaN and for equal zeros, as the reference's comparisons do.
      if (e.activation == Activation::kRelu) y = _mm256_max_ps(y, _mm256_setzero_ps());
      if (e.activation == Activation::kClamp)
        y = _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(e.lowest)), _mm256_set1_ps(e.highest));
      _mm256_storeu_ps(values + j, y);
    }
    if (e.sink != nullptr) e.sink(e.sink_context, {m, channel, 1, kPanelChannels, values, kPanelChannels});
  }
}

// ---- a task ----

inline size_t units_of_pass(const MatmulTask& task, const MatmulRange& range, size_t row_block) {
  const bool one_block = range.row_end - range.row_begin <= row_block;
  return one_block ? smaller(task.units, kUnitsInFirstLevelCache) : task.units;
}

template <typename Dot>
size_t scratch_bytes_of(const MatmulTask& task, const MatmulRange& range) {
  static_assert(Dot::kRows <= static_cast<int>(kLargestRowBlock));
  if (is_gemv(task, range)) return gemv_scratch_bytes<Dot>(task);
  return static_cast<size_t>(task.tables) * (units_of_pass(task, range, size_t{Dot::kRows}) * kUnitCodes +
                                             kLargestRowBlock * kPanelChannels * sizeof(int32_t));
}

// What shifted activations leave out or add, and the two halves of split levels.
inline void complete(const MatmulTask& task, int shift, size_t rows, size_t channel, int32_t* const* sums) {
  for (size_t row = 0; row < rows; ++row)
    for (size_t j = 0; j < kPanelChannels; j += 8) {
      const size_t at = row * kPanelChannels + j;
      const __m256i factor = _mm256_set1_epi32(shift);
      __m256i sum = load(sums[0] + at);
      sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(factor, load(task.channel_sums[0] + channel + j)));
      if (task.tables == 2) {
        sum = _mm256_add_epi32(_mm256_slli_epi32(sum, 7), load(sums[1] + at));
        sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(factor, load(task.channel_sums[1] + channel + j)));
      }
      store(sums[0] + at, sum);
    }
}

template <typename Dot, bool kShift>
void run_shift(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  constexpr auto kRowBlock = static_cast<size_t>(Dot::kRows);
  constexpr int kCorrection = !kShift ? 0 : Dot::kSignedRows ? 128 : -128;
  const Decode decode = decode_of(task.bits);
  const size_t units_at_once = units_of_pass(task, range, kRowBlock);
  const bool stored = task.bits == 8 && task.tables == 1;  // the panel is what decoding would make of it
  const auto tables = static_cast<size_t>(task.tables);
  int32_t* sums[2] = {};
  for (size_t table = 0; table < tables; ++table) {
    sums[table] = reinterpret_cast<int32_t*>(scratch);
    scratch += kLargestRowBlock * kPanelChannels * sizeof(int32_t);
  }
  const size_t table_bytes = units_at_once * kUnitCodes;

  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    const uint8_t* codes = task.panels + panel * task.panel_bytes;
    const size_t channel = panel * kPanelChannels;
    for (size_t row = range.row_begin; row < range.row_end; row += kRowBlock) {
      const size_t rows = smaller(kRowBlock, range.row_end - row);
      for (size_t table = 0; table < tables; ++table)
        for (size_t i = 0; i < rows * kPanelChannels; i += 8) store(sums[table] + i, _mm256_setzero_si256());
      for (size_t unit = 0; unit < task.units; unit += units_at_once) {
        const size_t units = smaller(units_at_once, task.units - unit), k = unit * kUnitInputs;
        const size_t inputs = smaller(units * kUnitInputs, task.k - k);
        for (size_t table = 0; table < tables; ++table) {
          uint8_t* levels = scratch + table * table_bytes;
          const uint8_t* from = codes + unit * task.unit_bytes;
          // With several blocks of rows a pass is the whole panel, which the first block decodes for all.
          if (!stored && row == range.row_begin) decode(task, static_cast<int>(table), from, units, levels);
          multiply_rows<Dot, kShift>(rows, task.x + row * task.x_stride + k, task.x_stride, inputs,
                                     stored ? from : levels, sums[table]);
        }
      }
      if (kShift || task.tables == 2) complete(task, kCorrection, rows, channel, sums);
      finish(*task.epilogue, sums[0], row, rows, channel, smaller(kPanelChannels, task.n - channel));
    }
  }
}

// One row: codes are decoded in registers and meet it at once, so that nothing but the stream of codes is read.
template <typename Dot>
void run_gemv(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  constexpr int kCorrection = Dot::kSignedRows ? 128 : -128;
  const GemvRow row = gemv_row<Dot>(task, range.row_begin, scratch);
  const GemvPass pass = gemv_pass_of<Dot>(task.bits);
  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    alignas(32) int32_t sums[2][kPanelChannels] = {};
    for (size_t unit = 0; unit < task.units; unit += kUnitsOfGemvPass)
      for (int table = 0; table < task.tables; ++table)
        pass(task, table, panel, unit, smaller(kUnitsOfGemvPass, task.units - unit), row, sums[table]);
    int32_t* const both[] = {sums[0], sums[1]};
    const size_t channel = panel * kPanelChannels;
    const bool shifted = task.x_signed != Dot::kSignedRows;
    if (shifted || task.tables == 2) complete(task, shifted ? kCorrection : 0, 1, channel, both);
    finish(*task.epilogue, sums[0], range.row_begin, 1, channel, smaller(kPanelChannels, task.n - channel));
  }
}

template <typename Dot>
void run_with(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  if (is_gemv(task, range)) return run_gemv<Dot>(task, range, scratch);
  if (task.x_signed == Dot::kSignedRows)
    run_shift<Dot, false>(task, range, scratch);
  else
    run_shift<Dot, true>(task, range, scratch);
}

}  // namespace
}  // namespace dnateq::kernels
