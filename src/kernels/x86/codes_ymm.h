// Codes and their levels in 256-bit vectors, half a line (32 bytes) of a unit at a time. Private: included by units
// that are compiled for different instruction sets, so that all is local to the unit.
#pragma once

#include <immintrin.h>

#include "kernels/matmul_kernel.h"
#include "kernels/packed_weights.h"

namespace dnateq::kernels {
namespace {

inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
inline __m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline void store(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

inline __m256i broadcast_quad(const uint8_t* bytes) {
  int quad;
  __builtin_memcpy(&quad, bytes, 4);
  return _mm256_set1_epi32(quad);
}
inline __m256i bytes_of(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }

template <int kBits>
__m256i right(__m256i line) {
  return _mm256_srli_epi16(line, kBits);
}

// Calls use(v, codes) for the 8 vectors of half a unit, as unpack_unit() defines them. Codes of up to 4 bits have
// neighbours' bits above them, up to bit 3 or, where it costs nothing, bit 6; wider ones have none.
template <int kBits, typename Use>
inline __attribute__((always_inline)) void for_codes(const uint8_t* unit, const Use& use) {
  const auto line = [&](size_t i) __attribute__((always_inline)) { return load(unit + i * kLineBytes); };
  const auto bits = [](__m256i value, int mask) __attribute__((always_inline)) {
    return _mm256_and_si256(value, bytes_of(mask));
  };
  const auto either = [](__m256i a, __m256i b) __attribute__((always_inline)) { return _mm256_or_si256(a, b); };
  // The two highest bits of three lines, side by side.
  const auto spare = [&](__m256i a, __m256i b, __m256i c) __attribute__((always_inline)) {
    return either(bits(right<6>(a), 0x03), either(bits(right<4>(b), 0x0C), bits(right<2>(c), 0x30)));
  };
  if constexpr (kBits == 2) {
    const auto four = [&](int v, __m256i all) __attribute__((always_inline)) {
      use(v, bits(all, 0x0F));
      use(v + 1, bits(right<2>(all), 0x0F));
      use(v + 2, bits(right<4>(all), 0x0F));
      use(v + 3, bits(right<6>(all), 0x0F));
    };
    four(0, line(0));
    four(4, line(1));
  } else if constexpr (kBits == 3) {
    const __m256i a = line(0), b = line(1), c = line(2);
    use(0, bits(a, 0x0F));
    use(1, bits(right<3>(a), 0x0F));
    use(2, bits(b, 0x0F));
    use(3, bits(right<3>(b), 0x0F));
    use(4, bits(c, 0x0F));
    use(5, bits(right<3>(c), 0x0F));
    const __m256i rest = spare(a, b, c);
    use(6, rest);
    use(7, bits(right<3>(rest), 0x0F));
  } else if constexpr (kBits == 4) {
    const auto two = [&](int v, __m256i both) __attribute__((always_inline)) {
      use(v, bits(both, 0x0F));
      use(v + 1, bits(right<4>(both), 0x0F));
    };
    two(0, line(0));
    two(2, line(1));
    two(4, line(2));
    two(6, line(3));
  } else if constexpr (kBits == 5) {
    const __m256i a = line(0), b = line(1), c = line(2), d = line(3), e = line(4);
    use(0, bits(a, 0x1F));
    use(1, bits(b, 0x1F));
    use(2, bits(c, 0x1F));
    use(3, bits(d, 0x1F));
    use(4, bits(e, 0x1F));
    use(5, either(bits(right<5>(a), 0x07), bits(right<2>(d), 0x18)));
    use(6, either(bits(right<5>(b), 0x07), bits(right<2>(e), 0x18)));
    use(7, either(bits(right<5>(c), 0x07), either(bits(right<4>(d), 0x08), bits(right<3>(e), 0x10))));
  } else if constexpr (kBits == 6) {
    const auto four = [&](int v, int last, __m256i a, __m256i b, __m256i c) __attribute__((always_inline)) {
      use(v, bits(a, 0x3F));
      use(v + 1, bits(b, 0x3F));
      use(v + 2, bits(c, 0x3F));
      use(last, spare(a, b, c));
    };
    four(0, 6, line(0), line(1), line(2));
    four(3, 7, line(3), line(4), line(5));
  } else {
    __m256i highest = _mm256_setzero_si256();  // bit 7 of line j becomes bit j
    const auto one = [&](int v) __attribute__((always_inline)) {
      const __m256i whole = line(static_cast<size_t>(v));
      use(v, bits(whole, 0x7F));
      highest = right<1>(either(highest, bits(whole, 0x80)));
    };
    one(0), one(1), one(2), one(3), one(4), one(5), one(6);
    use(7, highest);
  }
}

// A byte lookup sees 4 bits, and gives 0 where bit 7 is set. Of codes with more bits, the last 16 levels are looked up
// for all; what turns 16 levels into the 16 before them follows where the code is one of those or smaller, which an
// addition tells bit 7.
template <int kBits>
class Lookup {
 public:
  explicit Lookup(const int8_t* levels) {
    for (int i = kTables - 1; i >= 0; --i) {
      const __m256i own = sixteen(levels + 16 * i);
      tables_[i] = i == kTables - 1 ? own : _mm256_xor_si256(own, sixteen(levels + 16 * (i + 1)));
    }
  }
  // `codes`: as for_codes() gives them.
  inline __attribute__((always_inline)) __m256i operator[](__m256i codes) const {
    __m256i levels = _mm256_shuffle_epi8(tables_[kTables - 1], codes);
    for (int i = kTables - 2; i >= 0; --i) {
      const __m256i index = _mm256_add_epi8(codes, bytes_of(0x80 - 16 * (i + 1)));
      levels = _mm256_xor_si256(levels, _mm256_shuffle_epi8(tables_[i], index));
    }
    return levels;
  }

 private:
  static constexpr int kTables = kBits <= 4 ? 1 : 1 << (kBits - 4);

  static __m256i sixteen(const int8_t* levels) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)));
  }

  __m256i tables_[kTables];
};

}  // namespace
}  // namespace dnateq::kernels
