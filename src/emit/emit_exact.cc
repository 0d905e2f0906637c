// Every layer on our operations: first as quantization beside float32 layers, then on levels (fuse_levels.h).
#include <algorithm>
#include <map>

#include "emit/emission_copy.h"
#include "emit/fuse_levels.h"
#include "ops/ops.h"

namespace dnateq {

using namespace emission;  // NOLINT: this file is one of its own

Copy emission::decoded_copy(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  Copy copy = copy_for_emission(prepared, codes);
  const auto quantizes = [&](size_t i) { return copy.targets[i]->codes->activations.has_value(); };
  for (const auto& group : group_by_tensor(copy, quantizes)) {
    std::vector<std::pair<TensorCode, NodeOutput>> quantized;  // layers that read a tensor by the same code share it
    const NodeOutput tensor = activation_of(*group.front());
    for (const Target* target : group) {
      const TensorCode& code = *target->codes->activations;
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

  replace_hadamards(copy);
  Blobs blobs(copy);
  std::map<size_t, NodeOutput> decoded;
  for (size_t i = 0; i < copy.targets.size(); ++i) {
    if (!copy.targets[i]) continue;
    const Target& target = *copy.targets[i];
    if (target.layer->kind == LayerKind::kEmbedding) {
      replace_lookup(
          i, copy, [&](size_t other) { return copy.targets[other].has_value(); }, blobs);
      continue;
    }
    const size_t from = owner(copy, i);
    if (!decoded.contains(from)) {
      decoded[from] = std::make_shared<ops::ExponentialWeights>(blobs.of(i));
      decoded[from].get_node_shared_ptr()->set_friendly_name(target.layer->name + "/decode");
    }
    target.node->input(target.layer->weight_port).replace_source_output(decoded.at(from));
    add_bias(target);
  }
  return copy;
}

std::shared_ptr<ov::Model> emit_exact_decoded(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  const Copy copy = decoded_copy(prepared, codes);
  finish(copy, prepared, "exact");
  return copy.model;
}

std::shared_ptr<ov::Model> emit_exact(const PreparedModel& prepared, const std::vector<LayerCodes>& codes) {
  const Copy copy = decoded_copy(prepared, codes);
  copy.model->validate_nodes_and_infer_types();
  fuse_levels(copy.model);
  finish(copy, prepared, "exact");
  return copy.model;
}

int64_t exact_weight_bytes(const Layer& layer, const LayerCodes& codes) {
  if (codes.codes.empty() || layer.shares_weights_with) return 0;
  const ov::Shape shape = layer.node->get_input_shape(layer.weight_port);
  return weight_blob_bytes(weight_header(layer, codes, shape));
}

}  // namespace dnateq
