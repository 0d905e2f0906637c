// The specification of every part in plain integers, and the streams that test it: random, worst cases, flushes, and
// those whose energy is measured.
//
// Non-goals: speed, and gates: a part is known here only by its inputs and outputs, a cycle at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "vectors.h"

namespace dnateq::rtl {

struct Operand {  // a code, or for int8 `value` with its zero flag
  bool zero = true, sign = false;
  int exponent = 0, value = 0;
};

// A lane's rows, exactly. Row numbers as a drain's (counting_lane.sv).
class LaneModel {
 public:
  explicit LaneModel(const Part& part);
  void set_level(int side, int exponent, int level) { levels_[side][static_cast<size_t>(exponent)] = level; }
  void add(const Operand& x, const Operand& w);
  int64_t drain(int row);  // value, which becomes zero
  int64_t value(int row) const { return rows_[static_cast<size_t>(row)]; }
  uint64_t stored(int64_t value) const;  // as the hardware shows it; throws std::logic_error where it does not fit

 private:
  Part part_;
  std::vector<int64_t> rows_;
  std::array<std::array<int, 128>, 2> levels_{};
};

struct Scaled {
  bool sign;
  uint32_t magnitude;
};
Scaled channel_scale(__int128 sum, int sum_bits, uint32_t scale, int pre_shift);

struct Thresholds {
  std::vector<uint32_t> thresholds;  // 2^n, ascending
  int positive_levels = 0, negative_levels = 0;
  Operand quantize(bool sign, uint32_t magnitude, bool is_float) const;
};
Operand int8_quantize(bool sign, uint32_t magnitude, uint32_t multiplier, int shift);

// Trained networks' tensors, nearly: Gaussian weights, Laplacian activations, their 99.9 % quantile at the largest
// level, levels of base 2^(1/q) with the part's q or else 2^(n-2), nearest level; values nearer to zero than to the
// smallest level are drawn again. A share `zeros` of the activations is zero.
class Draw {
 public:
  Draw(const Part& part, unsigned seed) : part_(part), random_(seed) {}
  Operand activation(double zeros = 0);
  Operand weight();
  Operand any(double zeros = 0);  // every code alike
  std::mt19937& random() { return random_; }

 private:
  Operand quantized(double value, double largest);
  Part part_;
  std::mt19937 random_;
};

// What one part is tested with: `correctness` or `energy`. A PE reacts (its ready), so it has its own test.
std::vector<Vector> correctness_vectors(const Part& part);
std::vector<Vector> energy_vectors(const Part& part);

// A PE's test, written against a device that takes one vector's inputs and gives that cycle's outputs. Returns the
// number of outputs that were right; throws std::runtime_error at the first wrong one.
using Device = std::function<std::array<uint32_t, 3>(Vector&)>;
int test_pe(const Part& part, const Device& device);

}  // namespace dnateq::rtl
