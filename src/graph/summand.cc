#include "graph/summand.h"

#include <openvino/opsets/opset13.hpp>

namespace dnateq {
namespace {

namespace op = ov::opset13;

bool is_convolution(const ov::Node* node) {
  return ov::is_type<op::Convolution>(node) || ov::is_type<op::GroupConvolution>(node);
}

bool is_constant(const ov::Output<ov::Node>& output) { return ov::is_type<op::Constant>(output.get_node()); }

// A convolution's result or the same with its bias, read once.
bool is_summand(const ov::Output<ov::Node>& output) {
  if (output.get_target_inputs().size() != 1) return false;
  const ov::Node* node = output.get_node();
  if (is_convolution(node)) return true;
  if (!ov::is_type<op::Add>(node)) return false;
  for (size_t i = 0; i < 2; ++i) {
    const ov::Output<ov::Node> other = node->input_value(i);
    if (is_constant(node->input_value(1 - i)) && is_convolution(other.get_node()))
      return other.get_target_inputs().size() == 1;
  }
  return false;
}

}  // namespace

ov::Output<ov::Node> summand_of(const std::shared_ptr<ov::Node>& convolution) {
  if (!is_convolution(convolution.get())) return {};
  ov::Output<ov::Node> tensor = convolution->output(0);
  for (int step = 0; step < 2 && is_summand(tensor); ++step) {
    const ov::Input<ov::Node> reader = *tensor.get_target_inputs().begin();
    ov::Node* sum = reader.get_node();
    if (!ov::is_type<op::Add>(sum)) return {};
    const ov::Output<ov::Node> other = sum->input_value(1 - reader.get_index());
    if (is_constant(other)) {  // the bias
      tensor = sum->output(0);
      continue;
    }
    if (reader.get_index() == 1 && is_summand(other)) return {};
    return other.get_partial_shape().same_scheme(tensor.get_partial_shape()) ? tensor : ov::Output<ov::Node>();
  }
  return {};
}

}  // namespace dnateq
