#include "core/pair_sums.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <tuple>

namespace dnateq {
namespace {

// Tap numbers (last extent fastest) in the order in which the first extent is the fastest.
std::vector<int64_t> transposed_order(std::span<const int64_t> taps) {
  std::vector<int64_t> order = {0};
  int64_t stride = std::accumulate(taps.begin(), taps.end(), int64_t{1}, std::multiplies<>());
  for (const int64_t extent : taps) {
    stride /= extent;
    std::vector<int64_t> longer;
    for (int64_t i = 0; i < extent; ++i)
      for (const int64_t tap : order) longer.push_back(tap + i * stride);
    order = std::move(longer);
  }
  return order;
}

}  // namespace

std::vector<ColumnPair> added_pairs(int64_t columns, std::span<const int64_t> taps) {
  const int64_t tap_count = std::accumulate(taps.begin(), taps.end(), int64_t{1}, std::multiplies<>());
  const int64_t inputs = columns / tap_count;
  std::vector<ColumnPair> pairs;
  const auto add = [&](int64_t a, int64_t b) {
    pairs.push_back({static_cast<int32_t>(std::min(a, b)), static_cast<int32_t>(std::max(a, b))});
  };
  for (int64_t input = 0; input + 1 < inputs; input += 2)
    for (int64_t tap = 0; tap < tap_count; ++tap) add(input * tap_count + tap, (input + 1) * tap_count + tap);
  if (inputs % 2 != 0 && tap_count > 1) {
    std::vector<int64_t> in_order(static_cast<size_t>(tap_count));
    std::iota(in_order.begin(), in_order.end(), int64_t{0});
    for (const std::vector<int64_t>& order : {in_order, transposed_order(taps)}) {
      const auto column = [&](int64_t k) { return k % inputs * tap_count + order[static_cast<size_t>(k / inputs)]; };
      for (int64_t k = 0; k + 1 < columns; k += 2) add(column(k), column(k + 1));
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const ColumnPair& a, const ColumnPair& b) {
    return std::tie(a.first, a.second) < std::tie(b.first, b.second);
  });
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

int largest_pair_sum(std::span<const uint8_t> codes, int64_t columns, std::span<const int8_t> levels,
                     std::span<const ColumnPair> pairs) {
  int largest = 0;
  for (size_t row = 0; row < codes.size(); row += static_cast<size_t>(columns))
    for (const ColumnPair& pair : pairs) {
      const int a = levels[codes[row + static_cast<size_t>(pair.first)]];
      const int b = levels[codes[row + static_cast<size_t>(pair.second)]];
      if ((a < 0) == (b < 0)) largest = std::max(largest, std::abs(a + b));
    }
  return largest;
}

int safe_table(std::span<const float> levels, int top, std::span<const uint8_t> codes, int64_t columns,
               std::span<const ColumnPair> pairs, std::vector<int8_t>& table) {
  float largest = 0;
  for (const float level : levels) largest = std::max(largest, std::fabs(level));
  table.resize(levels.size());
  for (;; --top) {
    const float unit = largest > 0 ? largest / static_cast<float>(top) : 1.0F;
    for (size_t i = 0; i < levels.size(); ++i) table[i] = static_cast<int8_t>(std::lround(levels[i] / unit));
    if (top <= kLargestSafeLevel || largest_pair_sum(codes, columns, table, pairs) <= kLargestPairSum) return top;
  }
}

PairLimit::PairLimit(const TensorCode& code, std::span<const ColumnPair> pairs)
    : positive_levels_(code.positive_levels),
      levels_(int8_level_table(code)),
      unit_(static_cast<float>(1.0 / code.grid)),
      pairs_(pairs) {}

bool PairLimit::same_sign_sum_too_large(uint8_t a, uint8_t b) const {
  const int first = levels_[a], second = levels_[b];
  return (first < 0) == (second < 0) && std::abs(first + second) > kLargestPairSum;
}

uint8_t PairLimit::next_lower(uint8_t code) const {
  return code == positive_levels_ + 1 ? uint8_t{0} : static_cast<uint8_t>(code - 1);
}

bool PairLimit::safe(std::span<const uint8_t> row) const {
  return std::none_of(pairs_.begin(), pairs_.end(), [&](const ColumnPair& pair) {
    return same_sign_sum_too_large(row[static_cast<size_t>(pair.first)], row[static_cast<size_t>(pair.second)]);
  });
}

bool PairLimit::apply(std::span<uint8_t> row, std::span<const float> wanted, std::span<const float> importance) const {
  bool moved = false;
  for (const ColumnPair& pair : pairs_) {
    const auto a = static_cast<size_t>(pair.first), b = static_cast<size_t>(pair.second);
    if (!same_sign_sum_too_large(row[a], row[b])) continue;
    const auto error = [&](size_t column, uint8_t code) {
      const float difference = wanted[column] - unit_ * static_cast<float>(levels_[code]);
      return importance[column] * difference * difference;
    };
    // Every split of the room between the two: the first goes down level by level, the second as far as it must.
    float least = std::numeric_limits<float>::infinity();
    uint8_t best_first = 0, best_second = 0;
    for (uint8_t first = row[a];; first = next_lower(first)) {
      uint8_t second = row[b];
      while (same_sign_sum_too_large(first, second)) second = next_lower(second);
      const float sum = error(a, first) + error(b, second);
      if (sum < least) {
        least = sum;
        best_first = first;
        best_second = second;
      }
      if (first == 0 || second == row[b]) break;
    }
    row[a] = best_first;
    row[b] = best_second;
    moved = true;  // magnitudes only fall: pairs that were safe stay so
  }
  return moved;
}

}  // namespace dnateq
