#include "kernels/packed_weights.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "core/weight_codes.h"
#include "dnateq/code.h"
#include "dnateq/error.h"

namespace dnateq::kernels {
namespace {

static_assert(kUnitInputs == kInputsOfUnit);  // by which a search chooses codes

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

struct Split {
  int high, low;
};

Split split(int level) {
  const int high = (level + (level >= 0 ? 64 : -63)) / 128;
  return {high, level - 128 * high};
}

// Bits of the codes of one vector that lie side by side: `count` of them, from bit `from` of the codes on, at bit `to`
// of a line.
struct Run {
  size_t vector, line;
  int from, to, count;
};

std::vector<Run> runs_of(int bits) {
  std::vector<Run> runs;
  for (int v = 0; v < kVectors; ++v)
    for (int j = 0; j < bits; ++j) {
      const Place at = place(bits, v, j);
      const auto line = static_cast<size_t>(at.line);
      if (j > 0 && runs.back().line == line && runs.back().to + runs.back().count == at.bit)
        ++runs.back().count;
      else
        runs.push_back({static_cast<size_t>(v), line, j, at.bit, 1});
    }
  return runs;
}

void check_bits(int bits) {
  if (bits < kMinStoredBits || bits > kMaxStoredBits)
    throw Error(fmt::format("weights of {} stored bits cannot be packed, 2 to 8 are supported; quantize again", bits));
}

constexpr size_t kWordsOfLine = kLineBytes / sizeof(uint64_t);

// `codes`: 8 vectors of 64. Words of 8 codes at once: no code has bits that would reach its neighbour.
void pack_unit(const std::vector<Run>& runs, const uint64_t* codes, int bits, uint8_t* unit) {
  uint64_t lines[kMaxStoredBits * kWordsOfLine] = {};
  for (const Run& run : runs) {
    const uint64_t mask = ((1U << run.count) - 1) * 0x0101010101010101U;
    for (size_t word = 0; word < kWordsOfLine; ++word)
      lines[run.line * kWordsOfLine + word] |= (codes[run.vector * kWordsOfLine + word] >> run.from & mask) << run.to;
  }
  std::memcpy(unit, lines, static_cast<size_t>(bits) * kLineBytes);
}

// How often each code occurs. Several counters take turns: a code that follows its like would wait for the sum.
class CodeCounts {
 public:
  void count(std::span<const uint8_t> codes, size_t entries) {
    for (auto& counter : counts_) std::fill_n(counter.begin(), entries, 0);
    size_t i = 0;
    for (; i + kCounters <= codes.size(); i += kCounters)
      for (size_t counter = 0; counter < kCounters; ++counter) ++counts_[counter][codes[i + counter]];
    for (; i < codes.size(); ++i) ++counts_[0][codes[i]];
  }
  int64_t of(size_t code) const {
    int64_t sum = 0;
    for (const auto& counter : counts_) sum += counter[code];
    return sum;
  }

