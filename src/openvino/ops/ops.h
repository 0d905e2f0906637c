// Our OpenVINO operations, opset "dnateq". An incompatible successor gets another opset name ("dnateq2"): the type that
// an IR names is the version. Each takes its parameters as one u8 constant (blob.h).
//
//   ExponentialQuantize(x f32, blob)            -> f32, the nearest levels of x, same shape (dynamic shapes kept)
//   ExponentialWeights(blob)                    -> f32 weight tensor; folded into a constant when compiled
//   ExponentialEmbedding(blob, indices i32|i64) -> f32, indices.shape + [width]; decodes only the rows looked up;
//                                                  like Gather: negative indices count from the end, others give zeros
//   PackedMatMul(x f32, blob_0, bias_0, ...)    -> f32 per blob, x . weights + bias (bias f32, perhaps empty); x is
//                                                  rounded to int8 row by row at run time, sums are exact (src/kernels)
//
// Damaged data is an ov::Exception with a dnateq::Error's sentence at load or compile, never a crash. evaluate() may
// run concurrently on one object: what it prepares is built once, then only read. Convolutions, and MatMuls but for
// PackedMatMul, are OpenVINO's own.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <openvino/core/extension.hpp>
#include <openvino/op/op.hpp>
#include <vector>

#include "openvino/blob.h"

namespace dnateq::ops {

using VerifiedHeader = std::array<uint8_t, kBlobHeaderBytes>;  // of the blob whose CRC was checked last

class ExponentialQuantize : public ov::op::Op {
 public:
  OPENVINO_OP("ExponentialQuantize", "dnateq")
  ExponentialQuantize() = default;
  ExponentialQuantize(const ov::Output<ov::Node>& values, const ov::Output<ov::Node>& blob);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  struct Prepared;
  VerifiedHeader verified_{};
  mutable std::once_flag once_;
  mutable std::shared_ptr<const Prepared> prepared_;
};

class ExponentialWeights : public ov::op::Op {
 public:
  OPENVINO_OP("ExponentialWeights", "dnateq")
  ExponentialWeights() = default;
  explicit ExponentialWeights(const ov::Output<ov::Node>& blob);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  VerifiedHeader verified_{};
  ov::Shape shape_;  // empty until a constant blob was seen
};

class ExponentialEmbedding : public ov::op::Op {
 public:
  OPENVINO_OP("ExponentialEmbedding", "dnateq")
  ExponentialEmbedding() = default;
  ExponentialEmbedding(const ov::Output<ov::Node>& blob, const ov::Output<ov::Node>& indices);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  struct Prepared;
  VerifiedHeader verified_{};
  int64_t width_ = -1;  // -1 until a constant blob was seen
  mutable std::once_flag once_;
  mutable std::shared_ptr<const Prepared> prepared_;
};

class PackedMatMul : public ov::op::Op {
 public:
  OPENVINO_OP("PackedMatMul", "dnateq")
  PackedMatMul();
  // Several layers that read one tensor share its rounding and one call.
  PackedMatMul(const ov::Output<ov::Node>& x, const ov::OutputVector& blobs_and_biases);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  struct Prepared;
  void prepare(const ov::TensorVector& inputs) const;

  std::vector<VerifiedHeader> verified_;
  std::vector<int64_t> channels_;  // -1 until a constant blob was seen
  std::shared_ptr<Prepared> prepared_;
};

// For ov::Core::add_extension in programs that link us; others load libdnateq_openvino.so.
std::vector<ov::Extension::Ptr> operation_extensions();

}  // namespace dnateq::ops
