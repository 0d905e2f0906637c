// Signed counters of exponents by popcounts of 512 pairs at once.
//
// The obvious way makes a mask of each value of i + j, splits it by sign and counts both: 2 * (2^(n+1) - 1) popcounts
// after as many ands. This one counts the Walsh functions of the value's bits instead: for each subset u of the bits,
//
//   a(u) = sum s * (-1)^(bits of the value in u) = pairs - 2 * popcount(sign ^ those bits),
//
// which takes one exclusive or (subsets in Gray order differ by one bit) and one popcount a subset, the sign included:
// half as many. The counters are the inverse transform, once a product, exact in integers.
#include <immintrin.h>

#include "kernels/counting_kernel.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kPlane = 64;

// One block's planes where neither code is zero; elsewhere every bit is zero and adds nothing to any popcount.
template <int kBits>
struct Pairs {
  __m512i present, sign, x[kBits], w[kBits];
  inline __attribute__((always_inline)) Pairs(const uint8_t* at_x, const uint8_t* at_w) {
    present = _mm512_and_si512(plane(at_x, kBits + 1), plane(at_w, kBits + 1));
    sign = _mm512_ternarylogic_epi64(plane(at_x, kBits), plane(at_w, kBits), present, 0x28);  // (a ^ b) & c
    for (int bit = 0; bit < kBits; ++bit) {
      x[bit] = _mm512_and_si512(plane(at_x, bit), present);
      w[bit] = _mm512_and_si512(plane(at_w, bit), present);
    }
  }
  static inline __attribute__((always_inline)) __m512i plane(const uint8_t* block, int index) {
    return _mm512_load_si512(block + kPlane * static_cast<size_t>(index));
  }
  // The bits of i + j.
  inline __attribute__((always_inline)) void add(__m512i (&sum)[kBits + 1]) const {
    __m512i carry = _mm512_and_si512(x[0], w[0]);
    sum[0] = _mm512_xor_si512(x[0], w[0]);
    for (int bit = 1; bit < kBits; ++bit) {
      sum[bit] = _mm512_ternarylogic_epi64(x[bit], w[bit], carry, 0x96);
      carry = _mm512_ternarylogic_epi64(x[bit], w[bit], carry, 0xE8);
    }
    sum[kBits] = carry;
  }
};

// counts[u] += popcount of start ^ (the bits of u), for all subsets u.
template <int kBits>
inline __attribute__((always_inline)) void add_walsh(__m512i start, const __m512i* bits, __m512i* counts) {
  __m512i parity = start;
#pragma GCC unroll 16
  for (unsigned step = 0; step < 1U << kBits; ++step) {
    if (step > 0) parity = _mm512_xor_si512(parity, bits[__builtin_ctz(step)]);
    const unsigned subset = step ^ step >> 1;
    counts[subset] = _mm512_add_epi64(counts[subset], _mm512_popcnt_epi64(parity));
  }
}

// The inverse transform but for its factor, in every lane for itself.
template <int kBits>
inline __attribute__((always_inline)) void transform(__m512i* v) {
#pragma GCC unroll 4
  for (int bit = 0; bit < kBits; ++bit)
#pragma GCC unroll 16
    for (int u = 0; u < 1 << kBits; ++u)
      if ((u >> bit & 1) == 0) {
        const __m512i low = v[u], high = v[u + (1 << bit)];
        v[u] = _mm512_add_epi64(low, high);
        v[u + (1 << bit)] = _mm512_sub_epi64(low, high);
      }
}

// Lane i: the sum of v[i]'s lanes.
inline __attribute__((always_inline)) __m512i sums_of_lanes(const __m512i* v) {
  __m512i pairs[4], fours[2];
  for (int i = 0; i < 4; ++i)
    pairs[i] =
        _mm512_add_epi64(_mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
  const auto halves = [](__m512i a, __m512i b) __attribute__((always_inline)) {
    return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xDD));
  };
  for (int i = 0; i < 2; ++i) fours[i] = halves(pairs[2 * i], pairs[2 * i + 1]);
  return halves(fours[0], fours[1]);
}

// The products of one task: sixteen accumulators at a time, what the registers hold beside the planes.
template <int kBits>
class Counting {
 public:
  Counting(const CountingTask& task, const CountingResult& result) : task_(task), result_(result) {}

