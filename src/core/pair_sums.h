// When an 8-bit layer computes the same integers on every CPU: sums of two products must fit 16 bits.
//
// CPUs without VNNI multiply unsigned 8-bit activations by signed 8-bit weights with vpmaddubsw, which adds two
// neighbouring products and *saturates* the sum to int16. OpenVINO's kernels shift signed activations by 128, so that
// an activation is 0 ... 255 either way. A sum lies between -255 s and 255 s for the larger s of |w1| + |w2| over
// weights of one sign, so it fits exactly if two weights of the same sign never sum up to more than 128: 128 * 255 =
// 32,640, 129 * 255 = 32,895 > 32,767. Weights of different signs always fit.
//
// Which two weights are neighbours was measured (docs/isa.md): inputs 2i and 2i + 1 of the same kernel tap; where a
// row has an odd number of inputs, also neighbours across taps, with taps in either order. Depthwise convolutions
// are widened first and add no pairs.
//
// Source: ours. NNCF's "overflow fix" halves all levels instead. Non-goal: kernels of our own, which are exact on every
// CPU.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dnateq/code.h"

namespace dnateq {

inline constexpr int kLargestLevel = 127;                      // of a signed int8 grid
inline constexpr int kLargestPairSum = 128;                    // |w1| + |w2| of the same sign
inline constexpr int kLargestSafeLevel = kLargestPairSum / 2;  // any two levels up to here are safe

struct ColumnPair {
  int32_t first = 0, second = 0;
  friend bool operator==(const ColumnPair&, const ColumnPair&) = default;
};

// Columns of a row [input][taps...] whose products a kernel may add in 16 bits, ascending, each pair once. `taps` are
// the kernel's extents, outermost first; none for a MatMul. `columns` is a multiple of their product.
std::vector<ColumnPair> added_pairs(int64_t columns, std::span<const int64_t> taps);

// The largest |w1| + |w2| of two levels of the same sign that a pair holds in any row; 0 without pairs. `levels` is
// indexed by code, `codes` holds whole rows of `columns`.
int largest_pair_sum(std::span<const uint8_t> codes, int64_t columns, std::span<const int8_t> levels,
                     std::span<const ColumnPair> pairs);

// The levels as int8 with the largest magnitude at `top`, or at the largest value below it that leaves every pair safe
// for these codes (kLargestSafeLevel leaves any). Returns that value; `table` receives the levels.
int safe_table(std::span<const float> levels, int top, std::span<const uint8_t> codes, int64_t columns,
               std::span<const ColumnPair> pairs, std::vector<int8_t>& table);

// Makes rows of codes safe by moving as few of them as little as possible. Codes must be an int8 grid's with levels up
// to 127.
class PairLimit {
 public:
  PairLimit(const TensorCode& code, std::span<const ColumnPair> pairs);

  bool safe(std::span<const uint8_t> row) const;
  // Moves codes of `row` towards zero where a pair is not safe, so that sum importance * (wanted - level)^2 over the
  // pair grows least. `wanted`: what each column should be, in units of the row's scale. Returns true if any moved.
  bool apply(std::span<uint8_t> row, std::span<const float> wanted, std::span<const float> importance) const;

 private:
  bool same_sign_sum_too_large(uint8_t a, uint8_t b) const;
  uint8_t next_lower(uint8_t code) const;  // one level towards zero

  int positive_levels_;
  std::vector<int8_t> levels_;  // by code
  float unit_;
  std::span<const ColumnPair> pairs_;
};

}  // namespace dnateq
