// Our OpenVINO operations, opset "dnateq". An incompatible successor gets another opset name ("dnateq2"): the type that
// an IR names is the version. Each takes its parameters as one u8 constant (blob.h).
//
//   ExponentialQuantize(x f32, blob)            -> f32, the nearest levels of x, same shape (dynamic shapes kept)
//   ExponentialWeights(blob)                    -> f32 weight tensor; folded into a constant when compiled
//   ExponentialLevels(blob of an int8 grid)     -> i8 levels in the weights' shape, f32 channel scales beside
//                                                  them; folded into constants when compiled
//   ExponentialEmbedding(blob_0, ..., indices)  -> f32, indices.shape + [width] (indices i32 or i64); decodes only the
//                                                  rows looked up, those of blob_1 follow those of blob_0, and so on;
//                                                  like Gather: negative indices count from the end, others give zeros
//   HadamardTransform(x f32)                    -> f32, the same shape: core/hadamard.h in blocks of the last axis
//   PackedHead(x f32, blob_0, bias_0, ...)      -> PackedMatMul, or PackedTable where there are several blobs, and a
//                                                  MatMul to those who look for one
//   PackedTable(x f32, blob_0, bias_0, ...)     -> f32, what PackedMatMul gives for each blob, side by side
//   PackedMatMul(x f32, blob_0, bias_0, ...)    -> f32 per blob, x . weights + bias (bias f32, perhaps empty); x is
//                                                  rounded to int8 row by row at run time, sums are exact (src/kernels)
//   PackedBlock(x_0 f32, ..., block)            -> several of them with the sums, norms and activations between
//                                                  (packed_block.h)
//
// Layers on levels: tensors of i8 (u8 where a code has no negative level) hold the integers that a code's levels are,
// images channels last: [N, H, W, C] or [N, W, C].
//
//   ExponentialEncode(x f32, blob)              -> levels of the code, same shape; images from channels first on demand
//   LevelConvolution(levels, weights blob, blob of the levels' code, bias f32 or empty, [residual f32], code blobs ...)
//   LevelMatMul(the same)                       -> [values f32], then levels by each of the code blobs, of
//                                                  activation(levels . weights + bias + residual); sums are exact
//   LevelMaxPool(levels)                        -> levels of the same code
//   ImageMean(x f32 [N, H, W, C] or [N, W, C])  -> f32 [N, C]; sums in double, pixel after pixel, so that all CPUs
//                                                  give the same bits
//
// Damaged data is an ov::Exception with a dnateq::Error's sentence at load or compile, never a crash. evaluate() may
// run concurrently on one object: what it prepares is built once, then only read.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <openvino/core/extension.hpp>
#include <openvino/op/matmul.hpp>
#include <openvino/op/op.hpp>
#include <string>
#include <vector>

#include "core/blob.h"

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

// The weights as OpenVINO's INT8 passes want them, levels * scales, for layers whose table others of our operations
// read.
class ExponentialLevels : public ov::op::Op {
 public:
  OPENVINO_OP("ExponentialLevels", "dnateq")
  ExponentialLevels() = default;
  explicit ExponentialLevels(const ov::Output<ov::Node>& blob);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  VerifiedHeader verified_{};
  ov::Shape shape_, scale_shape_;  // empty until a constant blob was seen
};

class ExponentialEmbedding : public ov::op::Op {
 public:
  OPENVINO_OP("ExponentialEmbedding", "dnateq")
  ExponentialEmbedding() = default;
  ExponentialEmbedding(const ov::OutputVector& blobs, const ov::Output<ov::Node>& indices);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  struct Prepared;
  std::vector<VerifiedHeader> verified_;
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

 protected:
  explicit PackedMatMul(bool is_joined);
  void copy_to(PackedMatMul& clone, const ov::OutputVector& inputs) const;

 private:
  friend class PackedHead;
  struct Part;
  struct Prepared;
  void prepare(const ov::TensorVector& inputs) const;
  void prepare_constants() const;
  void infer(ov::Node& node);  // types of `node`, whose inputs are such as this operation's
  Part part_of(const ov::Tensor& blob, const ov::Tensor& bias) const;

  struct Seen {  // of a part's blob, once it was a constant
    VerifiedHeader header{};
    size_t bytes = 0;
    int64_t channels = -1, inputs = -1;
  };
  std::vector<Seen> seen_;
  bool is_joined_ = false;  // one output, in which the parts' stand side by side
  std::shared_ptr<Prepared> prepared_;
};

class PackedTable : public PackedMatMul {
 public:
  OPENVINO_OP("PackedTable", "dnateq", PackedMatMul)
  PackedTable() : PackedMatMul(true) {}

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
};

// A PackedMatMul of one part, or a PackedTable, which its copies are: the last layer of a language model. OpenVINO
// GenAI looks for a MatMul before the result of the network that it has read, and has it compute the last token alone;
// what is then compiled is a copy.
class PackedHead : public ov::op::v0::MatMul {
 public:
  OPENVINO_OP("PackedHead", "dnateq", ov::op::v0::MatMul)
  PackedHead();
  PackedHead(const ov::Output<ov::Node>& x, const ov::OutputVector& blobs_and_biases);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  const PackedMatMul& packed() const { return get_input_size() > 3 ? *table_ : *matmul_; }

