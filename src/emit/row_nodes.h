// Nodes of a network that work row by row, on the last axis alone, as the steps of row blocks (core/row_block.h) that
// they are. For join_packed.cc alone.
#pragma once

#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <vector>

#include "core/row_block.h"

namespace dnateq::emission {

struct RowNode {
  std::shared_ptr<ov::Node> node;  // of a norm that is written out: the last one of it
  RowStepKind kind;           // kMatMul: a PackedMatMul, a step for each part; kSlice: a split, one for each output
  ov::OutputVector inputs;    // rows, one or two
  int64_t width = 0;          // of each input
  std::vector<float> vector;  // of kScale and kShift, as wide as a row
  float epsilon = 0;
  ov::NodeVector inner;  // of a norm that is written out: what stands between its input and `node`, the last one first
  int64_t block = 0;     // of a Hadamard transform
};

// None where the node is no step, or may be one that mixes rows. Of two operands that are not constants the shapes must
// be the same as far as the network tells.
std::optional<RowNode> row_node(const std::shared_ptr<ov::Node>& node);

// Whether it gives as many rows and values as the one thing that it reads has.
bool keeps_shape(const RowNode& node);

}  // namespace dnateq::emission
