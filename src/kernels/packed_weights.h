// A weight matrix as the matmul kernels read it: stored codes in panels, with the table of their levels.
//
// Layout. A panel holds 64 output channels (n), all inputs (k) ascending, as units of 8 k x 64 n. A unit's 512 codes
// form 8 vectors of 64 codes; vector v = 4 * (k / 4) + n / 16 (k, n within the unit) holds, at byte 4 * (n % 16) + k %
// 4, one code: what vpdpbusd and a tile of AMX want once the codes are levels. The b bits of a code lie at the same
// place of every byte of one or more of the unit's b lines (64 bytes each), so that decoding is shifts and a byte
// lookup, and a panel is one ascending stream. Lookups ignore the bits above a code: the table is replicated over them.
// 8-bit codes are stored as levels, 8 lines a table. Channels and inputs that fill up the last panel and unit are code
// 0.
//
// Levels in [-127, 127] need one table. Larger ones, up to [-16320, 16319], are split exactly into two: level =
// 128 * high + low with low in [-64, 63].
//
// Source: ours. Non-goals: a file format (packing takes about a nanosecond a code and thread and is done at load),
// searching for codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/line_memory.h"

namespace dnateq::kernels {

inline constexpr size_t kPanelChannels = 64;
inline constexpr size_t kUnitInputs = 8;
inline constexpr size_t kUnitCodes = kPanelChannels * kUnitInputs;
inline constexpr size_t kLineBytes = 64;
inline constexpr size_t kTableEntries = 128;  // of a level table, replicated

// Writes the codes of one channel, one a byte, each below 2^bits. Called by several threads at once.
using CodesOfChannel = std::function<void(size_t channel, uint8_t* codes)>;

// Immutable, hence thread-safe, once built.
class PackedWeights {
 public:
  PackedWeights() = default;
  // `codes`: channels x inputs, row-major, one code a byte; `levels`: 2^bits of them, levels[0] = 0 unless `inputs`
  // fill their last unit. Throws Error on sizes that do not fit, codes of more than `bits` bits and levels out of
  // range.
  PackedWeights(std::span<const uint8_t> codes, size_t channels, size_t inputs, int bits, std::span<const int> levels);
  // The same from codes that are made channel by channel, so that they need not lie in memory all at once.
  PackedWeights(const CodesOfChannel& codes, size_t channels, size_t inputs, int bits, std::span<const int> levels);

  size_t channels() const { return channels_; }
  size_t inputs() const { return inputs_; }
  int bits() const { return bits_; }
  int tables() const { return tables_; }  // 1 or 2

  size_t panels() const { return (channels_ + kPanelChannels - 1) / kPanelChannels; }
  size_t units() const { return (inputs_ + kUnitInputs - 1) / kUnitInputs; }  // of one panel
  size_t unit_bytes() const;
  size_t panel_bytes() const { return units() * unit_bytes(); }
  size_t bytes() const { return panels() * panel_bytes(); }
  const uint8_t* data() const { return lines_.get(); }  // 64-byte aligned

  // Entry i is the level of code i modulo 2^bits, or its high (table 0) and low (table 1) part. Empty for 8 bits.
  const int8_t* level_table(int table) const { return tables_of_levels_.data() + kTableEntries * size_t(table); }
  // Sum of a channel's levels, for kernels that shift the activations' range; a multiple of 64 entries.
  // Two tables: the sums of the high parts, then those of the low parts.
  const int32_t* channel_sums(int table = 0) const {
    return channel_sums_.data() + panels() * kPanelChannels * size_t(table);
  }
  // Largest sum of absolute levels of a channel: times the largest activation it bounds every INT32 sum.
  int64_t largest_absolute_sum() const { return largest_absolute_sum_; }

 private:
  void pack(const CodesOfChannel& codes, std::span<const int> levels);

  size_t channels_ = 0, inputs_ = 0;
  int bits_ = 0, tables_ = 1;
  Lines lines_;
  std::vector<int8_t> tables_of_levels_;
  std::vector<int32_t> channel_sums_;
  int64_t largest_absolute_sum_ = 0;
};

// The 512 codes of a unit of `bits` < 8 bits, by vector and byte as above: the definition of the bits' places.
void unpack_unit(const uint8_t* unit, int bits, uint8_t* codes);

}  // namespace dnateq::kernels
