// Runs the steps of a row block (core/row_block.h) on float32 rows.
//
// Steps are merged where one pass does both (a norm and its gain, an activation and the product with another value, a
// matmul and the sum with a residual) and put into phases: functions of rows, then the rounding of the rows that
// matmuls read, then all matmuls that are ready. What a phase computes is, bit for bit, what its steps compute one by
// one: quantize_rows, matmul and row_functions() define it, at any number of threads.
//
// Few rows: the calling thread runs the functions, and a crew shares the panels of each phase's matmuls. Many rows:
// functions are parallel over rows and each matmul in itself; more than kMostRows are run part by part, which bounds
// the memory that a thread keeps.
// Concurrent calls may share a program. While a call waits for its threads, the calling thread must not start another:
// isolate it (tbb::this_task_arena::isolate).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/row_block.h"
#include "kernels/packed_weights.h"

namespace dnateq::kernels {

class RowProgram {
 public:
  static constexpr size_t kMostRows = 512;

  struct Matrix {
    PackedWeights weights;
    std::vector<float> scale, bias;  // one a channel; bias perhaps empty
  };
  // `block` as read_row_block gives it; its spans are not kept. Throws Error where a matmul's sums may overflow.
  RowProgram(const RowBlock& block, std::vector<Matrix> matrices);

  // inputs: rows x width each, outputs in the order of the block's.
  void run(const std::vector<const float*>& inputs, size_t rows, const std::vector<float*>& outputs) const;

  const std::vector<Matrix>& matrices() const { return matrices_; }
  size_t phases() const { return phases_.size(); }

 private:
  friend class RowProgramMaker;
  enum class Home { kInput, kOutput, kSlot };
  struct Place {  // of a value: columns [begin, begin + width) of a matrix of `stride` columns
    Home home = Home::kSlot;
    size_t index = 0, begin = 0, stride = 0;
  };
  struct RowOperation {
    RowStepKind kind;
    Place a, y;
    std::optional<Place> b;
    std::optional<size_t> vector;
    float epsilon = 0;
    size_t width = 0;
    size_t block = 0;  // of a Hadamard transform
  };
  struct Rounding {  // of a value to int8
    Place x;
    size_t width = 0, columns_before = 0;  // of the phase's other values
  };
  struct Product {
    size_t matrix = 0, rounding = 0;
    Place y;
    std::optional<Place> residual;
  };
  struct Phase {
    std::vector<RowOperation> operations;
    std::vector<Rounding> roundings;
    std::vector<Product> products;
  };
  struct Buffers;
  class Run;

  std::vector<Matrix> matrices_;
  std::vector<std::vector<float>> vectors_;
  std::vector<uint64_t> input_widths_, output_widths_;
  std::vector<Phase> phases_;
  std::vector<size_t> slot_widths_;
  size_t rounded_columns_ = 0, most_roundings_ = 0;  // most of a phase
  double nanoseconds_ = 0;                           // of reading the weights once
};

}  // namespace dnateq::kernels
