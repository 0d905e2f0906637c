// count:nN,kK[,one]: one dot product of K elements of the L1 cache by exponent counting (four terms; one: beta = 0),
// beside INT8 in four qualities: a plain loop without and with vectorisation, VNNI on the same two vectors, and the
// VNNI GEMM, which reuses what it loads. Every figure includes the result: counters combined, lanes added. Planes and
// codes are ready made: a layer makes those of its inputs once for all its outputs.
#include <fmt/format.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <cstdio>
#include <random>

#include "core/isa.h"
#include "kernels/exponential.h"
#include "kernels/matmul.h"
#include "problems.h"
#include "turns.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dnateq::bench {

int32_t dot_scalar(const int8_t* x, const int8_t* w, size_t count);
#if defined(__x86_64__)
int32_t dot_avx2(const int8_t* x, const int8_t* w, size_t count);
int32_t dot_avx512(const int8_t* x, const int8_t* w, size_t count);
#endif

namespace {

#if defined(__x86_64__)
// x as levels + 128; four accumulators hide vpdpbusd's latency. Assembly, because g++ 12 copies accumulators around the
// intrinsic.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) int32_t dot_vnni(const uint8_t* x, const int8_t* w, size_t count,
                                                                        int32_t w_sum) {
  __m512i sums[4] = {};
  for (size_t k = 0; k < count; k += 256)
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i)
      asm("vpdpbusd %2, %1, %0"
          : "+v"(sums[i])
          : "v"(_mm512_loadu_si512(x + k + 64 * i)), "m"(*reinterpret_cast<const __m512i_u*>(w + k + 64 * i)));
  const __m512i all = _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]));
  alignas(64) int32_t lanes[16];
  _mm512_store_si512(lanes, all);
  int32_t sum = -128 * w_sum;
  for (const int32_t lane : lanes) sum += lane;
  return sum;
}
#endif

TensorCode curve(int n, double top, double beta) {
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.family = Family::kSharedBase;
  code.stored_bits = n + 1;
  code.positive_levels = code.negative_levels = (1 << n) - 1;
  code.base = 1.5;
  code.beta = beta;
  code.alpha = (top - beta) / std::pow(code.base, code.positive_levels - 1);
  return code;
}

}  // namespace

bool count(const std::string& problem) {
  int n = 0;
  size_t k = 0;
  const bool one = problem.ends_with(",one");
  if (std::sscanf(problem.c_str(), "count:n%d,k%zu", &n, &k) != 2 || n < 2 || n > 4 || k == 0 || k > 65536) {
    fmt::print(stderr, "{}: write it as count:n3,k4096[,one], 2 to 4 exponent bits, up to 65536 elements\n", problem);
    return false;
  }
  const TensorCode code_x = curve(n, 3, one ? 0 : 0.05), code_w = curve(n, 0.2, one ? 0 : 0.01);
  const kernels::SharedBase codes(code_x, code_w);
  std::mt19937 random(7);
  std::vector<uint8_t> x(k), w(k);
  for (std::vector<uint8_t>* tensor : {&x, &w})
    for (uint8_t& c : *tensor) c = static_cast<uint8_t>(random() % ((2U << n) - 1));
  const size_t padded = (k + 255) / 256 * 256;  // dot_vnni takes 256 at a time
  std::vector<int8_t> x8(padded), w8(padded);
  std::vector<uint8_t> x8_biased(padded, 128);
  int32_t w8_sum = 0;
  for (size_t i = 0; i < k; ++i) {
    x8[i] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    w8[i] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    x8_biased[i] = static_cast<uint8_t>(x8[i] + 128);
    w8_sum += w8[i];
  }

  kernels::ExponentCounters expected, counters;
  kernels::count_scalar(codes, x, w, expected);
  const double reference = kernels::dot_of_levels(codes, x, w);
  volatile double value = 0;  // results are used
  volatile int32_t sum = 0;
  bool right = std::abs(codes.combine(expected).sum - reference) <= 1e-6 * codes.combine(expected).terms;

  struct Competitor {
    std::string name;
    std::function<void()> work;
    double elements;
  };
  std::vector<Competitor> all;
  const auto elements = static_cast<double>(k);
  const auto add = [&](const char* name, std::function<void()> work) {
    all.push_back({name, std::move(work), elements});
  };
  std::vector<kernels::ExponentPlanes> planes;
  if (kernels::counts_planes()) {
    planes.emplace_back(code_x, n, x);
    planes.emplace_back(code_w, n, w);
    kernels::ExponentCounters found;
    kernels::count_planes(planes[0], planes[1], one, found);
    right = right && found == expected;
    add("counting AVX-512", [&] {
      kernels::count_planes(planes[0], planes[1], one, counters);
      value = codes.combine(counters).sum;
    });
  }
  add("counting scalar", [&] {
    kernels::count_scalar(codes, x, w, counters);
    value = codes.combine(counters).sum;
  });
  add("INT8 scalar", [&] { sum = dot_scalar(x8.data(), w8.data(), k); });
#if defined(__x86_64__)
  const int32_t dot = dot_scalar(x8.data(), w8.data(), k);
  if (cpu().avx2) {
    right = right && dot_avx2(x8.data(), w8.data(), k) == dot;
    add("INT8 vectorised AVX2", [&] { sum = dot_avx2(x8.data(), w8.data(), k); });
  }
  if (cpu().avx512) {
    right = right && dot_avx512(x8.data(), w8.data(), k) == dot;
    add("INT8 vectorised AVX-512", [&] { sum = dot_avx512(x8.data(), w8.data(), k); });
  }
  if (cpu().avx512_vnni) {
    right = right && dot_vnni(x8_biased.data(), w8.data(), padded, w8_sum) == dot;
    add("INT8 VNNI", [&] { sum = dot_vnni(x8_biased.data(), w8.data(), padded, w8_sum); });
  }
#endif
  constexpr size_t kRows = 96, kChannels = 64;
  std::vector<int> levels(256);
  for (int i = 1; i < 256; ++i)
    levels[static_cast<size_t>(i)] = std::max(static_cast<int>(static_cast<int8_t>(i)), -127);
  std::vector<uint8_t> weights(kChannels * k);
  for (uint8_t& level : weights) level = static_cast<uint8_t>(static_cast<int>(random() % 255) - 127);
  const kernels::PackedWeights packed(weights, kChannels, k, 8, levels);
  std::vector<int8_t> rows(kRows * k, 3);
  std::vector<int32_t> sums(kRows * kChannels);
  kernels::Epilogue epilogue;
  epilogue.sums = sums.data();
  epilogue.stride = kChannels;
  tbb::task_arena alone(1);
  all.push_back({"INT8 GEMM",
                 [&] { alone.execute([&] { matmul(packed, kernels::Activations(rows.data(), kRows, k), epilogue); }); },
                 elements * kRows * kChannels});
  if (!right) {
    fmt::print(stderr, "{}: wrong\n", problem);
    return false;
  }

  std::vector<std::function<void()>> works;
  works.reserve(all.size());
  for (const Competitor& competitor : all) works.push_back(competitor.work);
  const std::vector<double> medians = by_turns(works, repeats_for(works));
  const double ours = medians[0] / elements;
  fmt::print("{}: ns per element, and counting's speed over it\n", problem);
  for (size_t i = 0; i < all.size(); ++i) {
    const double each = medians[i] / all[i].elements;
    fmt::print("  {:24} {:8.4f} {:7.2f}x\n", all[i].name, each * 1e9, each / ours);
  }
  return true;
}

}  // namespace dnateq::bench
