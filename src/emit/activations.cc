#include "emit/activations.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <openvino/op/util/binary_elementwise_arithmetic.hpp>
#include <openvino/op/util/gather_base.hpp>
#include <openvino/op/util/unary_elementwise_arithmetic.hpp>
#include <openvino/opsets/opset13.hpp>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "core/blob.h"
#include "ops/counting_layer.h"
#include "ops/ops.h"
#include "ops/packed_block.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using NodeOutput = ov::Output<ov::Node>;

constexpr int kFloatBits = 32, kPackedMatMulBits = 8;
constexpr size_t kMostCalls = 64;

bool is_ours(const ov::Node& node) {
  const char* opset = node.get_type_info().version_id;
  return opset != nullptr && std::string(opset) == "dnateq";
}

int code_bits(const NodeOutput& blob) {
  const auto constant = ov::as_type_ptr<op::Constant>(blob.get_node_shared_ptr());
  if (!constant) return kFloatBits;
  const std::span<const uint8_t> bytes(static_cast<const uint8_t*>(constant->get_data_ptr()),
                                       constant->get_byte_size());
  return read_blob_header(bytes, constant->get_friendly_name()).code.stored_bits;
}

// Writes the values that it reads, in another order, partly or more than once.
bool moves_values(const ov::Node& node) {
  static const std::set<std::string> types = {"Reshape",         "Squeeze",       "Unsqueeze",      "Transpose",
                                              "Split",           "VariadicSplit", "Slice",          "StridedSlice",
                                              "Concat",          "Broadcast",     "Tile",           "Pad",
                                              "ReverseSequence", "DepthToSpace",  "SpaceToDepth",   "ShuffleChannels",
                                              "Identity",        "Gather",        "GatherElements", "GatherND"};
  if (ov::is_type<op::Convert>(&node)) return node.get_input_element_type(0).is_real();
  return types.contains(node.get_type_name());
}

bool works_value_by_value(const ov::Node& node) {
  return ov::is_type<ov::op::util::BinaryElementwiseArithmetic>(&node) ||
         ov::is_type<ov::op::util::UnaryElementwiseArithmetic>(&node) || ov::is_type<op::Clamp>(&node) ||
         ov::is_type<op::PRelu>(&node) || ov::is_type<ov::op::v4::Swish>(&node);
}

class Walk {
 public:
  explicit Walk(const ov::NodeVector& nodes) {
    for (const auto& node : nodes) {
      bool live = ov::is_type<op::Parameter>(node);
      for (const NodeOutput& input : node->input_values()) live = live || live_.contains(input.get_node());
      if (live) live_.insert(node.get());
    }
    for (const auto& node : nodes)
      if (node->get_output_size() == 1 && live_.contains(node.get()) && is_merged_into_reader(node->output(0)))
        head_of_[node->output(0).get_target_inputs().begin()->get_node()] = &head_of(*node);
  }

  // The operation that computes what `node` writes; `node` itself where it is not merged with one before it.
  const ov::Node& head_of(const ov::Node& node) const {
    const auto found = head_of_.find(&node);
    return found == head_of_.end() ? node : *found->second;
  }

  // The first output of each tensor that `node` writes, with its bits.
  std::vector<std::pair<size_t, int>> written(const ov::Node& node) const {
    std::vector<std::pair<size_t, int>> tensors;
    // A lookup in a table of weights writes activations, one in activations moves them.
    const bool moves = moves_values(node) &&
                       !(ov::is_type<ov::op::util::GatherBase>(&node) && !live_.contains(node.get_input_node_ptr(0)));
    if (!live_.contains(&node) || is_encoder(node) || moves || ov::is_type<op::Result>(&node)) return {};
    if (dynamic_cast<const ops::LevelLayer*>(&node) != nullptr) {  // values and levels are one tensor
      int widest = 0;
      for (size_t i = 0; i < node.get_output_size(); ++i) widest = std::max(widest, widest_reading(node.output(i)));
      if (widest > 0) tensors.emplace_back(0, widest);
      return tensors;
    }
    for (size_t i = 0; i < node.get_output_size(); ++i) {
      const ov::Output<const ov::Node> output = node.output(i);
      if (!output.get_element_type().is_real() && !ov::is_type<ops::LevelMaxPool>(&node)) continue;
      if (is_merged_into_reader(output)) continue;
      if (const int bits = widest_reading(output); bits > 0) tensors.emplace_back(i, bits);
    }
    return tensors;
  }

