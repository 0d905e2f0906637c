#include <immintrin.h>

#include "kernels/encoder_kernel.h"

namespace dnateq::kernels {
namespace {

// What the tables hold for 16 * kVectors places, in registers where they are few: the stores of levels might change
// what a reference leads to, as bytes alias everything, and copying all tables takes as long as encoding 500 values.
template <int kVectors, bool kWide>
struct Tables {
  static constexpr int kByteVectors = kVectors == 2 ? 1 : 4;
  __m512i thresholds[kVectors], first_place[kWide ? 4 : 2], magnitudes[kByteVectors];
  __m512 top, cell_scale;
  __m512i last_place[2];

  explicit Tables(const EncoderTables& tables)
      : top(_mm512_set1_ps(tables.top)), cell_scale(_mm512_set1_ps(tables.cell_scale)) {
    for (int i = 0; i < kVectors; ++i) thresholds[i] = _mm512_load_si512(tables.thresholds + 16 * i);
    for (int i = 0; i < (kWide ? 4 : 2); ++i) first_place[i] = _mm512_load_si512(tables.first_place + 64 * i);
    for (int i = 0; i < kByteVectors; ++i) magnitudes[i] = _mm512_load_si512(tables.magnitudes + 64 * i);
    for (int i = 0; i < 2; ++i) last_place[i] = _mm512_set1_epi8(static_cast<char>(tables.last_place[i]));
  }
};

// Table entries by the low bits of 32-bit lanes; kVectors of 16 entries each.
template <int kVectors>
inline __attribute__((always_inline)) __m512i look_up_words(const __m512i* table, __m512i index) {
  if constexpr (kVectors == 2) {
    return _mm512_permutex2var_epi32(table[0], index, table[1]);
  } else {
    constexpr int kHalf = kVectors / 2;
    const __mmask16 upper = _mm512_test_epi32_mask(index, _mm512_set1_epi32(16 * kHalf));
    return _mm512_mask_blend_epi32(upper, look_up_words<kHalf>(table, index),
                                   look_up_words<kHalf>(table + kHalf, index));
  }
}

inline __attribute__((always_inline)) __m512i look_up_128_bytes(const __m512i* table, __m512i index) {
  return _mm512_permutex2var_epi8(table[0], index, table[1]);
}

inline __attribute__((always_inline)) __m512i look_up_256_bytes(const __m512i* table, __m512i index) {
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), look_up_128_bytes(table, index),
                                look_up_128_bytes(table + 2, index));
}