  void run(bool one_term) {
    constexpr int kValues = 1 << kBits;  // of i or j; i + j has twice as many, less one
    alignas(64) int64_t found[2 * kValues < 8 ? 8 : 2 * kValues];
    if constexpr (kBits < 4) {
      pass<kBits + 1>(
          found, [](const Pairs<kBits>& pairs, __m512i* counts) __attribute__((always_inline)) {
            __m512i sum[kBits + 1];
            pairs.add(sum);
            add_walsh<kBits + 1>(pairs.sign, sum, counts);
          });
    } else {  // the subsets without the highest bit, those with it, and the transform's last step
      pass<kBits>(
          found, [](const Pairs<kBits>& pairs, __m512i* counts) __attribute__((always_inline)) {
            __m512i sum[kBits + 1];
            pairs.add(sum);
            add_walsh<kBits>(pairs.sign, sum, counts);
          });
      pass<kBits>(
          found + kValues, [](const Pairs<kBits>& pairs, __m512i* counts) __attribute__((always_inline)) {
            __m512i sum[kBits + 1];
            pairs.add(sum);
            add_walsh<kBits>(_mm512_xor_si512(pairs.sign, sum[kBits]), sum, counts);
          });
      for (int u = 0; u < kValues; ++u) {
        const int64_t low = found[u], high = found[u + kValues];
        found[u] = low + high;
        found[u + kValues] = low - high;
      }
    }
    set_counters<kBits + 1>(found, result_.sums, 2 * kValues - 1);
    if (one_term) return;
    pass<kBits>(
        found, [](const Pairs<kBits>& pairs, __m512i* counts)
                   __attribute__((always_inline)) { add_walsh<kBits>(pairs.sign, pairs.x, counts); });
    set_counters<kBits>(found, result_.x, kValues);
    pass<kBits>(
        found, [](const Pairs<kBits>& pairs, __m512i* counts)
                   __attribute__((always_inline)) { add_walsh<kBits>(pairs.sign, pairs.w, counts); });
    set_counters<kBits>(found, result_.w, kValues);
    *result_.signs = 0;
    for (int i = 0; i < kValues; ++i) *result_.signs += result_.x[i];
  }

 private:
  // All blocks once; sets pairs_ and `transformed`: the popcounts of the subsets, transformed, 8 or more of them.
  template <int kSubsetBits, typename Add>
  void pass(int64_t* transformed, Add add) {
    constexpr size_t kBlock = kPlane * (kBits + 2);
    constexpr int kSubsets = 1 << kSubsetBits, kVectors = kSubsets < 8 ? 8 : kSubsets;
    __m512i counts[kVectors], present = _mm512_setzero_si512();
    for (__m512i& count : counts) count = _mm512_setzero_si512();
    for (size_t block = 0; block < task_.blocks; ++block) {
      const Pairs<kBits> pairs(task_.x + block * kBlock, task_.w + block * kBlock);
      present = _mm512_add_epi64(present, _mm512_popcnt_epi64(pairs.present));
      add(pairs, counts);
    }
    transform<kSubsetBits>(counts);
    for (int u = 0; u < kVectors; u += 8) _mm512_store_si512(transformed + u, sums_of_lanes(counts + u));
    pairs_ = _mm512_reduce_add_epi64(present);
  }

  // The inverse transform of a(u) = pairs - 2 * popcount(u): of the constant `pairs` it leaves value 0 only.
  template <int kSubsetBits>
  void set_counters(const int64_t* transformed, int64_t* counters, int used) const {
    for (int value = 0; value < used; ++value) counters[value] = -(transformed[value] >> (kSubsetBits - 1));
    counters[0] += pairs_;
  }

  const CountingTask& task_;
  const CountingResult& result_;
  int64_t pairs_ = 0;
};

}  // namespace

void count_avx512(const CountingTask& task, bool one_term, const CountingResult& result) {
  if (task.exponent_bits == 2) return Counting<2>(task, result).run(one_term);
  if (task.exponent_bits == 3) return Counting<3>(task, result).run(one_term);
  Counting<4>(task, result).run(one_term);
}

}  // namespace dnateq::kernels