 private:
  static bool is_encoder(const ov::Node& node) {
    return ov::is_type<ops::ExponentialQuantize>(&node) || ov::is_type<ops::ExponentialEncode>(&node) ||
           ov::is_type<op::FakeQuantize>(&node);
  }

  static int encoder_bits(const ov::Node& node) {
    if (const auto* fake = ov::as_type<const op::FakeQuantize>(&node))
      return static_cast<int>(std::ceil(std::log2(static_cast<double>(fake->get_levels()))));
    return code_bits(node.input_value(1));
  }

  // Of a tensor of levels.
  static int level_bits(const NodeOutput& output) {
    const ov::Node& node = *output.get_node();
    if (const auto* layer = dynamic_cast<const ops::LevelLayer*>(&node)) {
      const size_t levels = node.get_output_size() - layer->first_level_output();  // their codes are the last inputs
      return code_bits(
          node.input_value(node.get_input_size() - levels + output.get_index() - layer->first_level_output()));
    }
    if (is_encoder(node)) return encoder_bits(node);
    return node.get_input_size() > 0 ? level_bits(node.input_value(0)) : kFloatBits;
  }

  // 0: no operation reads it.
  static int widest_reading(const ov::Output<const ov::Node>& output) {
    int widest = 0;
    for (const ov::Input<ov::Node>& input : output.get_target_inputs()) {
      const ov::Node& reader = *input.get_node();
      if (ov::is_type<op::Result>(&reader) || ov::is_type<op::ShapeOf>(&reader) ||
          ov::is_type<ov::op::v0::ShapeOf>(&reader))
        continue;
      if (is_encoder(reader) || moves_values(reader)) {
        int further = 0;
        for (size_t i = 0; i < reader.get_output_size(); ++i)
          further = std::max(further, widest_reading(reader.output(i)));
        if (further > 0) widest = std::max(widest, is_encoder(reader) ? encoder_bits(reader) : further);
      } else if (!input.get_element_type().is_real()) {
        widest = std::max(widest, level_bits(input.get_source_output()));
      } else {
        int bits = kFloatBits;
        if (input.get_index() == 0 &&
            (ov::is_type<ops::PackedMatMul>(&reader) || ov::is_type<ops::PackedHead>(&reader)))
          bits = kPackedMatMulBits;
        if (input.get_index() == 0 && dynamic_cast<const ops::CountingLayer*>(&reader) != nullptr)
          bits = code_bits(reader.input_value(2));  // it encodes what it reads
        if (const auto* block = ov::as_type<const ops::PackedBlock>(&reader))
          if (rounds_input(*block, input.get_index())) bits = kPackedMatMulBits;
        widest = std::max(widest, bits);
      }
    }
    return widest;
  }

  // Whether only matmuls of the block read its input.
  static bool rounds_input(const ops::PackedBlock& packed, size_t input) {
    const RowBlock block = packed.block();
    return std::none_of(block.steps.begin(), block.steps.end(), [&](const RowStep& step) {
      const bool reads = step.a == input || (takes_two_values(step.kind) && step.b == input);
      return reads && step.kind != RowStepKind::kMatMul;
    });
  }

