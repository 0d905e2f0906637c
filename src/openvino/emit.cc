#include "openvino/emit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/pack.h"
#include "dnateq/error.h"
#include "openvino/blob.h"
#include "openvino/fuse_levels.h"
#include "openvino/ops/ops.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using NodeOutput = ov::Output<ov::Node>;

template <typename T>
std::shared_ptr<op::Constant> scalar(ov::element::Type type, T value) {
  return op::Constant::create(type, ov::Shape{}, std::vector<T>{value});
}

// One element type per plane of codes, low bits first. OpenVINO has no type of 5 or 7 bits.
struct Plane {
  ov::element::Type type;
  int bits;
};

std::vector<Plane> planes(int stored_bits) {
  switch (stored_bits) {
    case 2:
      return {{ov::element::u2, 2}};
    case 3:
      return {{ov::element::u3, 3}};
    case 4:
      return {{ov::element::u4, 4}};
    case 5:
      return {{ov::element::u4, 4}, {ov::element::u1, 1}};
    case 6:
      return {{ov::element::u6, 6}};
    case 7:
      return {{ov::element::u6, 6}, {ov::element::u1, 1}};
    default:
      return {{ov::element::u8, 8}};
  }
}

// Bytes of an OpenVINO constant: u3 and u6 come in groups of three bytes, the others share bytes.
int64_t plane_bytes(const Plane& plane, int64_t elements) {
  switch (plane.bits) {
    case 3:
      return (elements + 7) / 8 * 3;
    case 6:
      return (elements + 3) / 4 * 3;
    default:
      return static_cast<int64_t>(packed_bytes(static_cast<size_t>(elements), plane.bits));
  }
}

// Levels as int8 integers and the unit they are counted in: level = integer * unit.
struct Int8Levels {
  std::vector<int8_t> table;
  float unit;
};

Int8Levels int8_levels(const TensorCode& code) {
  if (code.arithmetic == Arithmetic::kInt8Grid) return {int8_level_table(code), static_cast<float>(1.0 / code.grid)};
  const std::vector<float> levels = level_table(code);  // real levels: the nearest of an 8-bit grid up to the largest
  float largest = 0;
  for (const float level : levels) largest = std::max(largest, std::fabs(level));
  const float unit = largest / 127.0F;
  std::vector<int8_t> table;
  table.reserve(levels.size());
  for (const float level : levels) table.push_back(static_cast<int8_t>(std::lround(level / unit)));
  return {table, unit};
}

// A layer and what is needed to write it, found in the copy of the model.
struct Target {
  const Layer* layer;
  const LayerCodes* codes;
  std::shared_ptr<ov::Node> node;
  ov::Shape weight_shape;
  ov::Shape channel_shape;  // of a per-row constant beside the weights: ones but for the channel axis (axes)
};

ov::Shape channel_shape(const Layer& layer, const ov::Shape& weights) {
  ov::Shape shape(weights.size(), 1);
  if (shape.empty()) return shape;
  switch (layer.kind) {
    case LayerKind::kGroupConvolution:
      shape[0] = weights[0];
      shape[1] = weights[1];
      break;
    case LayerKind::kMatMul:
      if (weights.size() >= 2) {
        const size_t axis = weights.size() - (layer.weights_transposed ? 1 : 2);
        shape[axis] = weights[axis];
      }
      break;
    default:
      shape[0] = weights[0];
  }
  return shape;
}

void replace_and_keep_names(const std::shared_ptr<ov::Node>& old_node, const NodeOutput& replacement) {
  replacement.get_node_shared_ptr()->set_friendly_name(old_node->get_friendly_name());
  NodeOutput to = replacement;
  to.set_names(old_node->output(0).get_names());
  old_node->output(0).set_names({});
  old_node->output(0).replace(to);
}

// Shape of a per-channel constant that broadcasts against the layer's output, aligned at the last axis.
ov::Shape bias_shape(const Target& target) {
  const auto rows = static_cast<size_t>(target.layer->rows);
  if (target.layer->kind == LayerKind::kMatMul)
    return target.layer->weight_port == 0 ? ov::Shape{rows, 1} : ov::Shape{rows};
  const size_t weight_rank = target.weight_shape.size();
  ov::Shape shape(target.layer->kind == LayerKind::kGroupConvolution ? weight_rank - 1 : weight_rank, 1);
  shape[1] = rows;
  return shape;
}

