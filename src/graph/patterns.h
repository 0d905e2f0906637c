// Patterns in a network that more than one stage looks for: constants that are added to tensors, and the additions of
// residual networks.
//
// OpenVINO's INT8 convolutions take over the addition that follows them, and the rounding after that, only if both
// operands have 8 bits. One usually has: it is what an earlier convolution reads. Where the other is a convolution's
// result in float32, addition and rounding run as a pass over the memory of their own (ResNet-50 at batch 8: 12 of 180
// ms). So emission rounds it. Ours; `exact` rounds no operands.
#pragma once

#include <cstddef>
#include <memory>
#include <openvino/op/constant.hpp>
#include <openvino/openvino.hpp>
#include <optional>
#include <span>
#include <vector>

namespace dnateq {

// None if nothing or more than one thing reads it.
std::optional<ov::Input<ov::Node>> only_reader(const ov::Output<ov::Node>& output);

// An Add of a Constant to a computed tensor, as biases and means are added.
struct ConstantAdd {
  ov::Node* add = nullptr;
  size_t constant_port = 0;

  std::shared_ptr<ov::op::v0::Constant> constant() const;
  ov::Output<ov::Node> tensor() const { return add->input_value(1 - constant_port); }
  ov::Output<ov::Node> sum() const { return add->output(0); }
  // Puts the sum of the constant, which must be of float32, and of one value a channel into its place, in `shape`.
  // Returns what was added to each channel as float32 has it.
  std::vector<double> change(std::span<const double> values, const ov::Shape& shape) const;
};

// None if the node is no such Add. Of two constants the first counts.
std::optional<ConstantAdd> constant_add(ov::Node* node);
// The one that alone reads the tensor.
std::optional<ConstantAdd> constant_add_after(const ov::Output<ov::Node>& tensor);
// The tensor itself, or with all constants that are added to it and to nothing else.
ov::Output<ov::Node> after_constant_adds(ov::Output<ov::Node> tensor);

// Whether a Constant of that shape has one value for each of `channels`, whose axis has `axes_behind` others behind it,
// or one for all.
bool is_one_a_channel(const ov::Shape& shape, size_t channels, size_t axes_behind);

// x * x, or x to the power of 2.
bool is_square(const ov::Node& node);
// Whether all that reads a square is its mean over the last axis, as an RMS normalization takes it.
bool is_averaged_over_channels(const ov::Node& square);

// The tensor, bias included, by which `convolution` enters a sum with another computed tensor. None if something else
// reads it too, or if an earlier input of the sum is one already: a sum needs only one.
ov::Output<ov::Node> residual_operand_of(const std::shared_ptr<ov::Node>& convolution);

}  // namespace dnateq
