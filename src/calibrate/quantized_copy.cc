#include "calibrate/quantized_copy.h"

#include <fmt/format.h>

#include <openvino/opsets/opset13.hpp>

#include "graph/disk_constants.h"
#include "graph/taps.h"

namespace dnateq {

namespace op = ov::opset13;

QuantizedCopy::QuantizedCopy(const PreparedModel& prepared)
    : prepared_(prepared), copy_(copy_model(prepared.model)), encoders_(prepared.layers.size()) {}

void QuantizedCopy::round_activations(size_t l, const TensorCode& code) {
  const Layer& layer = prepared_.layers[l];
  const auto node = copy_.copy_of.at(layer.node.get());
  const ov::Output<ov::Node> producer = node->input_value(layer.activation_port);
  auto& tap = taps_[producer];
  if (!tap) {
    auto state = std::make_shared<TapState>();
    state->encoder = std::make_shared<Encoder>(code);
    tap = std::make_shared<Tap>(producer, state);
    tap->set_friendly_name(fmt::format("dnateq_tap_{}", l));
  }
  encoders_[l] = ov::as_type_ptr<Tap>(tap)->state()->encoder;
  node->input(layer.activation_port).replace_source_output(tap->output(0));
}

ov::Output<ov::Node> QuantizedCopy::twin(const ov::Output<ov::Node>& output) const {
  const auto corrected = corrected_.find(output);
  if (corrected != corrected_.end()) return corrected->second;
  return copy_.copy_of.at(output.get_node())->output(output.get_index());
}

void QuantizedCopy::install(size_t l, const LayerSolution& solution) {
  const Layer& layer = prepared_.layers[l];
  const auto node = copy_.copy_of.at(layer.node.get());
  const std::vector<float> weights = layer.to_model_layout(decode_weights(solution, layer.columns));
  const auto constant = constant_in_place_of(*layer.weights(), layer.weights()->get_shape(), weights);
  leave_memory(*constant);
  node->input(layer.weight_port).replace_source_output(constant);
  if (solution.bias.empty()) return;
  const auto readers = node->output(0).get_target_inputs();
  const auto bias = op::Constant::create(ov::element::f32, layer.bias_shape(), solution.bias);
  const auto add = std::make_shared<op::Add>(node, bias);
  add->set_friendly_name(layer.name + "/dnateq_bias");
  for (auto reader : readers) reader.replace_source_output(add->output(0));
  corrected_.emplace(layer.node->output(0), add->output(0));
}

}  // namespace dnateq
