// One layer's weights as codes, rows x columns: w^ = gamma[row] * 2^scale_exponent * level.
#pragma once

#include <cstdint>
#include <vector>

#include "dnateq/code.h"

namespace dnateq {

// Kernels read weights in units of so many inputs (kernels/packed_weights.h). Mirrored codes have no zero to fill up
// the last unit with: rows of whole units alone take them.
inline constexpr int64_t kInputsOfUnit = 8;

struct WeightCodes {
  TensorCode code;
  std::vector<uint8_t> codes;   // row-major
  std::vector<uint16_t> gamma;  // float16 channel scale per row; the value used everywhere is the rounded one
  int scale_exponent = 0;       // of all rows' scales
  std::vector<float> bias;      // per row, added to the layer's output; empty = none
};

}  // namespace dnateq
