// Which operations are layers that can be quantized, and why the others are not.
#include <fmt/format.h>

#include <cmath>
#include <openvino/op/util/gather_base.hpp>

#include "dnateq/error.h"
#include "graph/import/passes.h"

namespace dnateq::import_passes {
namespace {

constexpr int64_t kSmallestEmbedding = 4096;  // values; smaller lookup tables are not worth a code

int64_t constant_elements(const ov::Node& node) {
  int64_t elements = 0;
  for (const auto& input : node.input_values())
    if (const ConstantPtr constant = constant_of(input); constant && constant->get_element_type().is_real())
      elements += static_cast<int64_t>(ov::shape_size(constant->get_shape()));
  return elements;
}

std::string describe_convolution(Layer& layer, bool grouped) {
  const ConstantPtr weights = constant_of(layer.node->input_value(1));
  if (!weights) return "its weights are not constant";
  if (weights->get_element_type() != ov::element::f32)
    return fmt::format("its weights are {}", weights->get_element_type().get_type_name());
  const ov::Shape& shape = weights->get_shape();
  layer.groups = grouped ? static_cast<int64_t>(shape[0]) : 1;
  layer.rows = static_cast<int64_t>(grouped ? shape[0] * shape[1] : shape[0]);
  layer.columns = static_cast<int64_t>(ov::shape_size(shape)) / layer.rows;
  return {};
}

std::string describe_matmul(Layer& layer, const op::MatMul& matmul) {
  const ConstantPtr weights = constant_of(matmul.input_value(1));
  if (!weights && !constant_of(matmul.input_value(0))) return "both inputs are activations";
  if (!weights || weights->get_shape().size() != 2 || matmul.get_transpose_a())
    return "its weights are batched, a vector, or of dynamic rank";
  if (weights->get_element_type() != ov::element::f32)
    return fmt::format("its weights are {}", weights->get_element_type().get_type_name());
  const ov::Shape& shape = weights->get_shape();
  layer.weights_transposed = !matmul.get_transpose_b();
  layer.rows = static_cast<int64_t>(shape[layer.weights_transposed ? 1 : 0]);
  layer.columns = static_cast<int64_t>(shape[layer.weights_transposed ? 0 : 1]);
  return {};
}

bool is_embedding(Layer& layer) {
  const ConstantPtr table = constant_of(layer.node->input_value(0)), axis = constant_of(layer.node->input_value(2));
  if (!table || !axis || table->get_element_type() != ov::element::f32 || table->get_shape().size() != 2) return false;
  if (axis->cast_vector<int64_t>() != std::vector<int64_t>{0}) return false;
  if (static_cast<int64_t>(ov::shape_size(table->get_shape())) < kSmallestEmbedding) return false;
  layer.kind = LayerKind::kEmbedding;
  layer.weight_port = 0;
  layer.rows = static_cast<int64_t>(table->get_shape()[0]);
  layer.columns = static_cast<int64_t>(table->get_shape()[1]);
  return true;
}

void visit(const std::shared_ptr<ov::Node>& node, PreparedModel& prepared, LayerChoice& choice) {
  Layer layer;
  layer.node = node;
  layer.name = node->get_friendly_name();
  std::string reason;
  if (ov::is_type<op::Convolution>(node)) {
    layer.kind = LayerKind::kConvolution;
    reason = describe_convolution(layer, false);
  } else if (ov::is_type<op::GroupConvolution>(node)) {
    layer.kind = LayerKind::kGroupConvolution;
    reason = describe_convolution(layer, true);
  } else if (const auto matmul = ov::as_type_ptr<op::MatMul>(node)) {
    layer.kind = LayerKind::kMatMul;
    reason = describe_matmul(layer, *matmul);
  } else if (ov::is_type<ov::op::util::GatherBase>(node)) {
    if (!is_embedding(layer)) return;
  } else if (node->get_type_name() == std::string("ConvolutionBackpropData") ||
             node->get_type_name() == std::string("GroupConvolutionBackpropData") ||
             node->get_type_name() == std::string("LSTMSequence") ||
             node->get_type_name() == std::string("GRUSequence") || node->get_type_name() == std::string("LSTMCell")) {
    reason = "this operation is not supported yet";
  } else {
    return;
  }
  const std::string ignored =
      choice.reason_to_ignore(layer.name, node->get_type_name());  // in any case: it notes matches
  if (reason.empty()) reason = ignored;
  if (reason.empty() && !choice.is_wanted(layer.name)) reason = "does not match --only";
  if (!reason.empty()) {
    prepared.unquantized.push_back({layer.name, node->get_type_name(), reason, constant_elements(*node)});
    return;
  }
  for (const float w : layer.weight_matrix())
    if (!std::isfinite(w))
      throw Error(fmt::format("the weights of layer '{}' in '{}' hold NaN or infinity; export the model again",
                              layer.name, prepared.file));
  prepared.layers.push_back(layer);
}

}  // namespace

void find_layers(PreparedModel& prepared, LayerChoice& choice) {
  for (const auto& node : prepared.model->get_ordered_ops()) visit(node, prepared, choice);
}

}  // namespace dnateq::import_passes