// True if `shape` is one value per channel or one for all, along the axis where `channels` is not one.
bool is_per_channel(ov::Shape shape, const ov::Shape& channels) {
  if (ov::shape_size(shape) == 1) return shape.size() <= channels.size();
  while (shape.size() > channels.size() && shape.front() == 1) shape.erase(shape.begin());
  if (shape.size() > channels.size()) return false;
  return std::equal(shape.rbegin(), shape.rend(), channels.rbegin()) &&
         ov::shape_size(shape) == ov::shape_size(channels);
}

// Into the constant of the Add that follows, else as a new Add.
void add_bias(const Target& target) {
  const std::vector<float>& bias = target.codes->bias;
  if (bias.empty()) return;
  if (bias.size() != static_cast<size_t>(target.layer->rows))
    throw Error("Layer '" + target.layer->name + "': the bias has " + std::to_string(bias.size()) + " values for " +
                std::to_string(target.layer->rows) + " channels.");
  const ov::Shape shape = bias_shape(target);
  const auto consumers = target.node->output(0).get_target_inputs();
  if (consumers.size() == 1) {
    const ov::Input<ov::Node> input = *consumers.begin();
    ov::Node* add = input.get_node();
    if (ov::is_type<op::Add>(add)) {
      const size_t other = 1 - input.get_index();
      const auto constant = ov::as_type_ptr<op::Constant>(add->get_input_node_shared_ptr(other));
      if (constant && constant->get_element_type() == ov::element::f32 &&
          is_per_channel(constant->get_shape(), shape)) {
        std::vector<float> sum = constant->cast_vector<float>();
        if (sum.size() == 1) sum.resize(bias.size(), sum[0]);
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += bias[i];
        const ov::Shape& old = constant->get_shape();
        const auto merged = op::Constant::create(ov::element::f32, old.size() > shape.size() ? old : shape, sum);
        merged->set_friendly_name(constant->get_friendly_name());
        add->input(other).replace_source_output(merged);
        return;
      }
    }
  }
  const auto added = std::make_shared<op::Add>(target.node, op::Constant::create(ov::element::f32, shape, bias));
  added->set_friendly_name(target.node->get_friendly_name() + "/dnateq_bias");
  added->output(0).set_names(target.node->output(0).get_names());
  target.node->output(0).set_names({});
  for (ov::Input<ov::Node> input : consumers) input.replace_source_output(added);
}

bool same_weights(const LayerCodes& a, const LayerCodes& b) {
  return a.weight_code == b.weight_code && a.gamma == b.gamma && a.codes == b.codes;
}

void check(const Layer& layer, const LayerCodes& codes) {
  validate(codes.weight_code, layer.name);
  const auto rows = static_cast<size_t>(layer.rows), columns = static_cast<size_t>(layer.columns);
  if (codes.codes.size() != rows * columns || codes.gamma.size() != rows)
    throw Error("Layer '" + layer.name + "': codes or channel scales do not match its weights of " +
                std::to_string(rows) + " x " + std::to_string(columns) + ".");
  const unsigned limit = 1U << codes.weight_code.stored_bits;
  if (std::any_of(codes.codes.begin(), codes.codes.end(), [limit](uint8_t code) { return code >= limit; }))
    throw Error("Layer '" + layer.name + "': a code does not fit in its stored bits.");
}

struct Copy {
  std::shared_ptr<ov::Model> model;
  std::vector<std::optional<Target>> targets;  // one per layer; none where it stays FP32
};

