// The network in the exponent domain: every product of a quantized layer by counting (ops/counting_layer.h).
#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/option.h"
#include "dnateq/error.h"
#include "emit/emission_copy.h"
#include "emit/image_nodes.h"
#include "kernels/exponential.h"
#include "ops/counting_layer.h"

namespace dnateq {
namespace {

using namespace emission;  // NOLINT: this file is one of its own

// Why counting does not take a layer; empty: it does.
std::string refusal_of(const Layer& layer, const std::vector<int64_t>& weight_shape) {
  if (layer.kind == LayerKind::kEmbedding) return "";  // its rows are looked up, not multiplied
  if (const auto matmul = ov::as_type_ptr<op::MatMul>(layer.node)) {
    const bool plain = layer.weight_port == 1 && weight_shape.size() == 2 && !matmul->get_transpose_a();
    return plain ? "" : "its weights are no matrix on the right";
  }
  return windows_of(*layer.node, weight_shape) ? "" : "its windows are not of one or two axes, or depend on open sizes";
}

std::vector<int64_t> weight_shape_of(const Layer& layer) {
  const ov::Shape shape = layer.node->get_input_shape(layer.weight_port);
  return {shape.begin(), shape.end()};
}

// Means over whole images are ours too, so that no sum is left whose order a CPU chooses.
void replace_means(ov::Model& model) {
  for (const auto& node : model.get_ordered_ops()) {
    const auto mean = image_mean_of(*node);
    if (!mean) continue;
    NodeOutput result = std::make_shared<ops::ImageMean>(turned(mean->x, true));
    if (mean->keeps_axes)
      result = std::make_shared<op::Unsqueeze>(
          result, op::Constant::create(ov::element::i64, ov::Shape{2}, std::vector<int64_t>{2, 3}));
    replace_and_keep_names(node, result);
  }
}

}  // namespace

void check_counting(const PreparedModel& prepared) {
  for (const Layer& layer : prepared.layers)
    if (const std::string why = refusal_of(layer, weight_shape_of(layer)); !why.empty())
      throw Error(fmt::format("counting does not take layer '{}' ({}): {}; leave it out with {}, or {}", layer.name,
                              layer.node->get_type_name(), why, option("ignore", layer.name), option("emit", "exact")));
}

std::shared_ptr<ov::Model> emit_counting(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  const Copy copy = decoded_copy(prepared, codes);
  copy.model->validate_nodes_and_infer_types();
  for (const auto& target : copy.targets) {
    if (!target || target->layer->kind == LayerKind::kEmbedding || !target->codes->activations) continue;
    const std::shared_ptr<ov::Node>& node = target->node;
    const std::vector<int64_t> shape(target->weight_shape.begin(), target->weight_shape.end());
    if (const std::string why = refusal_of(*target->layer, shape); !why.empty())
      throw Error(fmt::format("counting does not take layer '{}': {}", target->layer->name, why));
    try {
      kernels::SharedBase(*target->codes->activations, target->codes->code);
    } catch (const Error& error) {
      throw Error(fmt::format("layer '{}': {}", target->layer->name, error.marked()));
    }
    const ov::Node& quantize = *node->get_input_node_ptr(target->layer->activation_port);
    const ov::Node& decode = *node->get_input_node_ptr(target->layer->weight_port);
    const NodeOutput x = quantize.input_value(0), code = quantize.input_value(1), weights = decode.input_value(0);
    std::shared_ptr<ov::Node> counting;
    if (ov::is_type<op::MatMul>(node))
      counting = std::make_shared<ops::CountingMatMul>(x, weights, code);
    else
      counting = std::make_shared<ops::CountingConvolution>(
          x, weights, code, windows_of(*node, shape).value(),
          ov::is_type<op::GroupConvolution>(node) ? static_cast<int64_t>(target->weight_shape[0]) : 1);
    replace_and_keep_names(node, counting);
  }
  replace_means(*copy.model);
  finish(copy, prepared, "counting");
  return copy.model;
}

}  // namespace dnateq
