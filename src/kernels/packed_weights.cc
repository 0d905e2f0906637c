#include "kernels/packed_weights.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "dnateq/code.h"
#include "dnateq/error.h"

namespace dnateq::kernels {
namespace {

constexpr int kVectors = 8;  // of a unit
constexpr int kLargestSplit = 127 * 128 + 63, kSmallestSplit = -127 * 128 - 64;

struct Place {
  int line, bit;
};

// Where bit `j` of the codes of vector `v` lies. As many vectors as fit lie whole in a line's low bits; the others
// share the bits that are left, in runs that one shift brings to their place.
Place place(int bits, int v, int j) {
  switch (bits) {
    case 2:
      return {v / 4, v % 4 * 2 + j};
    case 3: {
      if (v < 6) return {v / 2, v % 2 * 3 + j};
      const int spare = (v - 6) * 3 + j;
      return {spare / 2, 6 + spare % 2};
    }
    case 4:
      return {v / 2, v % 2 * 4 + j};
    case 5:
      if (v < 5) return {v, j};
      if (j < 3) return {v - 5, 5 + j};
      if (v < 7) return {v - 2, 5 + j - 3};
      return {j, 7};
    case 6:
      if (v < 6) return {v, j};
      return {3 * (v - 6) + j / 2, 6 + j % 2};
    default:  // 7
      if (v < 7) return {v, j};
      return {j, 7};
  }
}

size_t vector_of(size_t n, size_t k) { return 4 * (k / 4) + n / 16; }
size_t byte_of(size_t n, size_t k) { return 4 * (n % 16) + k % 4; }

void set_code(uint8_t* unit, int bits, size_t n, size_t k, int code) {
  const int v = static_cast<int>(vector_of(n, k));
  for (int j = 0; j < bits; ++j) {
    const Place at = place(bits, v, j);
    uint8_t& byte = unit[static_cast<size_t>(at.line) * kLineBytes + byte_of(n, k)];
    byte = static_cast<uint8_t>(byte | ((code >> j & 1) << at.bit));
  }
}

struct Split {
  int high, low;
};

Split split(int level) {
  const int high = (level + (level >= 0 ? 64 : -63)) / 128;
  return {high, level - 128 * high};
}

// Pages of 2 MiB spare a stream its page walks; malloc's blocks may lie across them.
uint8_t* allocate_lines(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kLineBytes;
  const size_t rounded = (std::max(bytes, size_t{1}) + alignment - 1) / alignment * alignment;
  auto* lines = static_cast<uint8_t*>(std::aligned_alloc(alignment, rounded));
  if (lines == nullptr) throw std::bad_alloc();
  if (alignment == kHugePage) madvise(lines, rounded, MADV_HUGEPAGE);  // a wish: without it all works as well
  std::memset(lines, 0, rounded);
  return lines;
}

}  // namespace

void PackedWeights::Free::operator()(uint8_t* lines) const { std::free(lines); }

size_t PackedWeights::unit_bytes() const {
  const int lines = bits_ == 8 ? kVectors * tables_ : bits_;
  return static_cast<size_t>(lines) * kLineBytes;
}

PackedWeights::PackedWeights(std::span<const uint8_t> codes, size_t channels, size_t inputs, int bits,
                             std::span<const int> levels)
    : channels_(channels), inputs_(inputs), bits_(bits) {
  if (bits < kMinStoredBits || bits > kMaxStoredBits)
    throw Error(fmt::format("weights of {} stored bits cannot be packed, 2 to 8 are supported; quantize again", bits));
  if (channels == 0 || inputs == 0 || codes.size() / channels != inputs || codes.size() % channels != 0)
    throw Error(
        fmt::format("{} codes are no {} x {} weight matrix; emit the model again", codes.size(), channels, inputs));
  if (levels.size() != size_t{1} << bits || levels[0] != 0)
    throw Error(fmt::format("codes of {} bits need {} levels with 0 first, not {}; emit the model again", bits,
                            1 << bits, levels.size()));
  const auto [smallest, largest] = std::minmax_element(levels.begin(), levels.end());
  tables_ = *smallest >= -127 && *largest <= 127 ? 1 : 2;
  if (*smallest < kSmallestSplit || *largest > kLargestSplit)
    throw Error(fmt::format("levels from {} to {} are outside {} ... {}; quantize with a coarser grid", *smallest,
                            *largest, kSmallestSplit, kLargestSplit));
  if (const auto wide = std::find_if(codes.begin(), codes.end(), [&](uint8_t code) { return code >> bits != 0; });
      wide != codes.end())
    throw Error(fmt::format("code {} does not fit {} bits; emit the model again", *wide, bits));

  std::vector<int> parts[2] = {std::vector<int>(levels.begin(), levels.end()), std::vector<int>(levels.size())};
  if (tables_ == 2)
    for (size_t i = 0; i < levels.size(); ++i) {
      const Split level = split(levels[i]);
      parts[0][i] = level.high, parts[1][i] = level.low;
    }
  if (bits < 8) {
    tables_of_levels_.resize(kTableEntries * static_cast<size_t>(tables_));
    for (size_t i = 0; i < tables_of_levels_.size(); ++i)
      tables_of_levels_[i] = static_cast<int8_t>(parts[i / kTableEntries][i % levels.size()]);
  }

  lines_.reset(allocate_lines(bytes()));
  channel_sums_.resize(panels() * kPanelChannels * static_cast<size_t>(tables_));
  for (size_t n = 0; n < channels; ++n) {
    int64_t absolute = 0, sums[2] = {0, 0};
    for (size_t k = 0; k < inputs; ++k) {
      const uint8_t code = codes[n * inputs + k];
      const size_t in_panel = n % kPanelChannels, in_unit = k % kUnitInputs;
      uint8_t* unit = lines_.get() + n / kPanelChannels * panel_bytes() + k / kUnitInputs * unit_bytes();
      if (bits < 8) {
        set_code(unit, bits, in_panel, in_unit, code);
      } else {
        for (int table = 0; table < tables_; ++table)
          unit[(kVectors * static_cast<size_t>(table) + vector_of(in_panel, in_unit)) * kLineBytes +
               byte_of(in_panel, in_unit)] = static_cast<uint8_t>(parts[table][code]);
      }
      absolute += std::abs(levels[code]);
      for (int table = 0; table < tables_; ++table) sums[table] += parts[table][code];
    }
    largest_absolute_sum_ = std::max(largest_absolute_sum_, absolute);
    for (int table = 0; table < tables_; ++table)  // wraps only where largest_absolute_sum_ forbids the product anyway
      channel_sums_[panels() * kPanelChannels * static_cast<size_t>(table) + n] = static_cast<int32_t>(sums[table]);
  }
}

void unpack_unit(const uint8_t* unit, int bits, uint8_t* codes) {
  for (int v = 0; v < kVectors; ++v)
    for (size_t byte = 0; byte < kLineBytes; ++byte) {
      int code = 0;
      for (int j = 0; j < bits; ++j) {
        const Place at = place(bits, v, j);
        code |= (unit[static_cast<size_t>(at.line) * kLineBytes + byte] >> at.bit & 1) << j;
      }
      codes[static_cast<size_t>(v) * kLineBytes + byte] = static_cast<uint8_t>(code);
    }
}

}  // namespace dnateq::kernels