Copy copy_model(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  if (codes.size() != prepared.layers.size())
    throw Error("Codes for " + std::to_string(codes.size()) + " layers, the model has " +
                std::to_string(prepared.layers.size()) + ".");
  Copy copy;
  copy.model = prepared.model->clone();
  const auto from = prepared.model->get_ordered_ops(), to = copy.model->get_ordered_ops();
  std::unordered_map<const ov::Node*, std::shared_ptr<ov::Node>> twin;
  for (size_t i = 0; i < from.size(); ++i) twin[from[i].get()] = to.at(i);
  copy.targets.resize(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    if (codes[i].codes.empty()) continue;
    const Layer& layer = prepared.layers[i];
    check(layer, codes[i]);
    const auto found = twin.find(layer.node.get());
    if (found == twin.end() || found->second->get_type_info() != layer.node->get_type_info())
      throw Error("Layer '" + layer.name + "' is not part of the prepared model.");
    const ov::Shape shape = layer.node->get_input_shape(layer.weight_port);
    copy.targets[i] = Target{&layer, &codes[i], found->second, shape, channel_shape(layer, shape)};
  }
  return copy;
}

// Index of the layer whose stored weights layer i uses: itself, or an earlier one with the same content and shape.
size_t owner(const Copy& copy, size_t i) {
  const int earlier = copy.targets[i]->layer->shares_weights_with;
  if (earlier < 0) return i;
  const auto& other = copy.targets.at(static_cast<size_t>(earlier));
  const bool same = other && other->weight_shape == copy.targets[i]->weight_shape &&
                    other->layer->weights_transposed == copy.targets[i]->layer->weights_transposed &&
                    same_weights(*other->codes, *copy.targets[i]->codes);
  return same ? static_cast<size_t>(earlier) : i;
}

struct StandardWeights {
  NodeOutput levels;   // int8 (or float32) in the weights' shape
  NodeOutput scale;    // float32 in the channel shape
  NodeOutput decoded;  // levels * scale; made when first asked for
};

// codes -> level integers -> * gamma * unit. The codes are converted first because OpenVINO folds no Gather by sub-byte
// indices; folded, the levels are an int8 constant and the rest is the dequantization that its INT8 passes look for.
StandardWeights standard_weights(const Target& target) {
  const LayerCodes& codes = *target.codes;
  const std::string& name = target.layer->name;
  const std::vector<uint8_t> ordered = target.layer->to_model_layout(codes.codes);
  NodeOutput indices;
  int shift = 0;
  for (const Plane& plane : planes(codes.weight_code.stored_bits)) {
    std::vector<uint8_t> bits(ordered.size());
    const unsigned mask = (1U << plane.bits) - 1U;
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint8_t>((ordered[i] >> shift) & mask);
    const auto constant = op::Constant::create(plane.type, target.weight_shape, bits);
    constant->set_friendly_name(name + "/codes" + (shift == 0 ? "" : "_high"));
    NodeOutput wide = std::make_shared<op::Convert>(constant, ov::element::i32);
    if (shift == 0) {
      indices = wide;
    } else {
      wide = std::make_shared<op::Multiply>(wide, scalar<int32_t>(ov::element::i32, 1 << shift));
      indices = std::make_shared<op::Add>(indices, wide);
    }
    shift += plane.bits;
  }

  const bool keep_real_levels = codes.weight_code.arithmetic == Arithmetic::kExponential && !codes.has_activation_code;
  const size_t entries = size_t{1} << codes.weight_code.stored_bits;
  const auto gamma = std::make_shared<op::Constant>(ov::element::f16, target.channel_shape, codes.gamma.data());
  gamma->set_friendly_name(name + "/gamma");
  const NodeOutput wide_gamma = std::make_shared<op::Convert>(gamma, ov::element::f32);
  const auto axis = scalar<int32_t>(ov::element::i32, 0);
  StandardWeights weights;
  if (keep_real_levels) {
    const auto table = op::Constant::create(ov::element::f32, ov::Shape{entries}, level_table(codes.weight_code));
    table->set_friendly_name(name + "/table");
    weights.levels = std::make_shared<op::Gather>(table, indices, axis);
    weights.scale = wide_gamma;
  } else {
    const Int8Levels levels = int8_levels(codes.weight_code);
    const auto table = op::Constant::create(ov::element::i8, ov::Shape{entries}, levels.table);
    table->set_friendly_name(name + "/table");
    const auto unit = scalar<float>(ov::element::f32, levels.unit);
    unit->set_friendly_name(name + "/unit");
    weights.levels = std::make_shared<op::Gather>(table, indices, axis);
    weights.scale = std::make_shared<op::Multiply>(wide_gamma, unit);
  }
  weights.levels.get_node_shared_ptr()->set_friendly_name(name + "/levels");
  return weights;
}

