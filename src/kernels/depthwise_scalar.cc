// The reference: one channel of one row at a time.
#include <algorithm>

#include "kernels/depthwise_kernel.h"
#include "kernels/packed_weights.h"

namespace dnateq::kernels {
namespace {

int activation(const DepthwiseTask& task, size_t row, size_t tap, size_t channel) {
  const uint8_t byte = task.x[task.rows[row].offset + task.taps[tap] + channel];
  return task.x_signed ? static_cast<int8_t>(byte) : byte;
}

int level(const DepthwiseTask& task, size_t channel, size_t tap) {
  constexpr size_t kPlaceOfOctet[] = {0, 2, 1, 3};
  const size_t block = channel / kDepthwiseBlock, in_block = channel % kDepthwiseBlock;
  const size_t pair = block * task.pairs + tap / 2;
  return task.levels[2 * (pair * kDepthwiseBlock + 8 * kPlaceOfOctet[in_block / 8] + in_block % 8) + tap % 2];
}

}  // namespace

void run_depthwise_scalar(const DepthwiseTask& task) {
  for (size_t row = 0; row < task.m; ++row)
    for (size_t channel = 0; channel < task.channels; channel += kPanelChannels) {
      int32_t sums[kPanelChannels] = {};
      const size_t columns = std::min(kPanelChannels, task.channels - channel);
      for (size_t n = 0; n < columns; ++n)
        for (size_t tap = 0; tap < 2 * task.pairs; ++tap)
          sums[n] += activation(task, row, tap, channel + n) * level(task, channel + n, tap);
      finish_block_scalar(*task.epilogue, sums, kPanelChannels, row, 1, channel, columns);
    }
}

}  // namespace dnateq::kernels
