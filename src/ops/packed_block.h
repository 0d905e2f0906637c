// PackedBlock: steps of a network between two attentions as one operation.
#pragma once

#include <memory>
#include <openvino/op/op.hpp>
#include <span>
#include <vector>

#include "core/row_block.h"

namespace dnateq::ops {

// PackedBlock(x_0 f32, ..., block u8) -> f32 for each output of the row block (core/row_block.h). The block's inputs
// are x_0 ...; all axes but the last are rows, and where those of two values differ they broadcast as NumPy's do.
class PackedBlock : public ov::op::Op {
 public:
  OPENVINO_OP("PackedBlock", "dnateq")
  PackedBlock();
  PackedBlock(const ov::OutputVector& inputs, const ov::Output<ov::Node>& block);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

  // Of its constant; the blobs point into that.
  RowBlock block() const;

 private:
  struct Outline;
  struct Prepared;
  void see_block();
  ov::OutputVector row_inputs() const;
  void prepare(std::span<const uint8_t> bytes) const;
  bool evaluate_broadcast(ov::TensorVector& outputs, const ov::TensorVector& inputs) const;

  std::shared_ptr<const Outline> outline_;  // null until a block was seen
  std::shared_ptr<Prepared> prepared_;
};

}  // namespace dnateq::ops
