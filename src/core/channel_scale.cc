#include "core/channel_scale.h"

#include <algorithm>

namespace dnateq {
namespace {

// Scales are refitted, and may grow meanwhile: float16 ends at 2^16.
constexpr double kSmallestNormal = 0x1p-14, kLargestStart = 0x1p15;
constexpr int kLargestAt = 13;

}  // namespace

int scale_exponent_of(std::span<const float> weights, int64_t rows) {
  const size_t columns = rows > 0 ? weights.size() / static_cast<size_t>(rows) : 0;
  double smallest = kLargestStart, largest = 0;
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    double power = 0;
    for (const float w : weights.subspan(r * columns, columns))
      power += static_cast<double>(w) * static_cast<double>(w);
    if (power == 0) continue;  // any scale does
    const double size = std::sqrt(power / static_cast<double>(columns));
    smallest = std::min(smallest, size);
    largest = std::max(largest, size);
  }
  if (largest == 0 || (smallest >= kSmallestNormal && largest <= kLargestStart)) return 0;
  return std::clamp(std::ilogb(largest) - kLargestAt, kLeastScaleExponent, kMostScaleExponent);
}

}  // namespace dnateq
