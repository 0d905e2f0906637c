// Activation encoder: float32 -> the level integer of an int8-grid code, for the matmuls that multiply levels.
//
// x: rows x inputs floats; levels: rows x inputs bytes, int8_t, or uint8_t where the code has no negative level (then
// up to 255). The level is the one of Encoder's code for *every* float: NaN gives 0, an infinity the largest level of
// its sign. Sums of the levels, one a row, come for the price of an addition: signed matmuls correct by them.
//
// The implementations stand in one ordered list, fastest first, scalar last, as the matmuls do; all give the same
// bytes. Two of them cut the magnitudes into 256 or fewer cells of equal width, narrow enough that none holds two
// thresholds: the cell gives the first place a magnitude can lie in, and one comparison with the next threshold
// decides. Whether such cells exist is checked threshold by threshold when the encoder is built. Source: ours.
// Non-goals: stored codes (dnateq::Encoder), threads (the caller cuts the rows), exponential arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "dnateq/code.h"
#include "kernels/matmul.h"

namespace dnateq::kernels {

struct EncoderTables;

struct EncoderRows {
  const float* x;
  size_t x_stride;  // floats from row to row
  size_t rows, inputs;
  void* levels;          // int8_t, or uint8_t where the encoder is not signed; of any alignment
  size_t levels_stride;  // levels from row to row
  int32_t* sums;         // of each row's levels; may be null
};

class ActivationEncoder {
 public:
  // Throws Error if the code's levels are no integers of 8 bits.
  explicit ActivationEncoder(const TensorCode& code);

  bool is_signed() const;
  void encode(const EncoderRows& rows) const;
  // The same with the implementation of this name; throws Error, with the reason, where it does not take the code.
  void encode_with(std::string_view name, const EncoderRows& rows) const;
  // Every implementation in order; the first one without a refusal runs.
  std::vector<KernelVerdict> explain() const;

 private:
  std::shared_ptr<const EncoderTables> tables_;  // read only
};

}  // namespace dnateq::kernels
