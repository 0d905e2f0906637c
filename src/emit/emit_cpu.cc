// Layers whose weights bind run on our packed operations; the others as in emit_standard.cc.
#include <algorithm>
#include <set>
#include <string>

#include "emit/emission_copy.h"
#include "emit/join_packed.h"
#include "graph/table_blocks.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

using namespace emission;  // NOLINT: this file is one of its own

// The layer's own bias and the constant that the network adds, in one; `end` is the last node that they replace.
std::vector<float> whole_bias(const Target& target, std::shared_ptr<ov::Node>& end) {
  std::vector<float> bias = target.codes->bias;
  end = target.node;
  const std::optional<ConstantAdd> joined = bias_add(target);
  if (!joined || joined->sum().get_partial_shape().rank() != target.node->get_output_partial_shape(0).rank())
    return bias;
  const std::vector<float> added = joined->constant()->cast_vector<float>();
  bias.resize(static_cast<size_t>(target.layer->rows), 0.0F);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] += added[added.size() == 1 ? 0 : i];
  end = joined->add->shared_from_this();
  return bias;
}

// What gives a result for every token, [batch, tokens, values], of a network with a cache.
bool is_language_head(const PreparedModel& prepared, const ov::Output<ov::Node>& output) {
  const auto readers = output.get_target_inputs();
  return !prepared.state.empty() && output.get_partial_shape().rank() == 3 && readers.size() == 1 &&
         ov::is_type<op::Result>(readers.begin()->get_node());
}

// What a language model ends with: the layer itself, or what joins the blocks of its rows; null: they are something
// else.
std::shared_ptr<ov::Node> language_head(const PreparedModel& prepared,
                                        const std::vector<std::shared_ptr<ov::Node>>& ends) {
  std::shared_ptr<ov::Node> last = ends.front();
  if (ends.size() > 1) {
    std::vector<NodeOutput> blocks;
    for (const auto& end : ends) blocks.push_back(end->output(0));
    ov::Node* joined = joined_channels(blocks);
    if (joined == nullptr) return {};
    last = joined->shared_from_this();
  }
  return is_language_head(prepared, last->output(0)) ? last : nullptr;
}

void emit_packed(const std::vector<const Target*>& layers_of_tensor, const PreparedModel& prepared, const Copy& copy,
                 Blobs& blobs) {
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
  const ov::Output<ov::Node> x = activation_of(*layers_of_tensor.front());
  if (const std::shared_ptr<ov::Node> head = language_head(prepared, ends)) {
    replace_and_keep_names(head, std::make_shared<ops::PackedHead>(x, parts));
    return;
  }
  const auto packed = std::make_shared<ops::PackedMatMul>(x, parts);
  packed->set_friendly_name(ends.size() == 1 ? ends.front()->get_friendly_name() : name);
  for (size_t p = 0; p < ends.size(); ++p) {
    const ov::Output<ov::Node> old = ends[p]->output(0);
    packed->output(p).set_names(old.get_names());
    ends[p]->output(0).set_names({});
    ends[p]->output(0).replace(packed->output(p));
  }
}

// The nodes by whose names the state is put back (graph/state.h).
std::set<std::string> places_of(const NetworkState& state) {
  std::set<std::string> names;
  for (const auto& [parameter, place] : state.ends) names.insert(place.node);
  for (const StateReader& reader : state.readers)
    for (const Place& place : reader.inputs) names.insert(place.node);
  return names;
}

bool can_run_packed(const Layer& layer) {
  if (layer.kind == LayerKind::kEmbedding) return true;
  const auto matmul = ov::as_type_ptr<op::MatMul>(layer.node);
  return matmul && layer.weight_port == 1 && layer.weights()->get_shape().size() == 2 && !matmul->get_transpose_a();
}

}  // namespace

bool runs_packed(const Layer& layer, int bits, double expected_rows, bool is_joined) {
  if (layer.kind == LayerKind::kEmbedding) return true;
  if (!can_run_packed(layer) || !(expected_rows > 0)) return false;
  // Measured on one Zen 4 core in chains of 192 ... 2,048 channels at 1 ... 8 rows, in ns, bytes and products a ns.
  // Ratios matter, not the machine: below 2^17 weights the call costs more than the bytes saved, above 4 rows products
  // bind.
  constexpr double kBytes = 28, kOurCall = 2000, kOurProducts = 120, kNativeCall = 600, kNativeProducts = 140;
  const auto weights = static_cast<double>(layer.rows * layer.columns);
  const double ours =
      (is_joined ? 0 : kOurCall) + std::max(weights * bits / 8 / kBytes, expected_rows * weights / kOurProducts);
  const double native = kNativeCall + std::max(weights / kBytes, expected_rows * weights / kNativeProducts);
  return ours < native;
}

std::shared_ptr<ov::Model> emit_cpu(const PreparedModel& prepared, const std::vector<LayerCodes>& codes,
                                    const std::vector<bool>& packed) {
  Copy copy = copy_for_emission(prepared, codes);
  std::vector<bool> ours(codes.size());
  for (size_t i = 0; i < codes.size(); ++i)
    ours[i] = copy.targets[i] && packed.at(i) && can_run_packed(prepared.layers[i]);
  Blobs blobs(copy);
  emit_standard_layers(copy, ours, &blobs);
  for (const auto& group : group_by_tensor(copy, [&](size_t i) { return ours[i]; }))
    emit_packed(group, prepared, copy, blobs);
  for (size_t i = 0; i < codes.size(); ++i)
    if (ours[i] && copy.targets[i]->layer->kind == LayerKind::kEmbedding)
      replace_lookup(
          i, copy, [&](size_t other) { return ours[other]; }, blobs);
  replace_hadamards(copy);
  if (!prepared.state.empty()) join_packed(copy.model, places_of(prepared.state));
  finish(copy, prepared, "cpu");
  return copy.model;
}

}  // namespace dnateq
