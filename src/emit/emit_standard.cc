// Codes as constants and tables that OpenVINO folds to int8, and FakeQuantize where activations enter: what its INT8
// passes look for.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "core/pack.h"
#include "core/pair_sums.h"
#include "emit/emission_copy.h"
#include "graph/patterns.h"
#include "ops/ops.h"

namespace dnateq {
namespace emission {
namespace {

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

// Whether OpenVINO's kernels compute with the integers of the codes on every CPU.
bool safe_as_stored(const LayerCodes& codes, int64_t columns, const std::vector<ColumnPair>& pairs) {
  return codes.code.arithmetic == Arithmetic::kInt8Grid &&
         largest_pair_sum(codes.codes, columns, int8_level_table(codes.code), pairs) <= kLargestPairSum;
}

// Without VNNI, OpenVINO's kernels of 3-D grouped convolutions halve the levels beside signed activations, and an odd
// one loses its half (docs/isa.md).
bool halves_levels(const Target& target) {
  return target.layer->kind == LayerKind::kGroupConvolution && target.weight_shape.size() == 6 &&
         target.codes->any_cpu && target.codes->activations && target.codes->range_low < 0;
}

// Real levels, or integers that cannot stay: the nearest multiples of `step` of an 8-bit grid up to the largest level.
Int8Levels rounded_levels(const LayerCodes& codes, int64_t columns, const std::vector<ColumnPair>& pairs, int step) {
  const std::vector<float> levels = level_table(codes.code);
  Int8Levels rounded;
  const int top = safe_table(levels, kLargestLevel / step, codes.codes, columns, pairs, rounded.table);
  for (int8_t& level : rounded.table) level = static_cast<int8_t>(step * level);
  float largest = 0;
  for (const float level : levels) largest = std::max(largest, std::fabs(level));
  rounded.unit = largest / static_cast<float>(step * top);
  return rounded;
}

// Levels that can be halved: those of the codes where they are even or can be doubled, else the nearest even ones.
Int8Levels even_levels(const LayerCodes& codes, int64_t columns) {
  constexpr int kLargestHalf = kLargestLevel / 2;
  const TensorCode& code = codes.code;
  if (code.arithmetic == Arithmetic::kInt8Grid) {
    Int8Levels levels{int8_level_table(code), static_cast<float>(1.0 / code.grid)};
    if (std::ranges::all_of(levels.table, [](int8_t level) { return level % 2 == 0; })) return levels;
    if (std::ranges::all_of(levels.table, [](int8_t level) { return std::abs(level) <= kLargestHalf; })) {
      for (int8_t& level : levels.table) level = static_cast<int8_t>(2 * level);
      return {levels.table, levels.unit / 2};
    }
  }
  return rounded_levels(codes, columns, {}, 2);
}

Int8Levels int8_levels(const LayerCodes& codes, int64_t columns, const std::vector<ColumnPair>& pairs) {
  const TensorCode& code = codes.code;
  if (safe_as_stored(codes, columns, pairs)) return {int8_level_table(code), static_cast<float>(1.0 / code.grid)};
  return rounded_levels(codes, columns, pairs, 1);  // real, or not solved for every CPU
}

// What the layers that read this layer's stored weights ask of them.
std::vector<ColumnPair> pairs_of(const Copy& copy, size_t layer, const std::vector<bool>& others) {
  std::vector<ColumnPair> pairs;
  for (size_t i = 0; i < copy.targets.size() && pairs.empty(); ++i) {
    const auto& target = copy.targets[i];
    if (target && !others[i] && target->codes->any_cpu && target->codes->activations && owner(copy, i) == layer)
      pairs = target->layer->added_pairs();
  }
  return pairs;
}

struct StandardWeights {
  NodeOutput levels;   // int8 (or float32) in the weights' shape
  NodeOutput scale;    // float32 in the channel shape
  NodeOutput decoded;  // levels * scale; made when first asked for
};

// codes -> level integers -> * gamma * unit, the unit times the power of two of the scales. The codes are converted
// first because OpenVINO folds no Gather by sub-byte indices; folded, the levels are an int8 constant and the rest is
// the dequantization that its INT8 passes look for.
StandardWeights standard_weights(const Target& target, const std::vector<ColumnPair>& pairs) {
  const LayerCodes& codes = *target.codes;
  const std::string& name = target.layer->name;
  const std::vector<uint8_t> ordered = target.layer->to_model_layout(codes.codes);
  NodeOutput indices;
  int shift = 0;
  for (const Plane& plane : planes(codes.code.stored_bits)) {
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

  const bool keep_real_levels = codes.code.arithmetic == Arithmetic::kExponential && !codes.activations;
  const size_t entries = size_t{1} << codes.code.stored_bits;
  const auto gamma = std::make_shared<op::Constant>(ov::element::f16, target.channel_shape, codes.gamma.data());
  gamma->set_friendly_name(name + "/gamma");
  const NodeOutput wide_gamma = std::make_shared<op::Convert>(gamma, ov::element::f32);
  const auto axis = scalar<int32_t>(ov::element::i32, 0);
  StandardWeights weights;
  if (keep_real_levels) {
    const auto table = op::Constant::create(ov::element::f32, ov::Shape{entries}, level_table(codes.code));
    table->set_friendly_name(name + "/table");
    weights.levels = std::make_shared<op::Gather>(table, indices, axis);
    weights.scale = wide_gamma;
    if (codes.scale_exponent != 0) {
      const auto unit = scalar<float>(ov::element::f32, std::ldexp(1.0F, codes.scale_exponent));
      unit->set_friendly_name(name + "/unit");
      weights.scale = std::make_shared<op::Multiply>(wide_gamma, unit);
    }
  } else {
    const Int8Levels levels = halves_levels(target) ? even_levels(codes, target.layer->columns)
                                                    : int8_levels(codes, target.layer->columns, pairs);
    const auto table = op::Constant::create(ov::element::i8, ov::Shape{entries}, levels.table);
    table->set_friendly_name(name + "/table");
    const auto unit = scalar<float>(ov::element::f32, std::ldexp(levels.unit, codes.scale_exponent));
    unit->set_friendly_name(name + "/unit");
    weights.levels = std::make_shared<op::Gather>(table, indices, axis);
    weights.scale = std::make_shared<op::Multiply>(wide_gamma, unit);
  }
  weights.levels.get_node_shared_ptr()->set_friendly_name(name + "/levels");
  return weights;
}

// The same from the blob of an operation of ours; folded when compiled, as those.
StandardWeights weights_of_blob(const Target& target, const NodeOutput& blob) {
  const auto levels = std::make_shared<ops::ExponentialLevels>(blob);
  levels->set_friendly_name(target.layer->name + "/levels");
  return {levels->output(0), levels->output(1), {}};
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

std::shared_ptr<op::FakeQuantize> to_8_bits(const NodeOutput& tensor, float low_value, float high_value) {
  const auto low = scalar<float>(ov::element::f32, low_value), high = scalar<float>(ov::element::f32, high_value);
  const auto quantized = std::make_shared<op::FakeQuantize>(tensor, low, high, low, high, 256);
  quantized->set_friendly_name(tensor.get_node()->get_friendly_name() + "/quantize");
  return quantized;
}

// The tensor that a max pooling alone reads, where `tensor` is that pooling's result: its largest value rounded is the
// largest rounded one, so rounding may come first, and then the layer before writes, and the pooling reads, 8 bits.
NodeOutput before_pooling(NodeOutput tensor) {
  for (const ov::Node* pool = tensor.get_node();
       (ov::is_type<op::MaxPool>(pool) && pool->output(1).get_target_inputs().empty()) ||
       ov::is_type<ov::op::v1::MaxPool>(pool);
       pool = tensor.get_node()) {
    if (pool->input_value(0).get_target_inputs().size() != 1) break;
    tensor = pool->input_value(0);
  }
  return tensor;
}

// Which consumers see the quantized tensor. In a convolutional network all of them, as its residual sums run on 8-bit
// tensors; beside a MatMul the others (residual sums, normalisation) keep float32, which costs nothing there.
void quantize_activations(const std::vector<const Target*>& layers_of_tensor) {
  const Target& first = *layers_of_tensor.front();
  NodeOutput tensor = activation_of(first);
  std::vector<ov::Input<ov::Node>> inputs;
  bool convolutional = false;
  for (const Target* target : layers_of_tensor) {
    inputs.push_back(target->node->input(target->layer->activation_port));
    convolutional = convolutional || target->layer->kind != LayerKind::kMatMul;
  }
  if (convolutional) {
    inputs.clear();
    tensor = before_pooling(tensor);
    for (const ov::Input<ov::Node>& input : tensor.get_target_inputs()) {
      const bool shape_only = ov::is_type<op::ShapeOf>(input.get_node()) || ov::is_type<op::Result>(input.get_node());
      if (!shape_only) inputs.push_back(input);
    }
  }
  const auto quantized = to_8_bits(tensor, first.codes->range_low, first.codes->range_high);
  for (ov::Input<ov::Node>& input : inputs) input.replace_source_output(quantized);
}

void quantize_residual_operands(const Copy& copy, const std::function<bool(size_t)>& wanted) {
  for (size_t i = 0; i < copy.targets.size(); ++i) {
    if (!copy.targets[i] || !wanted(i) || !(copy.targets[i]->codes->residual_limit > 0)) continue;
    const NodeOutput operand = residual_operand_of(copy.targets[i]->node);
    if (!operand.get_node()) continue;
    ov::Input<ov::Node> sum = *operand.get_target_inputs().begin();
    const float limit = copy.targets[i]->codes->residual_limit;
    sum.replace_source_output(to_8_bits(operand, -limit * 128.0F / 127.0F, limit));
  }
}

}  // namespace

bool can_read_blob(const Target& target) {
  return target.codes->code.arithmetic == Arithmetic::kInt8Grid && target.weight_shape.size() == 2;
}

void emit_standard_layers(Copy& copy, const std::vector<bool>& others, Blobs* blobs) {
  std::set<size_t> in_blobs;
  for (size_t i = 0; blobs != nullptr && i < copy.targets.size(); ++i)
    if (copy.targets[i] && others[i] && can_read_blob(*copy.targets[i])) {
      const size_t from = owner(copy, i);  // a table that must be rounded for OpenVINO's kernels has a second form
      if (safe_as_stored(*copy.targets[i]->codes, copy.targets[i]->layer->columns, pairs_of(copy, from, others)))
        in_blobs.insert(from);
    }
  const auto quantized = [&](size_t i) { return !others[i] && copy.targets[i]->codes->activations; };
  quantize_residual_operands(copy, quantized);
  bool any_cpu = true;
  for (size_t i = 0; i < copy.targets.size(); ++i)
    any_cpu = any_cpu && (!copy.targets[i] || !quantized(i) || copy.targets[i]->codes->any_cpu);
  copy.model->set_rt_info(std::string(to_string(any_cpu ? TargetIsa::kAny : TargetIsa::kVnni)), "dnateq", "target_isa");
  for (const auto& group : group_by_tensor(copy, quantized)) quantize_activations(group);
  std::map<size_t, StandardWeights> stored;
  for (size_t i = 0; i < copy.targets.size(); ++i) {
    if (!copy.targets[i] || others[i]) continue;
    const Target& target = *copy.targets[i];
    const size_t from = owner(copy, i);
    if (!stored.contains(from))
      stored.emplace(from, in_blobs.contains(from) ? weights_of_blob(target, blobs->of(i))
                                                   : standard_weights(target, pairs_of(copy, from, others)));
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

}  // namespace emission

std::shared_ptr<ov::Model> emit_standard(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  emission::Copy copy = emission::copy_for_emission(prepared, codes);
  emission::emit_standard_layers(copy, std::vector<bool>(codes.size()));
  emission::finish(copy, prepared, "standard");
  return copy.model;
}

bool reads_levels_of_blob(const Layer& layer, const LayerCodes& codes) {
  const bool adds_pairs = codes.any_cpu && codes.activations;
  return emission::safe_as_stored(codes, layer.columns, adds_pairs ? layer.added_pairs() : std::vector<ColumnPair>());
}

int64_t standard_weight_bytes(const Layer& layer, const LayerCodes& codes) {
  if (codes.codes.empty() || layer.shares_weights_with) return 0;
  const int64_t elements = layer.rows * layer.columns;
  const int64_t entries = int64_t{1} << codes.code.stored_bits;
  int64_t bytes = layer.rows * static_cast<int64_t>(sizeof(uint16_t));
  for (const emission::Plane& plane : emission::planes(codes.code.stored_bits))
    bytes += emission::plane_bytes(plane, elements);
  const bool real = codes.code.arithmetic == Arithmetic::kExponential && !codes.activations;
  constexpr int64_t kUnit = sizeof(float);
  return bytes + (real ? entries * static_cast<int64_t>(sizeof(float)) + (codes.scale_exponent != 0 ? kUnit : 0)
                       : entries + kUnit);
}

}  // namespace dnateq
