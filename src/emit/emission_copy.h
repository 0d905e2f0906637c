// The copy of the network that an emission rewrites, and what all of them do to it. For emit*.cc alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/blob.h"
#include "emit/emit.h"
#include "graph/patterns.h"

namespace dnateq::emission {

namespace op = ov::opset13;
using NodeOutput = ov::Output<ov::Node>;

// A layer and what is needed to write it, found in the copy of the model.
struct Target {
  const Layer* layer;
  const LayerCodes* codes;
  std::shared_ptr<ov::Node> node;
  ov::Shape weight_shape;
  ov::Shape channel_shape;  // of a per-row constant beside the weights: ones but for the channel axis (axes)
};

struct Copy {
  std::shared_ptr<ov::Model> model;
  std::vector<std::optional<Target>> targets;  // one per layer; none where it stays FP32
};

// Throws Error where codes do not fit the layers.
Copy copy_for_emission(const PreparedModel& prepared, const std::vector<LayerCodes>& codes);

// The copy with float32 layers between ExponentialQuantize, where a layer has a code of its activations, and
// ExponentialWeights; biases added. What exact and counting emissions put their operations in place of.
Copy decoded_copy(const PreparedModel& prepared, const std::vector<LayerCodes>& codes);

// Index of the layer whose stored weights layer i uses: itself, or an earlier one with the same content and shape.
size_t owner(const Copy& copy, size_t i);

NodeOutput activation_of(const Target& target);

// Tensors that enter the wanted layers (embeddings apart), in topological order of their first one, with those layers.
std::vector<std::vector<const Target*>> group_by_tensor(const Copy& copy, const std::function<bool(size_t)>& wanted);

void replace_and_keep_names(const std::shared_ptr<ov::Node>& old_node, const NodeOutput& replacement);

// The addition of a constant that follows the layer and that its bias can join.
std::optional<ConstantAdd> bias_add(const Target& target);

// Adds the layer's bias: into the constant of the Add that follows, else as a new Add.
void add_bias(const Target& target);

BlobHeader weight_header(const Layer& layer, const LayerCodes& codes, const ov::Shape& shape);
std::shared_ptr<op::Constant> blob_constant(const std::vector<uint8_t>& bytes, const std::string& name);

// Weights as blobs, one for all layers that share them.
class Blobs {
 public:
  explicit Blobs(const Copy& copy) : copy_(copy) {}
  std::shared_ptr<op::Constant> of(size_t layer);

 private:
  const Copy& copy_;
  std::map<size_t, std::shared_ptr<op::Constant>> blobs_;
};

// Puts HadamardTransform in the place of the nodes that compute it.
void replace_hadamards(const Copy& copy);

// Puts ExponentialEmbedding in the place of an embedding's lookup, together with those in further blocks of its table
// (graph/table_blocks.h), where all of these are `wanted`.
void replace_lookup(size_t layer, const Copy& copy, const std::function<bool(size_t)>& wanted, Blobs& blobs);

// Gives all layers that `others` does not name the form of emit_standard. Where one of `others` has the same weights,
// which then lie in one of `blobs`, they are taken from there, so that the file holds them once, unless OpenVINO's
// kernels need them rounded (core/pair_sums.h); null: there are none.
void emit_standard_layers(Copy& copy, const std::vector<bool>& others, Blobs* blobs = nullptr);
// Whether that can be: the blob holds what OpenVINO's INT8 passes need.
bool can_read_blob(const Target& target);

// Shapes, the name of the emission, and names of new nodes that do not depend on what the process did before.
void finish(const Copy& copy, const PreparedModel& prepared, const char* emission);

}  // namespace dnateq::emission
