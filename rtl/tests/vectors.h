// What a test bench gives to a part and expects of it, a clock cycle at a time, and the list of parts.
//
// A vector's inputs are applied just after a rising edge, while the clock is high (clock_gate.sv asks for it); its
// outputs are compared just before the next one. Inputs and outputs are packed; the layouts, by kind of part, are those
// of rtl/tools/parts.py. As a line of a file: hexadecimal {phase[3:0], in[127:0], mask[95:0], expected[95:0]}.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dnateq::rtl {

struct Part {
  std::string_view id, name, design;
  int n, width, q;
  bool sram;
  int magnitude;
  bool sign_magnitude = false;    // int8: not two's complement
  bool product_register = false;  // int8, decode: one between product and sum
  int code_bits = 0;              // exponent bits of its energy stream's codes; 0: n

  bool multiplies() const { return design == "int8" || design == "decode"; }
  int histograms() const { return design == "counting" ? 4 : 1; }
  int rows() const;       // of the lane
  int term_bits() const;  // of a drained row
  int sum_bits() const;   // of post-processing
  int64_t init() const;   // what a drained row is set to
  int horizon() const;    // pairs that fit into a row in the worst case
};

// Which energy a cycle's toggles count for.
enum Phase { kOther = 0, kDense = 1, kMixed = 2, kDrain = 3, kIdle = 4 };

struct Vector {
  int phase = kOther;
  std::array<uint32_t, 4> in{};
  std::array<uint32_t, 3> mask{}, expected{};

  void set(int low, int bits, uint64_t value);     // of `in`
  void expect(int low, int bits, uint64_t value);  // compares these bits
  bool agrees(const std::array<uint32_t, 3>& out) const;
  std::string line() const;
};

}  // namespace dnateq::rtl