// Comparing floats is comparing their bits here: the least threshold is normal, so it does not matter whether denormals
// are read as zero, and NaN reaches no threshold. The same is true of the cell, whose rounding stands in the code.
template <int kVectors, bool kWide>
inline __attribute__((always_inline)) __m512i places(const Tables<kVectors, kWide>& tables, __m512i bits) {
  const __m512 magnitude = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)));
  const __m512 number = _mm512_max_ps(magnitude, _mm512_setzero_ps());  // the second operand where one is NaN
  const __m512 clamped = _mm512_min_ps(number, tables.top);
  const __m512i cell = _mm512_castps_si512(_mm512_fmadd_round_ps(clamped, tables.cell_scale, _mm512_set1_ps(kCellMagic),
                                                                 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  constexpr __mmask64 kLowBytes = 0x1111111111111111;
  const __m512i first = _mm512_maskz_mov_epi8(
      kLowBytes, kWide ? look_up_256_bytes(tables.first_place, cell) : look_up_128_bytes(tables.first_place, cell));
  const __m512 next = _mm512_castsi512_ps(look_up_words<kVectors>(tables.thresholds, first));
  const __mmask16 reached = _mm512_cmp_ps_mask(magnitude, next, _CMP_GE_OQ);
  return _mm512_mask_add_epi32(first, reached, first, _mm512_set1_epi32(1));
}

// Levels of 64 values in their order; lanes whose mask is zero are zero.
template <int kVectors, bool kWide, bool kWhole>
inline __attribute__((always_inline)) __m512i levels_of_block(const Tables<kVectors, kWide>& tables, const float* x,
                                                              __mmask64 lanes) {
  __m512i bits[4], place[4];
  for (int part = 0; part < 4; ++part) {
    const auto mask = static_cast<__mmask16>(lanes >> (16 * part));
    bits[part] = kWhole ? _mm512_loadu_si512(x + 16 * part) : _mm512_maskz_loadu_epi32(mask, x + 16 * part);
    place[part] = places<kVectors, kWide>(tables, bits[part]);
  }
  const __m512i all = _mm512_packus_epi16(_mm512_packs_epi32(place[0], place[1]),  // places are at most 255
                                          _mm512_packs_epi32(place[2], place[3]));
  const __mmask64 negative = _mm512_movepi8_mask(  // saturation keeps the sign
      _mm512_packs_epi16(_mm512_packs_epi32(bits[0], bits[1]), _mm512_packs_epi32(bits[2], bits[3])));
  const __m512i last = _mm512_mask_blend_epi8(negative, tables.last_place[0], tables.last_place[1]);
  const __m512i place_of_side = _mm512_min_epu8(all, last);
  __m512i level;
  if constexpr (kVectors == 2)
    level = _mm512_permutexvar_epi8(place_of_side, tables.magnitudes[0]);
  else
    level = look_up_256_bytes(tables.magnitudes, place_of_side);
  level = _mm512_mask_sub_epi8(level, negative, _mm512_setzero_si512(), level);
  // The packs take four bytes of each vector by turns.
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), level);
}

template <int kVectors, bool kWide>
void encode_rows(const EncoderTables& tables, const EncoderRows& rows) {
  const Tables<kVectors, kWide> local(tables);
  const __m512i bias = _mm512_set1_epi8(tables.is_signed ? static_cast<char>(0x80) : 0);
  for (size_t row = 0; row < rows.rows; ++row) {
    const float* x = rows.x + row * rows.x_stride;
    uint8_t* levels = static_cast<uint8_t*>(rows.levels) + row * rows.levels_stride;
    __m512i sums = _mm512_setzero_si512();  // of level + 128 where signed: vpsadbw adds unsigned bytes
    size_t k = 0;
    for (; k + 64 <= rows.inputs; k += 64) {
      const __m512i level = levels_of_block<kVectors, kWide, true>(local, x + k, ~__mmask64{0});
      _mm512_storeu_si512(levels + k, level);
      sums = _mm512_add_epi64(sums, _mm512_sad_epu8(_mm512_xor_si512(level, bias), _mm512_setzero_si512()));
    }
    if (k < rows.inputs) {
      const __mmask64 lanes = (__mmask64{1} << (rows.inputs - k)) - 1;
      const __m512i level = levels_of_block<kVectors, kWide, false>(local, x + k, lanes);
      _mm512_mask_storeu_epi8(levels + k, lanes, level);
      sums = _mm512_add_epi64(sums, _mm512_sad_epu8(_mm512_xor_si512(level, bias), _mm512_setzero_si512()));
      k += 64;
    }
    if (rows.sums != nullptr)
      rows.sums[row] =
          static_cast<int32_t>(_mm512_reduce_add_epi64(sums) - (tables.is_signed ? 128 * static_cast<int64_t>(k) : 0));
  }
}

}  // namespace

void encode_avx512(const EncoderTables& tables, const EncoderRows& rows) {
  const bool wide = tables.cells > 128;
  if (tables.count < 32) return wide ? encode_rows<2, true>(tables, rows) : encode_rows<2, false>(tables, rows);
  if (tables.count < 64) return wide ? encode_rows<4, true>(tables, rows) : encode_rows<4, false>(tables, rows);
  wide ? encode_rows<16, true>(tables, rows) : encode_rows<16, false>(tables, rows);
}

}  // namespace dnateq::kernels
