// One form of MatMul, whatever the file had.
#include <algorithm>
#include <vector>

#include "graph/import/passes.h"

namespace dnateq::import_passes {
namespace {

std::shared_ptr<op::Transpose> swap_last_axes(const ov::Output<ov::Node>& value, int64_t rank) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) order[static_cast<size_t>(i)] = i;
  std::swap(order[static_cast<size_t>(rank - 1)], order[static_cast<size_t>(rank - 2)]);
  return std::make_shared<op::Transpose>(value, op::Constant::create(ov::element::i64, {order.size()}, order));
}

}  // namespace

// Every MatMul with constant weights takes them as its second input, rank 2, and its activations untransposed.
void normalize_matmuls(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    const auto matmul = ov::as_type_ptr<op::MatMul>(node);
    if (!matmul) continue;
    const ConstantPtr left = constant_of(matmul->input_value(0)), right = constant_of(matmul->input_value(1));
    if ((left != nullptr) == (right != nullptr)) continue;
    const size_t at = left ? 1 : 0;
    const auto rank = matmul->get_input_partial_shape(at).rank();
    if (rank.is_dynamic() || rank.get_length() < 2) continue;
    ov::Output<ov::Node> weights = left ? left->output(0) : right->output(0);
    ov::Shape shape = weights.get_shape();
    if (shape.size() < 2) continue;
    if (shape.size() > 2) {
      const bool only_ones = std::all_of(shape.begin(), shape.end() - 2, [](size_t d) { return d == 1; });
      if (!only_ones || rank.get_length() < static_cast<int64_t>(shape.size())) continue;
      const ConstantPtr constant = constant_of(weights);
      weights = std::make_shared<op::Constant>(*constant, ov::Shape(shape.end() - 2, shape.end()));
      matmul->input(1 - at).replace_source_output(weights);
    }
    const bool swap = left != nullptr;  // W X = (X^T W^T)^T
    bool activation_transposed = swap ? !matmul->get_transpose_b() : matmul->get_transpose_a();
    const bool weights_transposed = swap ? !matmul->get_transpose_a() : matmul->get_transpose_b();
    if (!swap && !activation_transposed) continue;
    ov::Output<ov::Node> activation = matmul->input_value(at);
    if (activation_transposed) activation = swap_last_axes(activation, rank.get_length());
    const auto product = std::make_shared<op::MatMul>(activation, weights, false, weights_transposed);
    product->set_friendly_name(matmul->get_friendly_name());
    if (!swap) {
      ov::replace_node(matmul, product);
      continue;
    }
    const auto result = swap_last_axes(product, rank.get_length());
    result->set_friendly_name(matmul->get_friendly_name() + "/transposed");
    ov::replace_node(matmul, result);
    product->set_friendly_name(matmul->get_friendly_name());
  }
}

}  // namespace dnateq::import_passes