NodeOutput as_float(const NodeOutput& levels) {
  if (levels.get_element_type() == ov::element::f32) return levels;
  return std::make_shared<op::Convert>(levels, ov::element::f32);
}

// Rows are looked up as int8 levels and scaled afterwards, so that no float32 table is ever held in memory.
void emit_standard_embedding(const Target& target, const StandardWeights& weights) {
  const auto gather = target.node;
  const NodeOutput indices = gather->input_value(1), axis = gather->input_value(2);
  const auto rows = std::make_shared<op::Gather>(weights.levels, indices, axis);
  const auto scales = std::make_shared<op::Gather>(weights.scale, indices, axis);
  const NodeOutput result = std::make_shared<op::Multiply>(as_float(rows), scales);
  replace_and_keep_names(gather, result);
}

// Which consumers see the quantized tensor. In a convolutional network all of them, as its residual sums run on 8-bit
// tensors; beside a MatMul the others (residual sums, normalisation) keep float32, which costs nothing there.
void quantize_activations(const std::vector<const Target*>& layers_of_tensor) {
  const Target& first = *layers_of_tensor.front();
  const NodeOutput tensor = first.node->input_value(first.layer->activation_port);
  const auto low = scalar<float>(ov::element::f32, first.codes->range_low);
  const auto high = scalar<float>(ov::element::f32, first.codes->range_high);
  std::vector<ov::Input<ov::Node>> inputs;
  bool convolutional = false;
  for (const Target* target : layers_of_tensor) {
    inputs.push_back(target->node->input(target->layer->activation_port));
    convolutional = convolutional || target->layer->kind != LayerKind::kMatMul;
  }
  if (convolutional) {
    inputs.clear();
    for (const ov::Input<ov::Node>& input : tensor.get_target_inputs()) {
      const bool shape_only = ov::is_type<op::ShapeOf>(input.get_node()) || ov::is_type<op::Result>(input.get_node());
      if (!shape_only) inputs.push_back(input);
    }
  }
  const auto quantized = std::make_shared<op::FakeQuantize>(tensor, low, high, low, high, 256);
  quantized->set_friendly_name(tensor.get_node()->get_friendly_name() + "/quantize");
  for (ov::Input<ov::Node>& input : inputs) input.replace_source_output(quantized);
}

BlobHeader weight_header(const Layer& layer, const LayerCodes& codes, const ov::Shape& shape) {
  BlobHeader header;
  header.code = codes.weight_code;
  header.has_codes = true;
  header.transposed = layer.weights_transposed;
  header.rows = layer.rows;
  header.columns = layer.columns;
  header.shape.assign(shape.begin(), shape.end());
  return header;
}

std::shared_ptr<op::Constant> blob_constant(const std::vector<uint8_t>& bytes, const std::string& name) {
  auto constant = std::make_shared<op::Constant>(ov::element::u8, ov::Shape{bytes.size()}, bytes.data());
  constant->set_friendly_name(name);
  return constant;
}

NodeOutput activation_of(const Target& target) { return target.node->input_value(target.layer->activation_port); }

// Tensors that enter the wanted layers (embeddings apart), in topological order of their first one, with those layers.
std::vector<std::vector<const Target*>> group_by_tensor(const Copy& copy, const std::function<bool(size_t)>& wanted) {
  std::vector<std::vector<const Target*>> groups;
  std::map<NodeOutput, size_t> index;
  for (size_t i = 0; i < copy.targets.size(); ++i) {
    const auto& target = copy.targets[i];
    if (!target || target->layer->kind == LayerKind::kEmbedding || !wanted(i)) continue;
    const auto [at, inserted] = index.try_emplace(activation_of(*target), groups.size());
    if (inserted) groups.emplace_back();
    groups[at->second].push_back(&*target);
  }
  return groups;
}

