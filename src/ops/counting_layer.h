// Layers in the exponent domain, as OpenVINO operations: the whole product by counting (kernels/counting_layer.h).
//
//   CountingConvolution(x f32, weights blob, code blob) -> f32: gamma * the counted sums, [N, C, H, W] or [N, C, W] as
//                                                          the convolution's own; grouped, depthwise, strided, ... all
//   CountingMatMul(x f32, weights blob, code blob)      -> f32; the last axis of x times the weights
//
// x is encoded by the second blob's code, which shares its base with the weights'; both are of exponential arithmetic.
// Whatever else the layer adds follows as operations of its own. Slow: some 100 ms for 41 million pairs on two cores.
#pragma once

#include <memory>
#include <openvino/op/op.hpp>
#include <vector>

#include "ops/ops.h"

namespace dnateq::ops {

class CountingLayer : public ov::op::Op {
 public:
  void validate_and_infer_types() override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

  virtual const LevelWindows* windows() const { return nullptr; }  // of convolutions
  virtual int64_t groups() const { return 1; }

 protected:
  struct Prepared;
  CountingLayer();
  void copy_to(CountingLayer& clone, const ov::OutputVector& inputs) const;

 private:
  void prepare(const ov::TensorVector& inputs) const;
  ov::PartialShape output_shape(const ov::PartialShape& x) const;

  std::vector<int64_t> weight_shape_;  // empty until a constant blob was seen
  int64_t channels_ = -1, inputs_ = -1;
  std::vector<VerifiedHeader> verified_;
  std::shared_ptr<Prepared> prepared_;
};

class CountingConvolution : public CountingLayer {
 public:
  OPENVINO_OP("CountingConvolution", "dnateq")
  CountingConvolution() = default;
  CountingConvolution(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& weights,
                      const ov::Output<ov::Node>& code, LevelWindows windows, int64_t groups);

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  const LevelWindows* windows() const override { return &windows_; }
  int64_t groups() const override { return groups_; }

 private:
  LevelWindows windows_;
  int64_t groups_ = 1;
};

class CountingMatMul : public CountingLayer {
 public:
  OPENVINO_OP("CountingMatMul", "dnateq")
  CountingMatMul() = default;
  CountingMatMul(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& weights, const ov::Output<ov::Node>& code);

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
};

}  // namespace dnateq::ops
