// Row blocks: a short list of steps over rows of float32 values, with the weights that they need, as one u8 constant
// that PackedBlock (ops/ops.h) reads. One call then does what would be a chain of them: a decoder layer of a language
// model between two attentions is one block.
//
// Every value is a matrix: rows, which the steps do not count, of `width` values. Values are numbered: the inputs
// first, then one a step. A step takes values that come before its own.
//
// Layout, little-endian, no padding between sections (readers copy, as those of blob.h do):
//    0  u32  magic "DNTB"              12  u32  steps                    28  u32  matrices
//    4  u16  format version, 1 or 2    16  u64  size of the block        32  u32  vectors
//    6  u16  inputs                    24  u32  outputs                  36  u32  reserved, 0
//    8  u32  CRC-32 of bytes 12 ...
//   40  u64 width[inputs], then for each step: u32 kind, u32 a, u32 b, u32 constant, f32 epsilon, u32 reserved, u64
//       begin, u64 width; u32 value[outputs]; for each matrix: u64 bytes of the name, of the blob and values of the
//       bias; for each vector: u64 values; then names, blobs and biases, matrix by matrix, and the vectors' f32.
// Biases are f32 in version 1, f16 in version 2, which is written where that loses nothing.
// Non-goals: values of other types, control flow, anything that mixes rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dnateq {

inline constexpr size_t kRowBlockHeaderBytes = 40;

enum class RowStepKind : uint32_t {
  kMatMul = 1,     // a . matrices[constant] + its bias; a's rows are rounded to int8 as they come
  kAdd = 2,        // a + b
  kMultiply = 3,   // a * b
  kScale = 4,      // a * vectors[constant]
  kShift = 5,      // a + vectors[constant]
  kRmsNorm = 6,    // a / sqrt(mean of a's squares + epsilon)
  kMeanNorm = 7,   // the same of a less its mean
  kSwish = 8,      // a / (1 + exp(-a))
  kGeluErf = 9,    // a * (1 + erf(a / sqrt(2))) / 2
  kGeluTanh = 10,  // the same by OpenVINO's tanh approximation
  kSlice = 11,     // `width` values of a from `begin` on
  kHadamard = 12,  // hadamard.h of a, in blocks of `begin` values
};

struct RowStep {
  RowStepKind kind = RowStepKind::kAdd;
  uint32_t a = 0, b = 0, constant = 0;  // b and constant: 0 where the kind has none
  float epsilon = 0;
  uint64_t begin = 0, width = 0;  // width of the step's value; begin: of a slice and of Hadamard transforms
};

struct RowBlock {
  struct Matrix {
    std::string name;               // of the layer
    std::span<const uint8_t> blob;  // of weights (blob.h); points into the bytes that were read
    std::vector<float> bias;        // one a channel, or none
  };
  std::vector<uint64_t> input_widths;
  std::vector<RowStep> steps;
  std::vector<uint32_t> outputs;  // values of steps, each once
  std::vector<Matrix> matrices;
  std::vector<std::vector<float>> vectors;

  size_t value_count() const { return input_widths.size() + steps.size(); }
  uint64_t width(size_t value) const {
    return value < input_widths.size() ? input_widths[value] : steps[value - input_widths.size()].width;
  }
};

bool takes_two_values(RowStepKind kind);

// Throws Error where the steps do not fit each other or what they read (a bug of the caller).
std::vector<uint8_t> write_row_block(const RowBlock& block);
// Checks everything but the CRCs of the blobs; `source` names the layer. Throws Error.
RowBlock read_row_block(std::span<const uint8_t> bytes, const std::string& source);
// Whether bytes begin as a row block does.
bool is_row_block(std::span<const uint8_t> bytes);

}  // namespace dnateq
