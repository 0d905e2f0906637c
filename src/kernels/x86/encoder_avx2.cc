#include <immintrin.h>

#include "kernels/encoder_kernel.h"

namespace dnateq::kernels {
namespace {

// Eight values' bits, zeros past the end: the row may end anywhere.
inline __m256i load(const float* x, size_t left) {
  if (left >= 8) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_epi32(reinterpret_cast<const int*>(x),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(left)), index));
}

inline __m256i magnitude_of(__m256i bits) { return _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF)); }

// Eight values' places as the number of thresholds up to them: up to 32, two instructions each.
class Compare {
 public:
  explicit Compare(const EncoderTables& tables) : count_(tables.count) {
    for (size_t i = 0; i < count_; ++i)  // x >= t is x > t - 1 in integers
      below_[i] = _mm256_set1_epi32(static_cast<int>(tables.thresholds[i] - 1));
    for (size_t half = 0; half < 2; ++half)
      by_place_[half] =
          _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(tables.magnitudes + 16 * half)));
    last_ = _mm256_set1_epi8(static_cast<char>(tables.magnitudes[32]));
  }
  void places(const __m256i (&bits)[4], __m256i (&place)[4]) const {
    __m256i magnitude[4];
    for (int part = 0; part < 4; ++part) {
      const __m256i any = magnitude_of(bits[part]), nan = _mm256_cmpgt_epi32(any, _mm256_set1_epi32(0x7F800000));
      magnitude[part] = _mm256_andnot_si256(nan, any);
      place[part] = _mm256_setzero_si256();
    }
    for (size_t i = 0; i < count_; ++i) {
      const __m256i below = below_[i];
#pragma GCC unroll 4
      for (int part = 0; part < 4; ++part)
        place[part] = _mm256_sub_epi32(place[part], _mm256_cmpgt_epi32(magnitude[part], below));
    }
  }
  __m256i magnitudes(__m256i place) const {  // vpshufb reads the low four bits
    const __m256i low = _mm256_shuffle_epi8(by_place_[0], place), high = _mm256_shuffle_epi8(by_place_[1], place);
    const __m256i below_32 = _mm256_blendv_epi8(low, high, _mm256_cmpgt_epi8(place, _mm256_set1_epi8(15)));
    return _mm256_blendv_epi8(below_32, last_, _mm256_cmpeq_epi8(place, _mm256_set1_epi8(32)));
  }

 private:
  size_t count_;
  __m256i below_[32], by_place_[2], last_;
};

// By cell, as the AVX-512 encoder does, with gathers for its permutations.
class Gather {
 public:
  explicit Gather(const EncoderTables& tables) : tables_(&tables) {}
  void places(const __m256i (&bits)[4], __m256i (&place)[4]) const {
    for (int part = 0; part < 4; ++part) place[part] = places(bits[part]);
  }
  __m256i magnitudes(__m256i place) const {
    alignas(32) uint8_t bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), place);
    for (uint8_t& byte : bytes) byte = tables_->magnitudes[byte];
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
  }

 private:
  __m256i places(__m256i bits) const {
    const __m256 magnitude = _mm256_castsi256_ps(magnitude_of(bits));
    const __m256 number = _mm256_max_ps(magnitude, _mm256_setzero_ps());  // the second operand where one is NaN
    const __m256 clamped = _mm256_min_ps(number, _mm256_set1_ps(tables_->top));
    const __m256 cell = _mm256_fmadd_ps(clamped, _mm256_set1_ps(tables_->cell_scale), _mm256_set1_ps(kCellMagic));
    const __m256i first = bytes_at(tables_->first_place, _mm256_castps_si256(cell));
    const __m256i next = _mm256_i32gather_epi32(reinterpret_cast<const int*>(tables_->thresholds), first, 4);
    const __m256 reached = _mm256_cmp_ps(magnitude, _mm256_castsi256_ps(next), _CMP_GE_OQ);
    return _mm256_sub_epi32(first, _mm256_castps_si256(reached));
  }
  static __m256i bytes_at(const uint8_t* table, __m256i index) {
    const __m256i low = _mm256_set1_epi32(0xFF);
    return _mm256_and_si256(
        _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), _mm256_and_si256(index, low), 1), low);
  }
  const EncoderTables* tables_;
};

// Levels of up to 32 values in their order, zeros past the end.
template <typename Method>
inline __m256i levels_of_block(const EncoderTables& tables, const Method& method, const float* x, size_t left) {
  __m256i bits[4], place[4];
  for (size_t part = 0; part < 4; ++part)
    bits[part] = left > 8 * part ? load(x + 8 * part, left - 8 * part) : _mm256_setzero_si256();
  method.places(bits, place);
  const __m256i all =
      _mm256_packus_epi16(_mm256_packs_epi32(place[0], place[1]), _mm256_packs_epi32(place[2], place[3]));
  const __m256i signs =  // saturation keeps them
      _mm256_packs_epi16(_mm256_packs_epi32(bits[0], bits[1]), _mm256_packs_epi32(bits[2], bits[3]));
  const __m256i last = _mm256_blendv_epi8(_mm256_set1_epi8(static_cast<char>(tables.last_place[0])),
                                          _mm256_set1_epi8(static_cast<char>(tables.last_place[1])), signs);
  const __m256i magnitude = method.magnitudes(_mm256_min_epu8(all, last));
  const __m256i level = _mm256_blendv_epi8(magnitude, _mm256_sub_epi8(_mm256_setzero_si256(), magnitude), signs);
  return _mm256_permutevar8x32_epi32(level, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));  // the packs' order
}

template <typename Method>
void encode_rows(const EncoderTables& tables, const EncoderRows& rows) {
  const Method method(tables);
  const __m256i bias = _mm256_set1_epi8(tables.is_signed ? static_cast<char>(0x80) : 0);
  for (size_t row = 0; row < rows.rows; ++row) {
    const float* x = rows.x + row * rows.x_stride;
    uint8_t* levels = static_cast<uint8_t*>(rows.levels) + row * rows.levels_stride;
    __m256i sums = _mm256_setzero_si256();  // of level + 128 where signed: vpsadbw adds unsigned bytes
    size_t k = 0;
    for (; k < rows.inputs; k += 32) {
      const size_t left = rows.inputs - k;
      const __m256i level = levels_of_block(tables, method, x + k, left);
      sums = _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_xor_si256(level, bias), _mm256_setzero_si256()));
      if (left >= 32) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(levels + k), level);
      } else {
        alignas(32) uint8_t block[32];
        _mm256_store_si256(reinterpret_cast<__m256i*>(block), level);
        for (size_t i = 0; i < left; ++i) levels[k + i] = block[i];
      }
    }
    alignas(32) int64_t parts[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(parts), sums);
    const int64_t sum = parts[0] + parts[1] + parts[2] + parts[3];
    if (rows.sums != nullptr)
      rows.sums[row] = static_cast<int32_t>(sum - (tables.is_signed ? 128 * static_cast<int64_t>(k) : 0));
  }
}

}  // namespace

void encode_avx2_compare(const EncoderTables& tables, const EncoderRows& rows) { encode_rows<Compare>(tables, rows); }
void encode_avx2_gather(const EncoderTables& tables, const EncoderRows& rows) { encode_rows<Gather>(tables, rows); }

}  // namespace dnateq::kernels
