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

// From popcounts to counters: values 0 ... 2^kBits - 1, added to `counters`, of which `used` exist.
template <int kBits>
void add_counters(const int64_t* popcounts, int64_t pairs, int64_t* counters, int used) {
  constexpr int kSize = 1 << kBits;
  int64_t a[kSize];
  for (int u = 0; u < kSize; ++u) a[u] = pairs - 2 * popcounts[u];
  for (int half = 1; half < kSize; half *= 2)
    for (int u = 0; u < kSize; ++u)
      if ((u & half) == 0) {
        const int64_t low = a[u], high = a[u + half];
        a[u] = low + high;
        a[u + half] = low - high;
      }
  for (int value = 0; value < used; ++value) counters[value] += a[value] >> kBits;
}

// The products of one task: sixteen accumulators at most at a time, what the registers hold beside the planes.
template <int kBits>
class Counting {
 public:
  Counting(const CountingTask& task, const CountingResult& result) : task_(task), result_(result) {}

  void run(bool one_term) {
    constexpr int kSubsets = 1 << (kBits + 1);
    int64_t popcounts[kSubsets];
    if constexpr (kBits < 4) {
      pass<kBits + 1>(
          popcounts, [](const Pairs<kBits>& pairs, __m512i* counts) __attribute__((always_inline)) {
            __m512i sum[kBits + 1];
            pairs.add(sum);
            add_walsh<kBits + 1>(pairs.sign, sum, counts);
          });
    } else {
      pass<kBits>(
          popcounts, [](const Pairs<kBits>& pairs, __m512i* counts) __attribute__((always_inline)) {
            __m512i sum[kBits + 1];
            pairs.add(sum);
            add_walsh<kBits>(pairs.sign, sum, counts);
          });
      pass<kBits>(
          popcounts + kSubsets / 2, [](const Pairs<kBits>& pairs, __m512i* counts) __attribute__((always_inline)) {
            __m512i sum[kBits + 1];
            pairs.add(sum);
            add_walsh<kBits>(_mm512_xor_si512(pairs.sign, sum[kBits]), sum, counts);
          });
    }
    add_counters<kBits + 1>(popcounts, pairs_, result_.sums, kSubsets - 1);
    if (one_term) return;
    *result_.signs += pairs_ - 2 * popcounts[0];
    pass<kBits>(
        popcounts, [](const Pairs<kBits>& pairs, __m512i* counts)
                       __attribute__((always_inline)) { add_walsh<kBits>(pairs.sign, pairs.x, counts); });
    add_counters<kBits>(popcounts, pairs_, result_.x, 1 << kBits);
    pass<kBits>(
        popcounts, [](const Pairs<kBits>& pairs, __m512i* counts)
                       __attribute__((always_inline)) { add_walsh<kBits>(pairs.sign, pairs.w, counts); });
    add_counters<kBits>(popcounts, pairs_, result_.w, 1 << kBits);
  }

 private:
  // All blocks once; `popcounts` and pairs_ are set.
  template <int kSubsetBits, typename Add>
  void pass(int64_t* popcounts, Add add) {
    constexpr size_t kBlock = kPlane * (kBits + 2);
    __m512i counts[1 << kSubsetBits], present = _mm512_setzero_si512();
    for (__m512i& count : counts) count = _mm512_setzero_si512();
    for (size_t block = 0; block < task_.blocks; ++block) {
      const Pairs<kBits> pairs(task_.x + block * kBlock, task_.w + block * kBlock);
      present = _mm512_add_epi64(present, _mm512_popcnt_epi64(pairs.present));
      add(pairs, counts);
    }
    for (int u = 0; u < 1 << kSubsetBits; ++u) popcounts[u] = _mm512_reduce_add_epi64(counts[u]);
    pairs_ = _mm512_reduce_add_epi64(present);
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