void finish(const std::shared_ptr<ov::Model>& model, const char* emission) {
  model->validate_nodes_and_infer_types();
  model->set_rt_info(std::string(emission), "dnateq", "emission");
}

// OpenVINO names nodes by a counter of the process, which depends on all the work before. Nodes that the emission added
// are counted in the model instead, so that the file is the same after every run.
void name_new_nodes(const ov::Model& model, const PreparedModel& prepared) {
  std::unordered_set<std::string> kept;
  for (const auto& node : prepared.model->get_ops()) kept.insert(node->get_friendly_name());
  size_t number = 0;
  for (const auto& node : model.get_ordered_ops()) {
    const std::string& name = node->get_friendly_name();
    const std::string type = node->get_type_name() + std::string("_");
    const bool counted =
        name.starts_with(type) && name.find_first_not_of("0123456789", type.size()) == std::string::npos;
    if (counted && !kept.contains(name)) node->set_friendly_name("dnateq/" + type + std::to_string(number++));
  }
}

}  // namespace

namespace {

// All layers that `ours` does not name.
void emit_standard_layers(Copy& copy, const std::vector<bool>& ours) {
  const auto quantized = [&](size_t i) { return !ours[i] && copy.targets[i]->codes->has_activation_code; };
  for (const auto& group : group_by_tensor(copy, quantized)) quantize_activations(group);
  std::map<size_t, StandardWeights> stored;
  for (size_t i = 0; i < copy.targets.size(); ++i) {
    if (!copy.targets[i] || ours[i]) continue;
    const Target& target = *copy.targets[i];
    const size_t from = owner(copy, i);
    if (!stored.contains(from)) stored.emplace(from, standard_weights(target));
    StandardWeights& weights = stored.at(from);
    if (target.layer->kind == LayerKind::kEmbedding) {
      emit_standard_embedding(target, weights);
      continue;
    }
    if (!weights.decoded.get_node_shared_ptr())
      weights.decoded = std::make_shared<op::Multiply>(as_float(weights.levels), weights.scale);
    target.node->input(target.layer->weight_port).replace_source_output(weights.decoded);
    add_bias(target);
  }
}

// The layer's own bias and the constant that the network adds, in one; `end` is the last node that they replace.
std::vector<float> whole_bias(const Target& target, std::shared_ptr<ov::Node>& end) {
  std::vector<float> bias = target.codes->bias;
  end = target.node;
  const auto consumers = target.node->output(0).get_target_inputs();
  if (consumers.size() != 1) return bias;
  const ov::Input<ov::Node> input = *consumers.begin();
  const auto add = ov::as_type_ptr<op::Add>(input.get_node()->shared_from_this());
  if (!add) return bias;
  const auto constant = ov::as_type_ptr<op::Constant>(add->get_input_node_shared_ptr(1 - input.get_index()));
  if (!constant || constant->get_element_type() != ov::element::f32 ||
      !is_per_channel(constant->get_shape(), bias_shape(target)) ||
      add->get_output_partial_shape(0).rank() != target.node->get_output_partial_shape(0).rank())
    return bias;
  const std::vector<float> added = constant->cast_vector<float>();
  bias.resize(static_cast<size_t>(target.layer->rows), 0.0F);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] += added[added.size() == 1 ? 0 : i];
  end = add;
  return bias;
}

class Blobs {
 public:
  explicit Blobs(const Copy& copy) : copy_(copy) {}
  std::shared_ptr<op::Constant> of(size_t i) {
    const size_t from = owner(copy_, i);
    auto& blob = blobs_[from];
    if (!blob) {
      const Target& target = *copy_.targets[from];
      const BlobHeader header = weight_header(*target.layer, *target.codes, target.weight_shape);
      blob = blob_constant(write_weight_blob(header, target.codes->codes, target.codes->gamma),
                           target.layer->name + "/weights");
    }
    return blob;
  }

 private:
  const Copy& copy_;
  std::map<size_t, std::shared_ptr<op::Constant>> blobs_;
};

