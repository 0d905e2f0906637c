// Operations that only live inside the search: they stand on a tensor and can be set without compiling again.
#pragma once

#include <memory>
#include <openvino/op/op.hpp>

#include "dnateq/code.h"

namespace dnateq {

// What a tap does at present; shared between the graph that was built and every compiled copy of it. Set only while
// nothing runs.
struct TapState {
  std::shared_ptr<const Encoder> encoder;  // rounds to the code's levels; null: passes through
};

class Tap : public ov::op::Op {
 public:
  OPENVINO_OP("Tap", "dnateq_search");
  Tap() = default;
  Tap(const ov::Output<ov::Node>& input, std::shared_ptr<TapState> state);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }

  const std::shared_ptr<TapState>& state() const { return state_; }

 private:
  std::shared_ptr<TapState> state_;
};

}  // namespace dnateq
