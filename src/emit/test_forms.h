// One small network of every form that a quantized layer has, with codes of its weights, and what it computes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <openvino/opsets/opset13.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/pack.h"
#include "core/pair_sums.h"
#include "emit/emit.h"
#include "ops/ops.h"

namespace dnateq::forms {

namespace fs = std::filesystem;
namespace op = ov::opset13;

enum class Form {
  kConvolution,
  kConvolution1d,
  kGrouped,
  kDepthwise,
  kMatMul,
  kMatMulTransposed,
  kMatMulLeft,
  kGather
};

// The int8 grid's scale differs per call, so that no two layers' tables or units are the same bytes.
inline TensorCode make_code(int stored_bits, double grid, int negatives = -1) {
  TensorCode code = with_level_counts(TensorCode{}, stored_bits, negatives);
  code.base = stored_bits > 5 ? 1.0001 : 1.3;
  code.grid = grid;
  const double top = std::pow(code.base, std::max(code.positive_levels, code.negative_levels) - 1);
  const double highest = 127.0 / grid, lowest = (stored_bits > 6 ? 1.0 : 3.0) / grid;
  code.alpha = top > 1.0 ? (highest - lowest) / (top - 1.0) : highest;
  code.beta = lowest - code.alpha;
  return code;
}

inline std::vector<float> random_values(size_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

inline std::shared_ptr<op::Constant> constant(const ov::Shape& shape, const std::vector<float>& values) {
  return op::Constant::create(ov::element::f32, shape, values);
}

// A network of one layer (and a bias where `with_add`), and the codes of its weights.
struct Net {
  PreparedModel prepared;
  std::vector<LayerCodes> codes;
  ov::Tensor input;
};

// As a search leaves them: no two levels that OpenVINO's kernels may add in 16 bits are too large together.
inline void make_safe(const Layer& layer, LayerCodes& codes) {
  const std::vector<ColumnPair> pairs = layer.added_pairs();
  const PairLimit limit(codes.code, pairs);
  const std::vector<float> levels = level_table(codes.code);
  const auto columns = static_cast<size_t>(layer.columns);
  const std::vector<float> importance(columns, 1.0F);
  for (size_t row = 0; row < codes.codes.size(); row += columns) {
    std::vector<float> wanted;
    for (size_t c = 0; c < columns; ++c) wanted.push_back(levels[codes.codes[row + c]]);
    limit.apply(std::span(codes.codes).subspan(row, columns), wanted, importance);
  }
}

inline Net make_net(Form form, int bits, bool with_add = true) {
  const int rows = 8;
  Net net;
  Layer layer;
  layer.name = "layer";
  ov::Shape weights, input;
  ov::PartialShape declared;
  switch (form) {
    case Form::kConvolution:
      weights = {8, 5, 3, 3}, input = {2, 5, 9, 9};
      break;
    case Form::kConvolution1d:
      weights = {8, 5, 3}, input = {2, 5, 17};
      break;
    case Form::kGrouped:
      weights = {2, 4, 3, 3, 3}, input = {2, 6, 9, 9};
      break;
    case Form::kDepthwise:
      weights = {8, 1, 1, 3, 3}, input = {2, 8, 9, 9};
      break;
    case Form::kMatMul:
      weights = {13, 8}, input = {2, 3, 13};
      break;
    case Form::kMatMulTransposed:
      weights = {8, 13}, input = {2, 3, 13};
      break;
    case Form::kMatMulLeft:
      weights = {8, 13}, input = {2, 13, 5};
      break;
    case Form::kGather:
      weights = {8, 13}, input = {2, 4};
      break;
  }
  declared = input;
  declared[0] = -1;
  const bool is_gather = form == Form::kGather;
  const auto parameter = std::make_shared<op::Parameter>(is_gather ? ov::element::i64 : ov::element::f32, declared);
  parameter->set_friendly_name("input");
  parameter->output(0).set_names({"input"});
  const auto w = constant(weights, random_values(ov::shape_size(weights), 3));
  const size_t spatial = weights.size() - (form == Form::kGrouped || form == Form::kDepthwise ? 3 : 2);
  const ov::Strides ones(spatial, 1);
  const ov::CoordinateDiff pads(spatial, 1);
  ov::Shape bias_shape;
  switch (form) {
    case Form::kConvolution:
    case Form::kConvolution1d:
      layer.kind = LayerKind::kConvolution;
      layer.node = std::make_shared<op::Convolution>(parameter, w, ones, pads, pads, ones);
      bias_shape = ov::Shape(weights.size(), 1);
      bias_shape[1] = rows;
      break;
    case Form::kGrouped:
    case Form::kDepthwise:
      layer.kind = LayerKind::kGroupConvolution;
      layer.groups = static_cast<int64_t>(weights[0]);
      layer.node = std::make_shared<op::GroupConvolution>(parameter, w, ones, pads, pads, ones);
      bias_shape = {1, rows, 1, 1};
      break;
    case Form::kMatMul:
    case Form::kMatMulTransposed:
      layer.kind = LayerKind::kMatMul;
      layer.weights_transposed = form == Form::kMatMul;
      layer.node = std::make_shared<op::MatMul>(parameter, w, false, form == Form::kMatMulTransposed);
      bias_shape = {rows};
      break;
    case Form::kMatMulLeft:
      layer.kind = LayerKind::kMatMul;
      layer.weight_port = 0;
      layer.activation_port = 1;
      layer.node = std::make_shared<op::MatMul>(w, parameter, false, false);
      bias_shape = {rows, 1};
      break;
    case Form::kGather:
      layer.kind = LayerKind::kEmbedding;
      layer.weight_port = 0;
      layer.activation_port = 1;
      layer.node = std::make_shared<op::Gather>(w, parameter, op::Constant::create(ov::element::i32, {}, {0}));
      break;
  }
  layer.node->set_friendly_name(layer.name);
  layer.rows = rows;
  layer.columns = static_cast<int64_t>(ov::shape_size(weights)) / rows;
  std::shared_ptr<ov::Node> last = layer.node;
  if (with_add && !is_gather) {
    last = std::make_shared<op::Add>(last, constant(bias_shape, random_values(rows, 5)));
    last = std::make_shared<op::Relu>(last);
  }
  last->output(0).set_names({"output"});
  net.prepared.model = std::make_shared<ov::Model>(ov::OutputVector{last}, ov::ParameterVector{parameter}, "net");
  net.prepared.layers = {layer};

  LayerCodes codes;
  codes.code = make_code(bits, 100.0 + bits);
  std::mt19937 random(11);
  for (int64_t i = 0; i < layer.rows * layer.columns; ++i)
    codes.codes.push_back(static_cast<uint8_t>(random() % (1U << bits)));
  for (const float gamma : random_values(rows, 13)) codes.gamma.push_back(to_float16(gamma));
  if (!is_gather) {
    make_safe(layer, codes);
    codes.bias = random_values(rows, 17);
    codes.activations = make_code(4, 90.0);
    codes.range_high = 3.0F;
    codes.range_low = -3.0F * 128 / 127;
  }
  net.codes = {codes};
  if (is_gather) {
    net.input = ov::Tensor(ov::element::i64, input);
    for (size_t i = 0; i < net.input.get_size(); ++i) net.input.data<int64_t>()[i] = static_cast<int64_t>((i * 5) % 8);
  } else {
    net.input = ov::Tensor(ov::element::f32, input);
    const std::vector<float> values = random_values(net.input.get_size(), 19, 1.5F);
    std::copy(values.begin(), values.end(), net.input.data<float>());
  }
  return net;
}

inline std::vector<float> decoded_weights(const Layer& layer, const LayerCodes& codes) {
  const std::vector<float> levels = level_table(codes.code);
  std::vector<float> matrix(codes.codes.size());
  for (size_t i = 0; i < matrix.size(); ++i)
    matrix[i] = from_float16(codes.gamma[i / static_cast<size_t>(layer.columns)]) * levels[codes.codes[i]];
  return layer.to_model_layout(matrix);
}

// The FP32 network with decoded weights and the bias added to the layer's output.
inline std::shared_ptr<ov::Model> decoded_network(const Net& net, bool fake_quantize) {
  const auto model = net.prepared.model->clone();
  const Layer& layer = net.prepared.layers[0];
  const LayerCodes& codes = net.codes[0];
  for (const auto& node : model->get_ordered_ops()) {
    if (node->get_friendly_name() != layer.name) continue;
    const ov::Shape shape = node->get_input_shape(layer.weight_port);
    node->input(layer.weight_port).replace_source_output(constant(shape, decoded_weights(layer, codes)));
    if (fake_quantize && codes.activations) {
      const auto low = constant({}, {codes.range_low}), high = constant({}, {codes.range_high});
      node->input(layer.activation_port)
          .replace_source_output(
              std::make_shared<op::FakeQuantize>(node->input_value(layer.activation_port), low, high, low, high, 256));
    }
    const auto next = *node->output(0).get_target_inputs().begin();
    const auto added = ov::as_type_ptr<op::Constant>(
        next.get_node()->get_input_size() == 2 ? next.get_node()->get_input_node_shared_ptr(1) : nullptr);
    if (!codes.bias.empty() && added) {  // one sum, as emission makes it: a second Add would round twice
      std::vector<float> sum = added->cast_vector<float>();
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += codes.bias[i];
      next.get_node()->input(1).replace_source_output(constant(added->get_shape(), sum));
    } else if (!codes.bias.empty()) {
      ov::Shape bias(node->get_output_partial_shape(0).size(), 1);
      bias[layer.kind == LayerKind::kMatMul && layer.weight_port == 1 ? bias.size() - 1 : 1] = codes.bias.size();
      const auto consumers = node->output(0).get_target_inputs();
      const auto add = std::make_shared<op::Add>(node, constant(bias, codes.bias));
      for (ov::Input<ov::Node> input : consumers) input.replace_source_output(add);
    }
  }
  model->validate_nodes_and_infer_types();
  return model;
}

inline std::vector<float> infer(ov::CompiledModel compiled, const ov::Tensor& input) {
  ov::InferRequest request = compiled.create_infer_request();
  request.set_input_tensor(input);
  request.infer();
  const ov::Tensor output = request.get_output_tensor();
  return {output.data<float>(), output.data<float>() + output.get_size()};
}

inline std::vector<float> run(ov::Core& core, const std::shared_ptr<ov::Model>& model, const ov::Tensor& input) {
  return infer(core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32)), input);
}

