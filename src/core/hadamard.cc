#include "core/hadamard.h"

#include <cmath>

namespace dnateq {

size_t hadamard_block(size_t width) {
  constexpr size_t kLargest = 512;
  size_t block = 1;
  while (block < kLargest && width > 0 && width % (2 * block) == 0) block *= 2;
  return block;
}

void hadamard(std::span<float> values, size_t block) {
  const float factor = 1.0F / std::sqrt(static_cast<float>(block));
  for (size_t half = 1; half < block; half *= 2)
    for (size_t at = 0; at < values.size(); at += 2 * half) {
      float* low = values.data() + at;
      float* high = low + half;
      for (size_t i = 0; i < half; ++i) {
        const float sum = low[i] + high[i], difference = low[i] - high[i];
        low[i] = sum;
        high[i] = difference;
      }
    }
  for (float& value : values) value *= factor;
}

}  // namespace dnateq