 private:
  static constexpr size_t kCounters = 4;
  std::array<std::array<int64_t, 256>, kCounters> counts_{};
};

}  // namespace

size_t PackedWeights::unit_bytes() const {
  const int lines = bits_ == 8 ? kVectors * tables_ : bits_;
  return static_cast<size_t>(lines) * kLineBytes;
}

PackedWeights::PackedWeights(std::span<const uint8_t> codes, size_t channels, size_t inputs, int bits,
                             std::span<const int> levels)
    : channels_(channels), inputs_(inputs), bits_(bits) {
  check_bits(bits);
  if (channels == 0 || inputs == 0 || codes.size() / channels != inputs || codes.size() % channels != 0)
    throw Error(
        fmt::format("{} codes are no {} x {} weight matrix; emit the model again", codes.size(), channels, inputs));
  if (const auto wide = std::find_if(codes.begin(), codes.end(), [&](uint8_t code) { return code >> bits != 0; });
      wide != codes.end())
    throw Error(fmt::format("code {} does not fit {} bits; emit the model again", *wide, bits));
  pack([&](size_t channel, uint8_t* of_channel) { std::copy_n(codes.data() + channel * inputs, inputs, of_channel); },
       levels);
}

PackedWeights::PackedWeights(const CodesOfChannel& codes, size_t channels, size_t inputs, int bits,
                             std::span<const int> levels)
    : channels_(channels), inputs_(inputs), bits_(bits) {
  check_bits(bits);
  if (channels == 0 || inputs == 0)
    throw Error(fmt::format("{} x {} weights are none; emit the model again", channels, inputs));
  pack(codes, levels);
}

void PackedWeights::pack(const CodesOfChannel& codes, std::span<const int> levels) {
  if (levels.size() != size_t{1} << bits_ || (levels[0] != 0 && inputs_ % kUnitInputs != 0))
    throw Error(
        fmt::format("codes of {} bits need {} levels, 0 first where inputs are no multiple of {}, not {} for {} "
                    "inputs; emit the model again",
                    bits_, 1 << bits_, kUnitInputs, levels.size(), inputs_));
  const auto [smallest, largest] = std::minmax_element(levels.begin(), levels.end());
  tables_ = *smallest >= -127 && *largest <= 127 ? 1 : 2;
  if (*smallest < kSmallestSplit || *largest > kLargestSplit)
    throw Error(fmt::format("levels from {} to {} are outside {} ... {}; quantize with a coarser grid", *smallest,
                            *largest, kSmallestSplit, kLargestSplit));

  const auto tables = static_cast<size_t>(tables_);
  std::vector<int> parts[2] = {std::vector<int>(levels.begin(), levels.end()), std::vector<int>(levels.size())};
  if (tables_ == 2)
    for (size_t i = 0; i < levels.size(); ++i) {
      const Split level = split(levels[i]);
      parts[0][i] = level.high, parts[1][i] = level.low;
    }
  if (bits_ < 8) {
    tables_of_levels_.resize(kTableEntries * tables);
    for (size_t i = 0; i < tables_of_levels_.size(); ++i)
      tables_of_levels_[i] = static_cast<int8_t>(parts[i / kTableEntries][i % levels.size()]);
  }

  lines_ = allocate_lines(bytes());  // every byte is written below
  channel_sums_.resize(panels() * kPanelChannels * tables);
  const std::vector<Run> runs = bits_ < 8 ? runs_of(bits_) : std::vector<Run>();
  // Rows a power of two apart would share a few lines of the cache: one line more lies between them.
  const size_t stride = units() * kUnitInputs + kLineBytes;
  std::vector<int64_t> largest_of_panel(panels());
  const auto pack_panel = [&](size_t panel) {
    const size_t first = panel * kPanelChannels, rows = std::min(kPanelChannels, channels_ - first);
    std::vector<uint8_t> rows_of_codes(kPanelChannels * stride);
    CodeCounts counts;
    for (size_t row = 0; row < rows; ++row) {
      uint8_t* of_row = rows_of_codes.data() + row * stride;
      codes(first + row, of_row);
      counts.count({of_row, inputs_}, levels.size());
      int64_t absolute = 0, sums[2] = {0, 0};
      for (size_t code = 0; code < levels.size(); ++code) {
        const int64_t times = counts.of(code);
        absolute += times * std::abs(levels[code]);
        for (size_t table = 0; table < tables; ++table) sums[table] += times * parts[table][code];
      }
      largest_of_panel[panel] = std::max(largest_of_panel[panel], absolute);
      for (size_t table = 0; table < tables; ++table)  // wraps only where the largest sum forbids the product anyway
        channel_sums_[panels() * kPanelChannels * table + first + row] = static_cast<int32_t>(sums[table]);
    }
    uint8_t* unit = lines_.get() + panel * panel_bytes();
    for (size_t k = 0; k < inputs_; k += kUnitInputs, unit += unit_bytes()) {
      // Codes in the order of the vectors: the first 4 inputs of all channels, then the other 4.
      uint32_t groups[kUnitCodes / 4];
      for (size_t n = 0; n < kPanelChannels; ++n) {
        std::memcpy(&groups[n], rows_of_codes.data() + n * stride + k, 4);
        std::memcpy(&groups[kPanelChannels + n], rows_of_codes.data() + n * stride + k + 4, 4);
      }
      uint64_t vectors[kUnitCodes / 8];
      std::memcpy(vectors, groups, sizeof(vectors));
      if (bits_ < 8) {
        pack_unit(runs, vectors, bits_, unit);
      } else {
        const auto* code = reinterpret_cast<const uint8_t*>(vectors);
        for (size_t table = 0; table < tables; ++table)
          for (size_t i = 0; i < kUnitCodes; ++i)
            unit[table * kUnitCodes + i] = static_cast<uint8_t>(parts[table][code[i]]);
      }
    }
  };
  tbb::parallel_for(size_t{0}, panels(), pack_panel);
  largest_absolute_sum_ = *std::max_element(largest_of_panel.begin(), largest_of_panel.end());
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
