#include "emit/row_nodes.h"

#include <algorithm>
#include <cmath>
#include <openvino/opsets/opset13.hpp>

#include "core/blob.h"
#include "ops/ops.h"

namespace dnateq::emission {
namespace {

namespace op = ov::opset13;
using NodePtr = std::shared_ptr<ov::Node>;
using NodeOutput = ov::Output<ov::Node>;

bool are_rows(const NodeOutput& output) {
  const ov::PartialShape& shape = output.get_partial_shape();
  return output.get_element_type() == ov::element::f32 && shape.rank().is_static() && shape.size() >= 2 &&
         shape[shape.size() - 1].is_static() && shape[shape.size() - 1].get_length() > 1;
}

int64_t width_of(const NodeOutput& output) {
  const ov::PartialShape& shape = output.get_partial_shape();
  return shape[shape.size() - 1].get_length();
}

std::shared_ptr<op::Constant> float_constant(const NodeOutput& output) {
  const auto constant = ov::as_type_ptr<op::Constant>(output.get_node_shared_ptr());
  return constant && constant->get_element_type() == ov::element::f32 ? constant : nullptr;
}

std::optional<float> one_value(const NodeOutput& output) {
  const auto constant = float_constant(output);
  if (!constant || ov::shape_size(constant->get_shape()) != 1) return std::nullopt;
  return constant->get_data_ptr<float>()[0];
}

bool is_value(const NodeOutput& output, float value) { return one_value(output) == value; }

// One value for each of a row, or one for all, in a shape that does not widen `rows`.
std::vector<float> vector_of(const NodeOutput& output, const NodeOutput& rows) {
  const auto constant = float_constant(output);
  const auto width = static_cast<size_t>(width_of(rows));
  if (!constant || constant->get_shape().size() > rows.get_partial_shape().size()) return {};
  const ov::Shape& shape = constant->get_shape();
  const size_t values = ov::shape_size(shape);
  if (values == 1) return std::vector<float>(width, constant->get_data_ptr<float>()[0]);
  if (values != width || shape.back() != width) return {};
  return constant->cast_vector<float>();
}

bool is_over_last_axis(const NodeOutput& axes, const NodeOutput& x) {
  const auto constant = ov::as_type_ptr<op::Constant>(axes.get_node_shared_ptr());
  if (!constant) return false;
  const std::vector<int64_t> values = constant->cast_vector<int64_t>();
  const auto rank = static_cast<int64_t>(x.get_partial_shape().size());
  return values.size() == 1 && (values[0] == -1 || values[0] == rank - 1);
}

// Matches upwards from the last node of an RMS norm, x * 1 / sqrt(mean(x^2) + epsilon).
class RmsNorm {
 public:
  static std::optional<RowNode> ending_in(const NodePtr& node) {
    const bool divides = ov::is_type<op::Divide>(node);
    if (!divides && !ov::is_type<op::Multiply>(node)) return std::nullopt;
    for (const size_t port : {size_t{0}, size_t{1}}) {
      if (divides && port == 1) break;
      const NodeOutput x = node->input_value(port), factor = node->input_value(1 - port);
      if (!are_rows(x)) continue;
      RmsNorm norm(x);
      if (divides ? norm.is_root(factor) : norm.is_inverse_root(factor))
        return RowNode{node, RowStepKind::kRmsNorm, {x}, 0, {}, norm.epsilon_, norm.inner_};
    }
    return std::nullopt;
  }

 private:
  explicit RmsNorm(NodeOutput x) : x_(std::move(x)) {}

  template <typename Op>
  NodePtr seen(const NodeOutput& output) {
    const NodePtr node = output.get_node_shared_ptr();
    if (!ov::is_type<Op>(node)) return nullptr;
    inner_.push_back(node);
    return node;
  }

  bool is_inverse_root(const NodeOutput& output) {
    if (const NodePtr divide = seen<op::Divide>(output))
      return is_value(divide->input_value(0), 1) && is_root(divide->input_value(1));
    const NodePtr power = seen<op::Power>(output);
    if (!power) return false;
    if (is_value(power->input_value(1), -0.5F)) return is_shifted_mean(power->input_value(0));
    return is_value(power->input_value(1), -1) && is_root(power->input_value(0));
  }

  bool is_root(const NodeOutput& output) {
    if (const NodePtr root = seen<op::Sqrt>(output)) return is_shifted_mean(root->input_value(0));
    const NodePtr power = seen<op::Power>(output);
    return power && is_value(power->input_value(1), 0.5F) && is_shifted_mean(power->input_value(0));
  }

  bool is_shifted_mean(const NodeOutput& output) {
    const NodePtr add = seen<op::Add>(output);
    if (!add) return false;
    for (const size_t port : {size_t{0}, size_t{1}}) {
      const std::optional<float> epsilon = one_value(add->input_value(port));
      if (!epsilon || !(*epsilon >= 0) || !std::isfinite(*epsilon)) continue;
      epsilon_ = *epsilon;
      return is_mean(add->input_value(1 - port));
    }
    return false;
  }

  bool is_mean(const NodeOutput& output) {
    const NodePtr node = seen<op::ReduceMean>(output);
    const auto mean = ov::as_type_ptr<op::ReduceMean>(node);
    return mean && mean->get_keep_dims() && is_over_last_axis(mean->input_value(1), x_) &&
           is_square(mean->input_value(0));
  }

