// The five accelerators that are compared. They share memory, network, buffers and array; their processing elements
// differ.
#pragma once

#include <string>
#include <vector>

namespace dnateq::accelerator {

enum class Design {
  kInt8,           // baseline: 8-bit multiply-accumulate, zero operands gated
  kCounting,       // the paper's: histograms of i + j, i, j and the sign
  kCountingBeta0,  // beta = 0: the histogram of i + j alone
  kShift,          // beta = 0, base = 2^(1/q): shift by (i + j) div q into one of q accumulators (ours)
  kDecode,         // exponent -> int8 level by a table, then the baseline's multiply-accumulate (ours)
};

const char* to_string(Design design);                // "int8", "counting", "counting-beta0", "shift", "decode"
Design design_from_string(const std::string& text);  // throws Error that lists the names
std::vector<Design> all_designs();

}  // namespace dnateq::accelerator