  bool is_merged_into_reader(const ov::Output<const ov::Node>& output) const {
    const ov::Node& node = *output.get_node();
    const auto readers = output.get_target_inputs();
    if (readers.size() != 1 || is_ours(node) || ov::is_type<op::Parameter>(&node)) return false;
    const ov::Node& reader = *readers.begin()->get_node();
    if (!works_value_by_value(reader)) return false;
    size_t live_inputs = 0;
    for (const NodeOutput& input : reader.input_values()) live_inputs += live_.contains(input.get_node());
    return live_inputs == 1;
  }

  std::unordered_map<const ov::Node*, const ov::Node*> head_of_;
  std::unordered_set<const ov::Node*> live_;  // what depends on an input; the rest are weights
};

// Elements of every output, node by node in the order of `model`, when the inputs have these shapes; 0 where unknown.
std::vector<std::vector<double>> sizes_of(const ov::Model& model, const std::vector<ov::Shape>& shapes) {
  const std::shared_ptr<ov::Model> copy = model.clone();
  for (size_t i = 0; i < shapes.size(); ++i) copy->get_parameters().at(i)->set_partial_shape(shapes[i]);
  copy->validate_nodes_and_infer_types();
  std::vector<std::vector<double>> sizes;
  for (const auto& node : copy->get_ordered_ops()) {
    auto& of_node = sizes.emplace_back();
    for (const NodeOutput& output : node->outputs())
      of_node.push_back(output.get_partial_shape().is_static() ? static_cast<double>(ov::shape_size(output.get_shape()))
                                                               : 0.0);
  }
  return sizes;
}

}  // namespace

std::vector<PassedTensor> passed_tensors(const std::shared_ptr<const ov::Model>& emitted, const Calls& calls) {
  std::map<std::vector<ov::Shape>, double> shapes;  // of the inputs, with how many calls have them
  double samples = 0;
  const size_t taken = std::min(calls.size(), kMostCalls);
  for (size_t i = 0; i < taken; ++i) {
    const size_t call = i * calls.size() / taken;
    std::vector<ov::Shape> key;
    for (const ov::Tensor& tensor : calls.tensors(call)) key.push_back(tensor.get_shape());
    shapes[key] += 1;
    samples += static_cast<double>(calls.sample_count(call));
  }
  const ov::NodeVector nodes = emitted->get_ordered_ops();
  std::vector<std::vector<double>> elements(nodes.size());
  for (size_t n = 0; n < nodes.size(); ++n) elements[n].resize(nodes[n]->get_output_size());
  for (const auto& [key, count] : shapes) {
    const std::vector<std::vector<double>> sizes = sizes_of(*emitted, key);
    for (size_t n = 0; n < nodes.size(); ++n)
      for (size_t i = 0; i < elements[n].size(); ++i) elements[n][i] += count * sizes.at(n).at(i);
  }
  const Walk walk(nodes);
  std::vector<PassedTensor> tensors;
  for (size_t n = 0; n < nodes.size(); ++n)
    for (const auto& [output, bits] : walk.written(*nodes[n]))
      tensors.push_back({nodes[n]->get_friendly_name(), walk.head_of(*nodes[n]).get_type_name(),
                         samples > 0 ? elements[n][output] / samples : 0, bits});
  return tensors;
}

void describe_passed_tensors(const std::string& emission, const std::vector<PassedTensor>& tensors, Recipe& recipe) {
  recipe.passed = {};
  recipe.passed.emission = emission;
  double values = 0, bits = 0;
  for (const PassedTensor& tensor : tensors) {
    values += tensor.elements;
    bits += tensor.bits * tensor.elements;
  }
  recipe.passed.values = std::llround(values);
  recipe.passed.mean_bits = values > 0 ? bits / values : 0;
  for (const PassedTensor& tensor : tensors)
    if (tensor.bits == kFloatBits)
      recipe.passed.in_float.push_back(
          {tensor.name, tensor.type, std::llround(tensor.elements), values > 0 ? tensor.elements / values : 0});
}

}  // namespace dnateq