  // In no network: what the one that fits the inputs keeps of the weights goes to its copies.
  std::shared_ptr<PackedMatMul> matmul_, table_;
};

class HadamardTransform : public ov::op::Op {
 public:
  OPENVINO_OP("HadamardTransform", "dnateq")
  HadamardTransform() = default;
  HadamardTransform(const ov::Output<ov::Node>& x, int64_t block);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

  int64_t block() const { return block_; }

 private:
  int64_t block_ = 1;
};

class ExponentialEncode : public ov::op::Op {
 public:
  OPENVINO_OP("ExponentialEncode", "dnateq")
  ExponentialEncode() = default;
  // `from_channels_first`: x is [N, C, H, W] or [N, C, W], the levels are channels last.
  ExponentialEncode(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& blob, bool from_channels_first);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

 private:
  struct Prepared;
  bool from_channels_first_ = false;
  VerifiedHeader verified_{};
  ov::element::Type type_ = ov::element::dynamic;  // until a constant blob was seen
  mutable std::once_flag once_;
  mutable std::shared_ptr<const Prepared> prepared_;
};

// What a layer on levels does with its sums, and what it gives.
struct LevelSteps {
  bool gives_values = false;  // output 0; levels follow
  bool adds_residual = false;
  std::string activation = "none";  // "relu", "clamp"
  double lowest = 0, highest = 0;   // of "clamp"
};

// Windows of an image, one entry for each spatial axis.
struct LevelWindows {
  std::vector<int64_t> strides, dilations, pads_begin, pads_end;
};

class LevelLayer : public ov::op::Op {
 public:
  static constexpr size_t kMostLevelOutputs = 8;

  struct Inputs {
    ov::Output<ov::Node> levels, weights, code, bias, residual;  // residual: where steps.adds_residual
    ov::OutputVector codes_of_outputs;
  };

  void validate_and_infer_types() override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

  const LevelSteps& steps() const { return steps_; }
  virtual int64_t groups() const { return 1; }
  virtual const LevelWindows* windows() const { return nullptr; }  // of convolutions
  size_t first_level_output() const { return steps_.gives_values ? 1 : 0; }

 protected:
  struct Prepared;
  LevelLayer();
  LevelLayer(const Inputs& inputs, LevelSteps steps);
  void copy_to(LevelLayer& clone, const ov::OutputVector& inputs) const;

  virtual ov::PartialShape output_shape(const ov::PartialShape& levels) const = 0;

  std::vector<int64_t> weight_shape_;  // empty until a constant blob was seen
  int64_t channels_ = -1, inputs_ = -1;

 private:
  void prepare(const ov::TensorVector& inputs) const;
  size_t first_code() const { return steps_.adds_residual ? 5 : 4; }

  LevelSteps steps_;
  std::vector<VerifiedHeader> verified_;
  ov::element::Type input_type_ = ov::element::dynamic;
  std::vector<ov::element::Type> types_;  // of the outputs' levels
  std::shared_ptr<Prepared> prepared_;
};

class LevelConvolution : public LevelLayer {
 public:
  OPENVINO_OP("LevelConvolution", "dnateq")
  LevelConvolution() = default;
  LevelConvolution(const Inputs& inputs, LevelSteps steps, LevelWindows windows, int64_t groups);

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  int64_t groups() const override { return groups_; }
  const LevelWindows* windows() const override { return &windows_; }

 private:
  ov::PartialShape output_shape(const ov::PartialShape& levels) const override;

  LevelWindows windows_;
  int64_t groups_ = 1;
};

// The last axis of the levels times the weights.
class LevelMatMul : public LevelLayer {
 public:
  OPENVINO_OP("LevelMatMul", "dnateq")
  LevelMatMul() = default;
  LevelMatMul(const Inputs& inputs, LevelSteps steps);

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;

 private:
  ov::PartialShape output_shape(const ov::PartialShape& levels) const override;
};

class LevelMaxPool : public ov::op::Op {
 public:
  OPENVINO_OP("LevelMaxPool", "dnateq")
  LevelMaxPool() = default;
  LevelMaxPool(const ov::Output<ov::Node>& levels, LevelWindows windows, std::vector<int64_t> kernel);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }

  const LevelWindows& windows() const { return windows_; }
  const std::vector<int64_t>& kernel() const { return kernel_; }

 private:
  LevelWindows windows_;
  std::vector<int64_t> kernel_;
};

class ImageMean : public ov::op::Op {
 public:
  OPENVINO_OP("ImageMean", "dnateq")
  ImageMean() = default;
  explicit ImageMean(const ov::Output<ov::Node>& x);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
  bool has_evaluate() const override { return true; }
};

// For ov::Core::add_extension in programs that link us; others load libdnateq_openvino.so.
std::vector<ov::Extension::Ptr> operation_extensions();

}  // namespace dnateq::ops
