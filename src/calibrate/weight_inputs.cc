#include "calibrate/weight_inputs.h"

#include <algorithm>
#include <openvino/opsets/opset13.hpp>

namespace dnateq {

namespace op = ov::opset13;

WeightInputs::WeightInputs(const PreparedModel& prepared, const ModelCopy& copy, const std::vector<size_t>& layers)
    : copy_(copy) {
  ov::ParameterVector biases;
  std::vector<ov::Tensor> no_biases;
  for (const size_t l : layers) {
    const Layer& layer = prepared.layers[l];
    layers_.push_back(&layer);
    const auto node = copy.copy_of.at(layer.node.get());
    tensors_.push_back(layer.weights()->get_tensor_view());
    parameters_.push_back(std::make_shared<op::Parameter>(ov::element::f32, tensors_.back().get_shape()));
    node->input(layer.weight_port).replace_source_output(parameters_.back());
    const bool has_bias = layer.kind != LayerKind::kEmbedding;
    no_biases.emplace_back(ov::element::f32, has_bias ? layer.bias_shape() : ov::Shape{1});
    std::fill_n(no_biases.back().data<float>(), no_biases.back().get_size(), 0.0F);
    biases.push_back(std::make_shared<op::Parameter>(ov::element::f32, no_biases.back().get_shape()));
    if (!has_bias) continue;
    const auto readers = node->output(0).get_target_inputs();
    const auto sum = std::make_shared<op::Add>(node, biases.back());
    for (ov::Input<ov::Node> reader : readers) reader.replace_source_output(sum);
    sums_[layer.node->output(0)] = sum->output(0);
  }
  parameters_.insert(parameters_.end(), biases.begin(), biases.end());
  tensors_.insert(tensors_.end(), no_biases.begin(), no_biases.end());
}

std::vector<ov::Tensor> WeightInputs::disturbed(size_t i, const LayerSolution& solution) const {
  const Layer& layer = *layers_[i];
  std::vector<ov::Tensor> tensors = tensors_;
  const auto replace = [&tensors](size_t at, const std::vector<float>& values) {
    tensors[at] = ov::Tensor(ov::element::f32, tensors[at].get_shape());
    std::copy(values.begin(), values.end(), tensors[at].data<float>());
  };
  replace(i, layer.to_model_layout(decode_weights(solution, layer.columns)));
  if (layer.kind != LayerKind::kEmbedding && !solution.bias.empty()) replace(layers_.size() + i, solution.bias);
  return tensors;
}

ov::Output<ov::Node> WeightInputs::twin(const ov::Output<ov::Node>& output) const {
  const auto sum = sums_.find(output);
  return sum != sums_.end() ? sum->second : copy_.copy_of.at(output.get_node())->output(output.get_index());
}

}  // namespace dnateq
