// What the AVX-512 matmul units share: decoding a unit and the epilogue. All in an unnamed namespace, because these
// functions must not be merged with, or called by, code compiled for other instruction sets.
#pragma once

#include <immintrin.h>

#include "kernels/matmul_kernel.h"

namespace dnateq::kernels {
namespace {

// Loads in program order: the compiler's reordering of a stream's lines halved the memory bandwidth.
inline __attribute__((always_inline)) __m512i load_line(const uint8_t* line) {
  __m512i value;
  asm volatile("vmovdqu64 %1, %0" : "=v"(value) : "m"(*reinterpret_cast<const __m512i_u*>(line)));
  return value;
}

// Intrinsics of vpdpbusd make g++ 12 copy and spill the accumulators.
inline __attribute__((always_inline)) void dot(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

inline __attribute__((always_inline)) __m512i select(uint8_t mask, __m512i inside, __m512i outside) {
  return _mm512_ternarylogic_epi32(_mm512_set1_epi8(static_cast<char>(mask)), inside, outside, 0xCA);
}

// body(0) ... body(kCount - 1), unrolled before g++ decides which arrays become registers.
template <int kCount, typename Body>
inline __attribute__((always_inline)) void unrolled(const Body& body) {
  if constexpr (kCount > 0) {
    unrolled<kCount - 1>(body);
    body(kCount - 1);
  }
}

// The unit's 8 vectors of codes, garbage above the codes' bits; the places are those of packed_weights.cc.
template <int kBits>
inline __attribute__((always_inline)) void unpack_lines(const uint8_t* unit, __m512i (&v)[8]) {
  __m512i line[8];
  for (int i = 0; i < kBits; ++i) line[i] = load_line(unit + 64 * i);
  const auto right = [](__m512i x, unsigned count) __attribute__((always_inline)) {
    return _mm512_srli_epi16(x, count);
  };
  if constexpr (kBits == 2) {
    for (int i = 0; i < 8; ++i)
      v[i] = i % 4 == 0 ? line[i / 4] : right(line[i / 4], static_cast<unsigned>(2 * (i % 4)));
  } else if constexpr (kBits == 3) {
    for (int i = 0; i < 6; ++i) v[i] = i % 2 == 0 ? line[i / 2] : right(line[i / 2], 3);
    v[6] = select(0x03, right(line[0], 6), select(0x0C, right(line[1], 4), right(line[2], 2)));
    v[7] = right(v[6], 3);
  } else if constexpr (kBits == 4) {
    for (int i = 0; i < 8; ++i) v[i] = i % 2 == 0 ? line[i / 2] : right(line[i / 2], 4);
  } else if constexpr (kBits == 5) {
    for (int i = 0; i < 5; ++i) v[i] = line[i];
    v[5] = select(0x07, right(line[0], 5), right(line[3], 2));
    v[6] = select(0x07, right(line[1], 5), right(line[4], 2));
    v[7] = select(0x07, right(line[2], 5), select(0x08, right(line[3], 4), right(line[4], 3)));
  } else if constexpr (kBits == 6) {
    for (int i = 0; i < 6; ++i) v[i] = line[i];
    for (int i = 0; i < 2; ++i)
      v[6 + i] =
          select(0x03, right(line[3 * i], 6), select(0x0C, right(line[3 * i + 1], 4), right(line[3 * i + 2], 2)));
  } else if constexpr (kBits == 7) {
    for (int i = 0; i < 7; ++i) v[i] = line[i];
    v[7] = right(line[6], 1);  // bit 7 of line j becomes bit j
    for (int j = 5; j >= 0; --j)
      v[7] = select(static_cast<uint8_t>(1U << j), right(line[j], static_cast<unsigned>(7 - j)), v[7]);
  }
}

template <int kBits>
struct LevelTable {
  __m512i low, high;  // high: entries 64 ... 127, for 7 bits only

  // `flip`: 0x80 gives the levels + 128, as unsigned bytes.
  LevelTable(const int8_t* levels, char flip) : low(_mm512_setzero_si512()), high(_mm512_setzero_si512()) {
    if constexpr (kBits < 8) {
      low = _mm512_xor_si512(_mm512_loadu_si512(levels), _mm512_set1_epi8(flip));
      if constexpr (kBits == 7) high = _mm512_xor_si512(_mm512_loadu_si512(levels + 64), _mm512_set1_epi8(flip));
    } else {
      low = _mm512_set1_epi8(flip);
    }
  }
  inline __attribute__((always_inline)) __m512i operator[](__m512i codes) const {
    if constexpr (kBits == 7) return _mm512_permutex2var_epi8(low, codes, high);
    return _mm512_permutexvar_epi8(codes, low);
  }
};

// Vector `i` of the 8-bit unit's table `table`, flipped as the table says.
inline __attribute__((always_inline)) __m512i stored_levels(const uint8_t* unit, int table, int i,
                                                            const LevelTable<8>& flip) {
  return _mm512_xor_si512(load_line(unit + 64 * (8 * table + i)), flip.low);
}

// What 16 columns need once for all rows. Absent factors are 1 and absent summands -0, which change no float.
struct Columns {
  __m512 scale, bias;
  __mmask16 mask;
};

enum class Steps { kPlain, kAll };     // plain: no row scale, no residual, no activation function
enum class Width { kWhole, kMasked };  // whole: all 16 columns exist. Masked stores cost several plain ones

inline bool is_plain(const Epilogue& epilogue) {
  return epilogue.row_scale == nullptr && epilogue.residual == nullptr && epilogue.activation == Activation::kNone;
}

template <Steps kSteps, Width kWidth>
inline __attribute__((always_inline)) __m512 finish(const Epilogue& epilogue, __m512i sums, const Columns& columns,
                                                    size_t row, size_t channel) {
  __m512 y = _mm512_cvtepi32_ps(sums);
  if constexpr (kSteps == Steps::kPlain) return _mm512_add_ps(_mm512_mul_ps(y, columns.scale), columns.bias);
  if (epilogue.row_scale != nullptr) y = _mm512_mul_ps(y, _mm512_set1_ps(epilogue.row_scale[row]));
  y = _mm512_add_ps(_mm512_mul_ps(y, columns.scale), columns.bias);
  if (epilogue.residual != nullptr) {
    const float* residual = epilogue.residual + row * epilogue.residual_stride + channel;
    y = _mm512_add_ps(
        y, kWidth == Width::kWhole ? _mm512_loadu_ps(residual) : _mm512_maskz_loadu_ps(columns.mask, residual));
  }
  if (epilogue.activation == Activation::kRelu) y = _mm512_max_ps(y, _mm512_setzero_ps());
  if (epilogue.activation == Activation::kClamp)
    y = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(epilogue.lowest)), _mm512_set1_ps(epilogue.highest));
  return y;
}

// Copies of what comes by reference: as far as the compiler knows, the stores could change it.
template <Steps kSteps, Width kWidth>
void finish_rows(const Epilogue& given_epilogue, const int32_t* sums, size_t sums_stride, size_t row, size_t rows,
                 size_t channel, const Columns& given_columns, float* y, size_t y_stride) {
  const Epilogue epilogue = given_epilogue;
  const Columns columns = given_columns;
  for (size_t i = 0; i < rows; ++i, sums += sums_stride, y += y_stride) {
    const __m512 values = finish<kSteps, kWidth>(epilogue, _mm512_loadu_si512(sums), columns, row + i, channel);
    if constexpr (kWidth == Width::kWhole)
      _mm512_storeu_ps(y, values);
    else
      _mm512_mask_storeu_ps(y, columns.mask, values);
  }
}

// As finish_block_scalar(). Nothing past column `columns` is read or written. 16 columns at a time, all rows: a short K
// leaves few MACs to hide what each row would look up again.
[[maybe_unused]] void finish_block(const Epilogue& epilogue, const int32_t* sums, size_t sums_stride, size_t row,
                                   size_t rows, size_t channel, size_t columns) {
  constexpr size_t kMostRows = 32;
  alignas(64) float block[kMostRows * 64];  // for the sink
  const bool in_place = epilogue.values != nullptr, plain = is_plain(epilogue);
  float* const results = in_place ? epilogue.values + row * epilogue.stride + channel : block;
  const size_t y_stride = in_place ? epilogue.stride : 64;
  for (size_t j = 0; j < columns; j += 16) {
    const size_t left = columns - j, n = channel + j;
    const bool whole = left >= 16;
    const auto mask = static_cast<__mmask16>(whole ? 0xFFFFU : (1U << left) - 1U);
    if (epilogue.sums != nullptr) {
      int32_t* to = epilogue.sums + row * epilogue.stride + n;
      for (size_t i = 0; i < rows; ++i, to += epilogue.stride) {
        const __m512i values = _mm512_loadu_si512(sums + i * sums_stride + j);
        if (whole)
          _mm512_storeu_si512(to, values);
        else
          _mm512_mask_storeu_epi32(to, mask, values);
      }
      continue;
    }
    Columns at{_mm512_set1_ps(1), _mm512_set1_ps(-0.0F), mask};
    if (epilogue.channel_scale != nullptr) at.scale = _mm512_maskz_loadu_ps(mask, epilogue.channel_scale + n);
    if (epilogue.bias != nullptr) at.bias = _mm512_maskz_loadu_ps(mask, epilogue.bias + n);
    float* const y = results + j;
    constexpr auto kPlainWhole = finish_rows<Steps::kPlain, Width::kWhole>;
    constexpr auto kPlainMasked = finish_rows<Steps::kPlain, Width::kMasked>;
    constexpr auto kAllWhole = finish_rows<Steps::kAll, Width::kWhole>;
    constexpr auto kAllMasked = finish_rows<Steps::kAll, Width::kMasked>;
    (plain   ? whole ? kPlainWhole : kPlainMasked
     : whole ? kAllWhole
             : kAllMasked)(epilogue, sums + j, sums_stride, row, rows, n, at, y, y_stride);
  }
  if (epilogue.sink != nullptr) epilogue.sink(epilogue.sink_context, {row, channel, rows, columns, results, y_stride});
}

}  // namespace
}  // namespace dnateq::kernels
