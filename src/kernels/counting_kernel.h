// What the sliced counting unit, compiled for its own instruction set, shares with exponential.cc: plain data.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dnateq::kernels {

struct CountingTask {  // planes as exponential.h lays them out
  const uint8_t *x, *w;
  size_t blocks;
  int exponent_bits;  // 2 to 4
};

struct CountingResult {  // ExponentCounters
  int64_t *sums, *x, *w, *signs;
};

#if defined(__x86_64__)
void count_avx512(const CountingTask& task, bool one_term, const CountingResult& result);
#endif

}  // namespace dnateq::kernels
