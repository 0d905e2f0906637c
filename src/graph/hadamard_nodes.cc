#include "graph/hadamard_nodes.h"

#include <algorithm>
#include <openvino/opsets/opset13.hpp>
#include <vector>

#include "core/hadamard.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

std::vector<float> matrix_of(size_t block) {
  std::vector<float> matrix(block * block, 0.0F);
  for (size_t i = 0; i < block; ++i) matrix[i * block + i] = 1.0F;
  hadamard(matrix, block);
  return matrix;
}

std::shared_ptr<ov::Node> reshaped(const ov::Output<ov::Node>& x, std::vector<int64_t> last) {
  std::vector<int64_t> shape(static_cast<size_t>(x.get_partial_shape().rank().get_length()) - 1, 0);
  if (last.size() < 2) shape.pop_back();  // a block's axis goes
  shape.insert(shape.end(), last.begin(), last.end());
  return std::make_shared<op::Reshape>(x, op::Constant::create(ov::element::i64, ov::Shape{shape.size()}, shape), true);
}

}  // namespace

ov::Output<ov::Node> hadamard_of(const ov::Output<ov::Node>& x, int64_t width, int64_t block, const std::string& name) {
  const auto side = static_cast<size_t>(block);
  const auto matrix = op::Constant::create(ov::element::f32, ov::Shape{side, side}, matrix_of(side));
  const auto blocks = reshaped(x, {width / block, block});
  const auto turned = std::make_shared<op::MatMul>(blocks, matrix, false, false);
  const auto whole = reshaped(turned, {width});
  blocks->set_friendly_name(name + "/blocks");
  turned->set_friendly_name(name + "/product");
  matrix->set_friendly_name(name + "/matrix");
  whole->set_friendly_name(name);
  return whole;
}

std::optional<HadamardNodes> hadamard_behind(const ov::Output<ov::Node>& output) {
  if (!ov::is_type<op::Reshape>(output.get_node())) return {};
  const auto product = ov::as_type_ptr<op::MatMul>(output.get_node()->get_input_node_shared_ptr(0));
  if (!product || product->get_transpose_a() || !ov::is_type<op::Reshape>(product->get_input_node_ptr(0))) return {};
  const auto matrix = ov::as_type_ptr<op::Constant>(product->get_input_node_shared_ptr(1));
  if (!matrix || matrix->get_element_type() != ov::element::f32) return {};
  const ov::Shape& shape = matrix->get_shape();
  if (shape.size() != 2 || shape[0] != shape[1] || hadamard_block(shape[0]) != shape[0]) return {};
  const ov::Output<ov::Node> x = product->get_input_node_ptr(0)->input_value(0);
  if (x.get_partial_shape() != output.get_partial_shape()) return {};
  const std::vector<float> wanted = matrix_of(shape[0]);
  if (!std::equal(wanted.begin(), wanted.end(), matrix->get_data_ptr<float>())) return {};
  return HadamardNodes{x, static_cast<int64_t>(shape[0]), matrix->get_data_ptr()};
}

}  // namespace dnateq