void emit_packed(const std::vector<const Target*>& layers_of_tensor, const Copy& copy, Blobs& blobs) {
  ov::OutputVector parts;
  std::vector<std::shared_ptr<ov::Node>> ends;
  std::string name;
  for (const Target* target : layers_of_tensor) {
    std::shared_ptr<ov::Node> end;
    const std::vector<float> bias = whole_bias(*target, end);
    const auto at = static_cast<size_t>(
        std::find_if(copy.targets.begin(), copy.targets.end(), [&](const auto& t) { return t && &*t == target; }) -
        copy.targets.begin());
    parts.push_back(blobs.of(at));
    parts.push_back(op::Constant::create(ov::element::f32, ov::Shape{bias.size()}, bias));
    parts.back().get_node_shared_ptr()->set_friendly_name(target->layer->name + "/bias");
    ends.push_back(end);
    name += (name.empty() ? "" : "+") + target->layer->name;
  }
  const auto packed = std::make_shared<ops::PackedMatMul>(activation_of(*layers_of_tensor.front()), parts);
  packed->set_friendly_name(ends.size() == 1 ? ends.front()->get_friendly_name() : name);
  for (size_t p = 0; p < ends.size(); ++p) {
    const ov::Output<ov::Node> old = ends[p]->output(0);
    packed->output(p).set_names(old.get_names());
    ends[p]->output(0).set_names({});
    ends[p]->output(0).replace(packed->output(p));
  }
}

}  // namespace

std::shared_ptr<ov::Model> emit_standard(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  Copy copy = copy_model(prepared, codes);
  emit_standard_layers(copy, std::vector<bool>(codes.size()));
  finish(copy.model, "standard");
  name_new_nodes(*copy.model, prepared);
  return copy.model;
}

namespace {

bool can_run_packed(const Layer& layer) {
  if (layer.kind == LayerKind::kEmbedding) return true;
  const auto matmul = ov::as_type_ptr<op::MatMul>(layer.node);
  return matmul && layer.weight_port == 1 && layer.weights()->get_shape().size() == 2 && !matmul->get_transpose_a();
}

}  // namespace

bool runs_packed(const Layer& layer, int bits, double expected_rows) {
  if (layer.kind == LayerKind::kEmbedding) return true;
  if (!can_run_packed(layer) || !(expected_rows > 0)) return false;
  // Measured on one Zen 4 core in chains of 192 ... 2,048 channels at 1 ... 8 rows, in ns, bytes and products a ns.
  // Ratios matter, not the machine: below 2^17 weights the call costs more than the bytes saved, above 4 rows products
  // bind.
  constexpr double kBytes = 28, kOurCall = 2000, kOurProducts = 120, kNativeCall = 600, kNativeProducts = 140;
  const auto weights = static_cast<double>(layer.rows * layer.columns);
  const double ours = kOurCall + std::max(weights * bits / 8 / kBytes, expected_rows * weights / kOurProducts);
  const double native = kNativeCall + std::max(weights / kBytes, expected_rows * weights / kNativeProducts);
  return ours < native;
}

std::shared_ptr<ov::Model> emit_cpu(const PreparedModel& prepared, const std::vector<LayerCodes>& codes,
                                    const std::vector<bool>& packed) {
  Copy copy = copy_model(prepared, codes);
  std::vector<bool> ours(codes.size());
  for (size_t i = 0; i < codes.size(); ++i)
    ours[i] = copy.targets[i] && packed.at(i) && can_run_packed(prepared.layers[i]);
  emit_standard_layers(copy, ours);
  Blobs blobs(copy);
  for (const auto& group : group_by_tensor(copy, [&](size_t i) { return ours[i]; })) emit_packed(group, copy, blobs);
  for (size_t i = 0; i < codes.size(); ++i)
    if (ours[i] && copy.targets[i]->layer->kind == LayerKind::kEmbedding)
      replace_and_keep_names(copy.targets[i]->node, std::make_shared<ops::ExponentialEmbedding>(
                                                        blobs.of(i), copy.targets[i]->node->input_value(1)));
  finish(copy.model, "cpu");
  name_new_nodes(*copy.model, prepared);
  return copy.model;
}

