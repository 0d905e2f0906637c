#include "emit/emission_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/channel_scale.h"
#include "dnateq/error.h"
#include "graph/hadamard_nodes.h"
#include "graph/table_blocks.h"
#include "ops/ops.h"

namespace dnateq::emission {
namespace {

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

bool same_weights(const LayerCodes& a, const LayerCodes& b) {
  return a.code == b.code && a.gamma == b.gamma && a.scale_exponent == b.scale_exponent && a.codes == b.codes;
}

void check(const Layer& layer, const LayerCodes& codes) {
  validate(codes.code, layer.name);
  const auto rows = static_cast<size_t>(layer.rows), columns = static_cast<size_t>(layer.columns);
  if (codes.codes.size() != rows * columns || codes.gamma.size() != rows)
    throw Error(fmt::format("layer '{}': codes or channel scales do not match its weights of {} x {}", layer.name, rows,
                            columns));
  if (codes.scale_exponent < kLeastScaleExponent || codes.scale_exponent > kMostScaleExponent)
    throw Error(fmt::format("layer '{}': the exponent of its channel scales is out of range", layer.name));
  const unsigned limit = 1U << codes.code.stored_bits;
  if (std::any_of(codes.codes.begin(), codes.codes.end(), [limit](uint8_t code) { return code >= limit; }))
    throw Error(fmt::format("layer '{}': a code does not fit in its stored bits", layer.name));
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

Copy copy_for_emission(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  if (codes.size() != prepared.layers.size())
    throw Error(
        fmt::format("there are codes for {} layers, and the model has {}", codes.size(), prepared.layers.size()));
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
      throw Error(fmt::format("layer '{}' is not part of the prepared model", layer.name));
    const ov::Shape shape = layer.node->get_input_shape(layer.weight_port);
    copy.targets[i] = Target{&layer, &codes[i], found->second, shape, channel_shape(layer, shape)};
  }
  return copy;
}

size_t owner(const Copy& copy, size_t i) {
  const std::optional<size_t> earlier = copy.targets[i]->layer->shares_weights_with;
  if (!earlier) return i;
  const auto& other = copy.targets.at(*earlier);
  const bool same = other && other->weight_shape == copy.targets[i]->weight_shape &&
                    other->layer->weights_transposed == copy.targets[i]->layer->weights_transposed &&
                    same_weights(*other->codes, *copy.targets[i]->codes);
  return same ? *earlier : i;
}

NodeOutput activation_of(const Target& target) { return target.node->input_value(target.layer->activation_port); }

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

void replace_and_keep_names(const std::shared_ptr<ov::Node>& old_node, const NodeOutput& replacement) {
  replacement.get_node_shared_ptr()->set_friendly_name(old_node->get_friendly_name());
  NodeOutput to = replacement;
  to.set_names(old_node->output(0).get_names());
  old_node->output(0).set_names({});
  old_node->output(0).replace(to);
}

std::optional<ConstantAdd> bias_add(const Target& target) {
  const std::optional<ConstantAdd> found = constant_add_after(target.node->output(0));
  if (!found || found->constant()->get_element_type() != ov::element::f32) return {};
  const Layer& layer = *target.layer;
  const ov::Shape shape = found->constant()->get_shape();
  if (!is_one_a_channel(shape, static_cast<size_t>(layer.rows), layer.axes_behind_channels())) return {};
  const bool widens = ov::shape_size(shape) == 1 && shape.size() > layer.bias_shape().size();
  return widens ? std::nullopt : found;
}

void add_bias(const Target& target) {
  const std::vector<float>& bias = target.codes->bias;
  if (bias.empty()) return;
  if (bias.size() != static_cast<size_t>(target.layer->rows))
    throw Error(fmt::format("layer '{}': the bias has {} values for {} channels", target.layer->name, bias.size(),
                            target.layer->rows));
  const ov::Shape shape = target.layer->bias_shape();
  if (const std::optional<ConstantAdd> joined = bias_add(target)) {
    const ov::Shape old = joined->constant()->get_shape();
    joined->change(std::vector<double>(bias.begin(), bias.end()), old.size() > shape.size() ? old : shape);
    return;
  }
  const auto consumers = target.node->output(0).get_target_inputs();
  const auto added = std::make_shared<op::Add>(target.node, op::Constant::create(ov::element::f32, shape, bias));
  added->set_friendly_name(target.node->get_friendly_name() + "/dnateq_bias");
  added->output(0).set_names(target.node->output(0).get_names());
  target.node->output(0).set_names({});
  for (ov::Input<ov::Node> input : consumers) input.replace_source_output(added);
}

BlobHeader weight_header(const Layer& layer, const LayerCodes& codes, const ov::Shape& shape) {
  BlobHeader header;
  header.code = codes.code;
  header.has_codes = true;
  header.transposed = layer.weights_transposed;
  header.scale_exponent = codes.scale_exponent;
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

std::shared_ptr<op::Constant> Blobs::of(size_t layer) {
  const size_t from = owner(copy_, layer);
  auto& blob = blobs_[from];
  if (!blob) {
    const Target& target = *copy_.targets[from];
    const BlobHeader header = weight_header(*target.layer, *target.codes, target.weight_shape);
    blob = blob_constant(write_weight_blob(header, target.codes->codes, target.codes->gamma),
                         target.layer->name + "/weights");
  }
  return blob;
}

void replace_hadamards(const Copy& copy) {
  for (const auto& node : copy.model->get_ordered_ops())
    if (node->get_output_size() == 1)
      if (const std::optional<HadamardNodes> found = hadamard_behind(node->output(0)))
        replace_and_keep_names(node, std::make_shared<ops::HadamardTransform>(found->x, found->block));
}

void replace_lookup(size_t layer, const Copy& copy, const std::function<bool(size_t)>& wanted, Blobs& blobs) {
  const std::shared_ptr<ov::Node> node = copy.targets[layer]->node;
  if (node->output(0).get_target_inputs().empty()) return;  // with an earlier block
  const std::optional<CutLookup> cut = cut_lookup(node.get());
  ov::OutputVector tables;
  for (size_t i = layer; cut && i < copy.targets.size() && tables.size() < cut->lookups.size(); ++i)
    if (copy.targets[i] && wanted(i) && copy.targets[i]->node.get() == cut->lookups[tables.size()])
      tables.push_back(blobs.of(i));
  if (cut && tables.size() == cut->lookups.size())
    replace_and_keep_names(cut->joined.get_node_shared_ptr(),
                           std::make_shared<ops::ExponentialEmbedding>(tables, cut->indices));
  else
    replace_and_keep_names(
        node, std::make_shared<ops::ExponentialEmbedding>(ov::OutputVector{blobs.of(layer)}, node->input_value(1)));
}

void finish(const Copy& copy, const PreparedModel& prepared, const char* emission) {
  copy.model->validate_nodes_and_infer_types();
  copy.model->set_rt_info(std::string(emission), "dnateq", "emission");
  name_new_nodes(*copy.model, prepared);
}

}  // namespace dnateq::emission
