// 4 rows x 32 channels at a time: the bytes of two taps interleaved, widened to 16 bits, vpdpwssd. Exact: a pair of
// products is at most 2 * 255 * 16320. Levels are loaded once for the 4 rows.
#include "kernels/depthwise_kernel.h"
#include "kernels/x86/avx512_common.h"

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

// The sums of kCount rows x 32 channels; rows[i]: a row's first channel.
template <bool kSigned, int kCount>
inline __attribute__((always_inline)) void multiply_block(const DepthwiseTask& task,
                                                          const uint8_t* const (&rows)[kCount], size_t channel,
                                                          __m512i (&sums)[kCount][2]) {
  const int16_t* levels = task.levels + channel / kDepthwiseBlock * task.pairs * 2 * kDepthwiseBlock;
  __m512i low[kCount], high[kCount];  // octets 0, 2 and 1, 3
  unrolled<kCount>([&](int i) __attribute__((always_inline)) { low[i] = high[i] = _mm512_setzero_si512(); });
  for (size_t pair = 0; pair < task.pairs; ++pair, levels += 2 * kDepthwiseBlock) {
    const __m512i low_levels = _mm512_loadu_si512(levels), high_levels = _mm512_loadu_si512(levels + kDepthwiseBlock);
    const size_t first = task.taps[2 * pair] + channel, second = task.taps[2 * pair + 1] + channel;
    unrolled<kCount>([&](int i) __attribute__((always_inline)) {
      const __m256i a = load_channels(rows[i] + first), b = load_channels(rows[i] + second);
      dot_pairs(low[i], widened<kSigned>(_mm256_unpacklo_epi8(a, b)), low_levels);
      dot_pairs(high[i], widened<kSigned>(_mm256_unpackhi_epi8(a, b)), high_levels);
    });
  }
  unrolled<kCount>([&](int i) __attribute__((always_inline)) {
    sums[i][0] = _mm512_shuffle_i32x4(low[i], high[i], 0x44);
    sums[i][1] = _mm512_shuffle_i32x4(low[i], high[i], 0xEE);
  });
}

template <int kCount, Steps kSteps>
inline __attribute__((always_inline)) void store_block(const Epilogue& e, const __m512i (&sums)[kCount][2], size_t row,
                                                       size_t channel) {
  Columns columns[2];
  for (int j = 0; j < 2; ++j) {
    const size_t n = channel + 16 * static_cast<size_t>(j);
    columns[j].scale = e.channel_scale == nullptr ? _mm512_set1_ps(1) : _mm512_loadu_ps(e.channel_scale + n);
    columns[j].bias = e.bias == nullptr ? _mm512_set1_ps(-0.0F) : _mm512_loadu_ps(e.bias + n);
    columns[j].mask = 0xFFFF;
  }
  float* const values = e.values + row * e.stride + channel;
  const size_t stride = e.stride;
  unrolled<kCount>([&](int i) __attribute__((always_inline)) {
    const size_t m = static_cast<size_t>(i);
    unrolled<2>([&](int j) __attribute__((always_inline)) {
      const size_t n = 16 * static_cast<size_t>(j);
      _mm512_storeu_ps(values + m * stride + n,
                       finish<kSteps, Width::kWhole>(e, sums[i][j], columns[j], row + m, channel + n));
    });
  });
}

template <bool kSigned, int kCount>
void run_rows(const DepthwiseTask& task, size_t row) {
  const uint8_t* rows[kCount];
  for (size_t i = 0; i < kCount; ++i) rows[i] = task.x + task.rows[row + i].offset;
  const Epilogue& e = *task.epilogue;
  size_t channel = 0;
  for (; e.values != nullptr && e.sink == nullptr && channel + kDepthwiseBlock <= task.channels;
       channel += kDepthwiseBlock) {
    __m512i sums[kCount][2];
    multiply_block<kSigned, kCount>(task, rows, channel, sums);
    if (is_plain(e))
      store_block<kCount, Steps::kPlain>(e, sums, row, channel);
    else
      store_block<kCount, Steps::kAll>(e, sums, row, channel);
  }
  for (; channel < task.channels; channel += kColumns) {
    alignas(64) int32_t block[kCount * kColumns];
    const size_t columns = task.channels - channel < kColumns ? task.channels - channel : kColumns;
    for (size_t n = 0; n < columns; n += kDepthwiseBlock) {
      __m512i sums[kCount][2];
      multiply_block<kSigned, kCount>(task, rows, channel + n, sums);
      for (size_t i = 0; i < kCount; ++i)
        for (size_t j = 0; j < 2; ++j) _mm512_store_si512(block + i * kColumns + n + 16 * j, sums[i][j]);
    }
    finish_block(e, block, kColumns, row, kCount, channel, columns);
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