namespace {

// Float32 layers between our quantizer and decoded weights.
Copy decoded_copy(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  Copy copy = copy_model(prepared, codes);
  const auto quantizes = [&](size_t i) { return copy.targets[i]->codes->has_activation_code; };
  for (const auto& group : group_by_tensor(copy, quantizes)) {
    std::vector<std::pair<TensorCode, NodeOutput>> quantized;  // layers that read a tensor by the same code share it
    const NodeOutput tensor = activation_of(*group.front());
    for (const Target* target : group) {
      const TensorCode& code = target->codes->activation_code;
      auto found = std::find_if(quantized.begin(), quantized.end(), [&](const auto& q) { return q.first == code; });
      if (found == quantized.end()) {
        validate(code, target->layer->name);
        const auto blob = blob_constant(write_code_blob(code), target->layer->name + "/activation_code");
        const auto node = std::make_shared<ops::ExponentialQuantize>(tensor, blob);
        node->set_friendly_name(target->layer->name + "/quantize");
        quantized.emplace_back(code, node);
        found = quantized.end() - 1;
      }
      target->node->input(target->layer->activation_port).replace_source_output(found->second);
    }
  }

  std::map<size_t, NodeOutput> blobs, decoded;
  for (size_t i = 0; i < copy.targets.size(); ++i) {
    if (!copy.targets[i]) continue;
    const Target& target = *copy.targets[i];
    const std::string& name = target.layer->name;
    const size_t from = owner(copy, i);
    if (from == i) {
      const BlobHeader header = weight_header(*target.layer, *target.codes, target.weight_shape);
      blobs[i] = blob_constant(write_weight_blob(header, target.codes->codes, target.codes->gamma), name + "/weights");
    }
    if (target.layer->kind == LayerKind::kEmbedding) {
      replace_and_keep_names(target.node,
                             std::make_shared<ops::ExponentialEmbedding>(blobs.at(from), target.node->input_value(1)));
      continue;
    }
    if (!decoded.contains(from)) {
      decoded[from] = std::make_shared<ops::ExponentialWeights>(blobs.at(from));
      decoded[from].get_node_shared_ptr()->set_friendly_name(name + "/decode");
    }
    target.node->input(target.layer->weight_port).replace_source_output(decoded.at(from));
    add_bias(target);
  }
  return copy;
}

}  // namespace

std::shared_ptr<ov::Model> emit_exact_decoded(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  const Copy copy = decoded_copy(prepared, codes);
  finish(copy.model, "exact");
  name_new_nodes(*copy.model, prepared);
  return copy.model;
}

std::shared_ptr<ov::Model> emit_exact(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  const Copy copy = decoded_copy(prepared, codes);
  copy.model->validate_nodes_and_infer_types();
  fuse_levels(copy.model);
  finish(copy.model, "exact");
  name_new_nodes(*copy.model, prepared);
  return copy.model;
}

int64_t standard_weight_bytes(const Layer& layer, const LayerCodes& codes) {
  if (codes.codes.empty() || layer.shares_weights_with >= 0) return 0;
  const int64_t elements = layer.rows * layer.columns;
  const int64_t entries = int64_t{1} << codes.weight_code.stored_bits;
  int64_t bytes = layer.rows * static_cast<int64_t>(sizeof(uint16_t));
  for (const Plane& plane : planes(codes.weight_code.stored_bits)) bytes += plane_bytes(plane, elements);
  const bool real = codes.weight_code.arithmetic == Arithmetic::kExponential && !codes.has_activation_code;
  return bytes + (real ? entries * static_cast<int64_t>(sizeof(float)) : entries + static_cast<int64_t>(sizeof(float)));
}

int64_t exact_weight_bytes(const Layer& layer, const LayerCodes& codes) {
  if (codes.codes.empty() || layer.shares_weights_with >= 0) return 0;
  const ov::Shape shape = layer.node->get_input_shape(layer.weight_port);
  return weight_blob_bytes(weight_header(layer, codes, shape));
}

}  // namespace dnateq