  bool is_square(const NodeOutput& output) {
    if (const NodePtr power = seen<op::Power>(output))
      return power->input_value(0) == x_ && is_value(power->input_value(1), 2);
    const NodePtr product = seen<op::Multiply>(output);
    return product && product->input_value(0) == x_ && product->input_value(1) == x_;
  }

  const NodeOutput x_;
  ov::NodeVector inner_;
  float epsilon_ = 0;
};

// Each blob for this node alone: what others read too would be stored twice. Weights know how wide rows are where the
// network does not.
std::optional<RowNode> packed_matmul(const NodePtr& node) {
  int64_t width = 0;
  for (size_t port = 1; port < node->get_input_size(); ++port) {
    const NodeOutput input = node->input_value(port);
    if (!ov::is_type<op::Constant>(input.get_node())) return std::nullopt;
    if (port % 2 == 0) continue;
    if (input.get_target_inputs().size() != 1) return std::nullopt;
    const auto blob = ov::as_type_ptr<op::Constant>(input.get_node_shared_ptr());
    width = read_blob_header({static_cast<const uint8_t*>(blob->get_data_ptr()), blob->get_byte_size()},
                             node->get_friendly_name())
                .columns;
  }
  return RowNode{node, RowStepKind::kMatMul, {node->input_value(0)}, width, {}, 0, {}};
}

std::optional<RowNode> sum_or_product(const NodePtr& node) {
  const bool adds = ov::is_type<op::Add>(node);
  if (!adds && !ov::is_type<op::Multiply>(node)) return std::nullopt;
  const NodeOutput a = node->input_value(0), b = node->input_value(1);
  for (const auto& [rows, other] : {std::pair(a, b), std::pair(b, a)}) {
    if (!are_rows(rows)) continue;
    const std::vector<float> vector = vector_of(other, rows);
    if (!vector.empty())
      return RowNode{node, adds ? RowStepKind::kShift : RowStepKind::kScale, {rows}, 0, vector, 0, {}};
  }
  if (!are_rows(a) || !are_rows(b) || a.get_partial_shape() != b.get_partial_shape()) return std::nullopt;
  return RowNode{node, adds ? RowStepKind::kAdd : RowStepKind::kMultiply, {a, b}, 0, {}, 0, {}};
}

std::optional<RowNode> function(const NodePtr& node) {
  const auto of_kind = [&](RowStepKind kind, float epsilon = 0) {
    return RowNode{node, kind, {node->input_value(0)}, 0, {}, epsilon, {}};
  };
  if (ov::is_type<op::Swish>(node) && (node->get_input_size() == 1 || is_value(node->input_value(1), 1)))
    return of_kind(RowStepKind::kSwish);
  if (const auto gelu = ov::as_type_ptr<op::Gelu>(node))
    return of_kind(gelu->get_approximation_mode() == ov::op::GeluApproximationMode::TANH ? RowStepKind::kGeluTanh
                                                                                         : RowStepKind::kGeluErf);
  if (ov::is_type<ov::op::v0::Gelu>(node)) return of_kind(RowStepKind::kGeluErf);
  if (const auto* transform = ov::as_type<ops::HadamardTransform>(node.get()))
    return RowNode{node, RowStepKind::kHadamard, {node->input_value(0)}, 0, {}, 0, {}, transform->block()};
  const auto mvn = ov::as_type_ptr<op::MVN>(node);
  if (mvn && mvn->get_normalize_variance() && mvn->get_eps_mode() == ov::op::MVNEpsMode::INSIDE_SQRT &&
      is_over_last_axis(mvn->input_value(1), mvn->input_value(0)))
    return of_kind(RowStepKind::kMeanNorm, mvn->get_eps());
  return std::nullopt;
}

std::optional<RowNode> split(const NodePtr& node) {
  const bool known = ov::is_type<op::Split>(node) ||
                     (ov::is_type<op::VariadicSplit>(node) && ov::is_type<op::Constant>(node->get_input_node_ptr(2)));
  if (!known || !is_over_last_axis(node->input_value(1), node->input_value(0))) return std::nullopt;
  return RowNode{node, RowStepKind::kSlice, {node->input_value(0)}, 0, {}, 0, {}};
}

}  // namespace

std::optional<RowNode> row_node(const NodePtr& node) {
  if (ov::is_type<op::Constant>(node) || node->get_input_size() == 0 ||
      node->get_input_partial_shape(0).rank().is_dynamic())
    return std::nullopt;
  std::optional<RowNode> found;
  if (ov::is_type<ops::PackedMatMul>(node)) found = packed_matmul(node);
  if (!found) found = RmsNorm::ending_in(node);
  if (!found) found = sum_or_product(node);
  if (!found) found = function(node);
  if (!found) found = split(node);
  if (!found) return std::nullopt;
  const ov::OutputVector outputs = node->outputs();
  const bool by_weights = found->kind == RowStepKind::kMatMul;
  const bool all_rows = (by_weights || std::all_of(found->inputs.begin(), found->inputs.end(), are_rows)) &&
                        std::all_of(outputs.begin(), outputs.end(), are_rows);
  if (!all_rows) return std::nullopt;
  if (!by_weights) found->width = width_of(found->inputs[0]);
  return found;
}

bool keeps_shape(const RowNode& node) {
  return node.inputs.size() == 1 && node.kind != RowStepKind::kMatMul && node.kind != RowStepKind::kSlice;
}

}  // namespace dnateq::emission
