// 4 rows x 32 channels at a time: the bytes of two taps interleaved, widened to 16 bits, vpdpwssd. Exact: a pair of
// products is at most 2 * 255 * 16320. Levels are loaded once for the 4 rows.
#include "kernels/avx512_common.h"
#include "kernels/depthwise_kernel.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kRows = 4, kColumns = 64;  // of a block of sums

inline __attribute__((always_inline)) void dot_pairs(__m512i& sum, __m512i x, __m512i levels) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(levels));
}

template <bool kSigned>
inline __attribute__((always_inline)) __m512i widened(__m256i bytes) {
  return kSigned ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
}

inline __attribute__((always_inline)) __m256i load_channels(const uint8_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

// rows[i]: the first of 32 channels. sums: 64 a row.
template <bool kSigned, int kCount>
void multiply_block(const DepthwiseTask& task, const uint8_t* const* rows, size_t channel, int32_t* sums) {
  const int16_t* levels = task.levels + channel / kDepthwiseBlock * task.pairs * 2 * kDepthwiseBlock;
  __m512i low[kCount], high[kCount];  // octets 0, 2 and 1, 3
  for (int i = 0; i < kCount; ++i) low[i] = high[i] = _mm512_setzero_si512();
  for (size_t pair = 0; pair < task.pairs; ++pair, levels += 2 * kDepthwiseBlock) {
    const __m512i low_levels = _mm512_loadu_si512(levels), high_levels = _mm512_loadu_si512(levels + kDepthwiseBlock);
    const size_t first = task.taps[2 * pair] + channel, second = task.taps[2 * pair + 1] + channel;
    for (int i = 0; i < kCount; ++i) {
      const __m256i a = load_channels(rows[i] + first), b = load_channels(rows[i] + second);
      dot_pairs(low[i], widened<kSigned>(_mm256_unpacklo_epi8(a, b)), low_levels);
      dot_pairs(high[i], widened<kSigned>(_mm256_unpackhi_epi8(a, b)), high_levels);
    }
  }
  for (int i = 0; i < kCount; ++i, sums += kColumns) {
    _mm512_storeu_si512(sums, _mm512_shuffle_i32x4(low[i], high[i], 0x44));
    _mm512_storeu_si512(sums + 16, _mm512_shuffle_i32x4(low[i], high[i], 0xEE));
  }
}

template <bool kSigned, int kCount>
void run_rows(const DepthwiseTask& task, size_t row) {
  const uint8_t* rows[kCount];
  for (size_t i = 0; i < kCount; ++i) rows[i] = task.x + task.rows[row + i].offset;
  for (size_t channel = 0; channel < task.channels; channel += kColumns) {
    alignas(64) int32_t sums[kCount * kColumns];
    const size_t columns = task.channels - channel < kColumns ? task.channels - channel : kColumns;
    for (size_t n = 0; n < columns; n += kDepthwiseBlock)
      multiply_block<kSigned, kCount>(task, rows, channel + n, sums + n);
    finish_block(*task.epilogue, sums, kColumns, row, kCount, channel, columns);
  }
}

template <bool kSigned>
void run_depthwise(const DepthwiseTask& task) {
  size_t row = 0;
  for (; row + kRows <= task.m; row += kRows) run_rows<kSigned, kRows>(task, row);
  for (; row < task.m; ++row) run_rows<kSigned, 1>(task, row);
}

}  // namespace

void run_depthwise_vnni(const DepthwiseTask& task) {
  task.x_signed ? run_depthwise<true>(task) : run_depthwise<false>(task);
}

}  // namespace dnateq::kernels
