// For tests: matrices of row blocks with random codes.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/blob.h"
#include "core/channel_scale.h"
#include "core/row_block.h"

namespace dnateq::testing {

// The blob of rows x columns weights on an int8 grid; of mirrored codes where seed and sizes allow it.
inline std::vector<uint8_t> random_weight_blob(int64_t rows, int64_t columns, int bits, unsigned seed) {
  BlobHeader header;
  const bool is_mirrored = seed % 2 == 1 && bits < 7 && columns % 8 == 0;
  header.code = is_mirrored ? mirrored(TensorCode{}, bits) : with_level_counts(TensorCode{}, bits);
  header.code.base = bits > 5 ? 1.0001 : 1.3;
  header.code.grid = 127;
  const double top = std::pow(header.code.base, header.code.positive_levels - 1);
  const double lowest = bits > 6 ? 1.0 / 127 : 4.0 / 127;
  header.code.alpha = (1.0 - lowest) / (top - 1.0);
  header.code.beta = lowest - header.code.alpha;
  header.rows = rows;
  header.columns = columns;
  header.shape = {rows, columns};
  std::mt19937 random(seed);
  std::vector<uint8_t> codes(static_cast<size_t>(rows * columns));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random() % (1U << bits));
  std::vector<uint16_t> gamma;
  for (int64_t row = 0; row < rows; ++row)
    gamma.push_back(to_float16(0.02F + 0.001F * static_cast<float>(random() % 32)));
  return write_weight_blob(header, codes, gamma);
}

inline std::vector<float> random_floats(size_t count, unsigned seed, float sigma = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, sigma);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace dnateq::testing