class Emit : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("dnateq_emit_test_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<float> saved_and_run(const std::shared_ptr<ov::Model>& model, const ov::Tensor& input, bool ours) {
    save_model_files(model, folder_);
    ov::Core core;
    if (ours) core.add_extension(ops::operation_extensions());
    return run(core, core.read_model((folder_ / "model.xml").string()), input);
  }

  fs::path folder_;
};

inline size_t operations(const std::shared_ptr<ov::Model>& model, const std::string& type) {
  size_t count = 0;
  for (const auto& node : model->get_ordered_ops()) count += node->get_type_name() == type;
  return count;
}

// Two layers read one tensor with tied weights: an embedding would do the same.
inline Net make_tied_net(bool same_codes, Form form = Form::kMatMulTransposed) {
  Net net = make_net(form, 4, false);
  const auto& first = net.prepared.layers[0];
  const auto parameter = net.prepared.model->get_parameters()[0];
  const auto second =
      std::make_shared<op::MatMul>(parameter, first.node->input_value(1), false, form == Form::kMatMulTransposed);
  second->set_friendly_name("second");
  const auto sum = std::make_shared<op::Concat>(ov::OutputVector{first.node, second}, -1);
  net.prepared.model = std::make_shared<ov::Model>(ov::OutputVector{sum}, ov::ParameterVector{parameter}, "tied");
  Layer layer = first;
  layer.name = "second";
  layer.node = second;
  layer.shares_weights_with = 0;
  net.prepared.layers.push_back(layer);
  net.codes.push_back(net.codes[0]);
  if (!same_codes) net.codes[1].gamma[0] = to_float16(9.0F);
  return net;
}

}  // namespace dnateq::forms
