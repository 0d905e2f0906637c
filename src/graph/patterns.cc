#include "graph/patterns.h"

#include <algorithm>
#include <openvino/opsets/opset13.hpp>

namespace dnateq {
namespace {

namespace op = ov::opset13;

bool is_convolution(const ov::Node* node) {
  return ov::is_type<op::Convolution>(node) || ov::is_type<op::GroupConvolution>(node);
}

// A convolution's result or the same with its bias, read once.
bool is_operand(const ov::Output<ov::Node>& output) {
  if (!only_reader(output)) return false;
  if (is_convolution(output.get_node())) return true;
  const std::optional<ConstantAdd> bias = constant_add(output.get_node());
  return bias && is_convolution(bias->tensor().get_node()) && only_reader(bias->tensor());
}

}  // namespace

std::optional<ov::Input<ov::Node>> only_reader(const ov::Output<ov::Node>& output) {
  const auto readers = output.get_target_inputs();
  if (readers.size() != 1) return {};
  return *readers.begin();
}

std::shared_ptr<ov::op::v0::Constant> ConstantAdd::constant() const {
  return ov::as_type_ptr<op::Constant>(add->get_input_node_shared_ptr(constant_port));
}

std::vector<double> ConstantAdd::change(std::span<const double> values, const ov::Shape& shape) const {
  const auto old = constant();
  std::vector<float> sum = old->cast_vector<float>();
  sum.resize(values.size(), sum[0]);
  std::vector<double> changed;
  for (size_t c = 0; c < sum.size(); ++c) {
    const auto before = static_cast<double>(sum[c]);
    sum[c] = static_cast<float>(before + values[c]);
    changed.push_back(static_cast<double>(sum[c]) - before);
  }
  const auto merged = op::Constant::create(ov::element::f32, shape, sum);
  merged->set_friendly_name(old->get_friendly_name());
  add->input(constant_port).replace_source_output(merged);
  return changed;
}

std::optional<ConstantAdd> constant_add(ov::Node* node) {
  if (!ov::is_type<op::Add>(node)) return {};
  for (const size_t port : {size_t{0}, size_t{1}})
    if (ov::is_type<op::Constant>(node->get_input_node_ptr(port))) return ConstantAdd{node, port};
  return {};
}

std::optional<ConstantAdd> constant_add_after(const ov::Output<ov::Node>& tensor) {
  const std::optional<ov::Input<ov::Node>> reader = only_reader(tensor);
  return reader ? constant_add(reader->get_node()) : std::nullopt;
}

ov::Output<ov::Node> after_constant_adds(ov::Output<ov::Node> tensor) {
  while (const std::optional<ConstantAdd> next = constant_add_after(tensor)) tensor = next->sum();
  return tensor;
}

bool is_one_a_channel(const ov::Shape& shape, size_t channels, size_t axes_behind) {
  const size_t values = ov::shape_size(shape);
  if (values == 1) return true;
  return values == channels && axes_behind < shape.size() && shape[shape.size() - 1 - axes_behind] == channels;
}

bool is_square(const ov::Node& node) {
  if (ov::is_type<op::Multiply>(&node)) return node.input_value(0) == node.input_value(1);
  if (!ov::is_type<op::Power>(&node)) return false;
  const auto exponent = ov::as_type_ptr<op::Constant>(node.get_input_node_shared_ptr(1));
  return exponent && ov::shape_size(exponent->get_shape()) == 1 && exponent->cast_vector<float>()[0] == 2.0F;
}

bool is_averaged_over_channels(const ov::Node& square) {
  const ov::PartialShape& shape = square.get_output_partial_shape(0);
  if (shape.rank().is_dynamic()) return false;
  const int64_t last = shape.rank().get_length() - 1;
  const auto readers = square.output(0).get_target_inputs();
  return std::all_of(readers.begin(), readers.end(), [&](const ov::Input<ov::Node>& reader) {
    if (!ov::is_type<op::ReduceMean>(reader.get_node())) return false;
    const auto axes = ov::as_type_ptr<op::Constant>(reader.get_node()->get_input_node_shared_ptr(1));
    if (!axes) return false;
    const std::vector<int64_t> values = axes->cast_vector<int64_t>();
    return values == std::vector<int64_t>{-1} || values == std::vector<int64_t>{last};
  });
}

ov::Output<ov::Node> residual_operand_of(const std::shared_ptr<ov::Node>& convolution) {
  if (!is_convolution(convolution.get())) return {};
  ov::Output<ov::Node> tensor = convolution->output(0);
  if (const std::optional<ConstantAdd> bias = constant_add_after(tensor)) tensor = bias->sum();
  if (!is_operand(tensor)) return {};
  const ov::Input<ov::Node> reader = *only_reader(tensor);
  const ov::Node* sum = reader.get_node();
  if (!ov::is_type<op::Add>(sum)) return {};
  const ov::Output<ov::Node> other = sum->input_value(1 - reader.get_index());
  if (ov::is_type<op::Constant>(other.get_node())) return {};  // a second constant
  if (reader.get_index() == 1 && is_operand(other)) return {};
  return other.get_partial_shape().same_scheme(tensor.get_partial_shape()) ? tensor : ov::Output<ov::Node>();
}

}  // namespace dnateq
