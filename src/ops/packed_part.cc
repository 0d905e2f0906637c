#include "ops/packed_part.h"

#include <algorithm>
#include <cmath>
#include <openvino/core/except.hpp>

#include "core/pack.h"
#include "dnateq/error.h"

namespace dnateq::ops {
namespace {

// Integer levels of the code and the unit they are counted in; real levels take the nearest of the int8 grid.
std::vector<int> integer_levels(const Blob& blob, float& unit) {
  if (!blob.grid_levels.empty()) {
    unit = static_cast<float>(1.0 / blob.code.grid);
    return {blob.grid_levels.begin(), blob.grid_levels.end()};
  }
  float largest = 0;
  for (const float level : blob.levels) largest = std::max(largest, std::fabs(level));
  unit = largest > 0 ? largest / 127.0F : 1.0F;
  std::vector<int> levels;
  for (const float level : blob.levels) levels.push_back(static_cast<int>(std::lround(level / unit)));
  return levels;
}

}  // namespace

PackedPart packed_part(const Blob& blob, const std::string& layer) {
  const auto rows = static_cast<size_t>(blob.rows), columns = static_cast<size_t>(blob.columns);
  const int bits = blob.code.stored_bits;
  float unit = 1;
  const std::vector<int> levels = integer_levels(blob, unit);
  PackedPart part;
  try {
    part.weights = kernels::PackedWeights(
        [&](size_t row, uint8_t* codes) { unpack_range(blob.codes, row * columns, columns, bits, codes); }, rows,
        columns, bits, levels);
  } catch (const Error& error) {
    OPENVINO_THROW("'", layer, "': ", error.what());
  }
  for (const float gamma : blob.gamma) part.scale.push_back(gamma * unit);
  return part;
}

}  // namespace dnateq::ops
