// 32 channels of a row at a time: the bytes of two taps interleaved, widened to 16 bits, vpmaddwd. Exact: a pair of
// products is at most 2 * 255 * 16320.
#include "kernels/depthwise_kernel.h"
#include "kernels/x86/matmul_ymm.h"

namespace dnateq::kernels {
namespace {

template <bool kSigned>
inline __m256i widened(__m128i bytes) {
  return kSigned ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

// `x`: the row's first channel of the block. sums: 32, in the channels' order.
template <bool kSigned>
void multiply_block(const DepthwiseTask& task, const uint8_t* x, const int16_t* levels, int32_t* sums) {
  __m256i octets[4] = {};  // 0, 2, 1, 3
  for (size_t pair = 0; pair < task.pairs; ++pair, levels += 2 * kDepthwiseBlock) {
    const __m256i first = load(x + task.taps[2 * pair]), second = load(x + task.taps[2 * pair + 1]);
    const __m256i mixed[2] = {_mm256_unpacklo_epi8(first, second), _mm256_unpackhi_epi8(first, second)};
    for (int i = 0; i < 4; ++i) {
      const __m128i bytes =
          i % 2 == 0 ? _mm256_castsi256_si128(mixed[i / 2]) : _mm256_extracti128_si256(mixed[i / 2], 1);
      octets[i] = _mm256_add_epi32(octets[i], _mm256_madd_epi16(widened<kSigned>(bytes), load(levels + 16 * i)));
    }
  }
  store(sums, octets[0]), store(sums + 16, octets[1]), store(sums + 8, octets[2]), store(sums + 24, octets[3]);
}

template <bool kSigned>
void run_depthwise(const DepthwiseTask& task) {
  const size_t block_levels = task.pairs * 2 * kDepthwiseBlock;
  for (size_t row = 0; row < task.m; ++row)
    for (size_t channel = 0; channel < task.channels; channel += kPanelChannels) {
      int32_t sums[kPanelChannels];
      const size_t columns = smaller(kPanelChannels, task.channels - channel);
      for (size_t n = 0; n < columns; n += kDepthwiseBlock)
        multiply_block<kSigned>(task, task.x + task.rows[row].offset + channel + n,
                                task.levels + (channel + n) / kDepthwiseBlock * block_levels, sums + n);
      finish(*task.epilogue, sums, row, 1, channel, columns);
    }
}

}  // namespace

void run_depthwise_avx2(const DepthwiseTask& task) {
  task.x_signed ? run_depthwise<true>(task) : run_depthwise<false>(task);
}

}  // namespace dnateq::kernels
