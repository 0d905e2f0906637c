// The reference: short, slow, obvious, and the last of the list, so that every CPU has a kernel.
#include <algorithm>
#include <cstring>

#include "kernels/matmul_kernel.h"
#include "kernels/packed_weights.h"

namespace dnateq::kernels {
namespace {

// Levels of one unit by vector and byte.
void decode_unit(const MatmulTask& task, const uint8_t* unit, int* levels) {
  uint8_t codes[kUnitCodes];
  if (task.bits < 8) unpack_unit(unit, task.bits, codes);
  for (size_t i = 0; i < kUnitCodes; ++i) {
    int part[2];
    for (int table = 0; table < task.tables; ++table)
      part[table] = task.bits == 8 ? static_cast<int8_t>(unit[static_cast<size_t>(table) * kUnitCodes + i])
                                   : task.levels[table][codes[i]];
    levels[i] = task.tables == 1 ? part[0] : 128 * part[0] + part[1];
  }
}

int activation(const MatmulTask& task, size_t row, size_t k) {
  const uint8_t byte = task.x[row * task.x_stride + k];
  return task.x_signed ? static_cast<int8_t>(byte) : byte;
}

}  // namespace

void finish_block_scalar(const Epilogue& epilogue, const int32_t* sums, size_t sums_stride, size_t row, size_t rows,
                         size_t channel, size_t columns) {
  for (size_t i = 0; i < rows; ++i, sums += sums_stride) {
    const size_t m = row + i;
    if (epilogue.sums != nullptr) {
      std::memcpy(epilogue.sums + m * epilogue.stride + channel, sums, columns * sizeof(int32_t));
      continue;
    }
    float block[kPanelChannels];
    for (size_t j = 0; j < columns; ++j) {
      const size_t n = channel + j;
      float y = static_cast<float>(sums[j]);
      if (epilogue.row_scale != nullptr) y *= epilogue.row_scale[m];
      if (epilogue.channel_scale != nullptr) y *= epilogue.channel_scale[n];
      if (epilogue.bias != nullptr) y += epilogue.bias[n];
      if (epilogue.residual != nullptr) y += epilogue.residual[m * epilogue.residual_stride + n];
      if (epilogue.activation == Activation::kRelu) y = y > 0 ? y : 0;
      if (epilogue.activation == Activation::kClamp) {
        y = y > epilogue.lowest ? y : epilogue.lowest;
        y = y < epilogue.highest ? y : epilogue.highest;
      }
      block[j] = y;
    }
    if (epilogue.values != nullptr)
      std::memcpy(epilogue.values + m * epilogue.stride + channel, block, columns * sizeof(float));
    if (epilogue.sink != nullptr) epilogue.sink(epilogue.sink_context, {m, channel, 1, columns, block, kPanelChannels});
  }
}

size_t scalar_scratch_bytes(const MatmulTask&, const MatmulRange& range) {
  return (range.row_end - range.row_begin) * kPanelChannels * sizeof(int32_t);
}

void run_scalar(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  auto* sums = reinterpret_cast<int32_t*>(scratch);
  const size_t rows = range.row_end - range.row_begin;
  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    std::fill_n(sums, rows * kPanelChannels, 0);
    for (size_t unit = 0; unit < task.units; ++unit) {
      int levels[kUnitCodes];
      decode_unit(task, task.panels + panel * task.panel_bytes + unit * task.unit_bytes, levels);
      const size_t inputs = std::min(kUnitInputs, task.k - unit * kUnitInputs);
      for (size_t row = 0; row < rows; ++row)
        for (size_t k = 0; k < inputs; ++k) {
          const int x = activation(task, range.row_begin + row, unit * kUnitInputs + k);
          for (size_t n = 0; n < kPanelChannels; ++n) {
            const size_t vector = 4 * (k / 4) + n / 16, byte = 4 * (n % 16) + k % 4;
            sums[row * kPanelChannels + n] += x * levels[vector * kLineBytes + byte];
          }
        }
    }
    const size_t channel = panel * kPanelChannels;
    finish_block_scalar(*task.epilogue, sums, kPanelChannels, range.row_begin, rows, channel,
                        std::min(kPanelChannels, task.n - channel));
  }
}

}  // namespace dnateq::kernels
