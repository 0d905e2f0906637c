// What import_model() does to a network, one step after the other. Each pass leaves what the network computes, rounding
// aside. For graph/import.cc alone.
#pragma once

#include <memory>
#include <openvino/openvino.hpp>
#include <openvino/opsets/opset13.hpp>
#include <string>
#include <vector>

#include "graph/import.h"
#include "graph/layer_choice.h"

namespace dnateq::import_passes {

namespace op = ov::opset13;
using ConstantPtr = std::shared_ptr<op::Constant>;

// The Constant that gives the output; null where something else does.
inline ConstantPtr constant_of(const ov::Output<ov::Node>& output) {
  return ov::as_type_ptr<op::Constant>(output.get_node_shared_ptr());
}

// Throws Error for a network that computes with quantized values already, by us or by others.
void refuse_foreign_quantization(const ov::Model& model, const std::string& file);
// The types of integers in which the weights of layers and embeddings are stored, each once. Throws Error for weights
// of so few bits that they have nothing left to give.
std::vector<std::string> types_of_compressed_weights(const ov::Model& model, const std::string& file);

void keep_length_in_broadcasts(const std::shared_ptr<ov::Model>& model);
void decompose_batch_norm(const std::shared_ptr<ov::Model>& model);
void drop_factors_of_one(const std::shared_ptr<ov::Model>& model);
void fold_scales(const std::shared_ptr<ov::Model>& model);
void fuse_clamps(const std::shared_ptr<ov::Model>& model);
void normalize_matmuls(const std::shared_ptr<ov::Model>& model);

// Fills `layers` and `unquantized`. Throws Error for weights that are not finite.
void find_layers(PreparedModel& prepared, LayerChoice& choice);
// Tied weights may come as one constant or as copies, transposed, scaled or not; afterwards they are one constant.
void share_tied_weights(PreparedModel& prepared, LayerChoice& choice);

// Hex digest of graph, constants and layers' names.
std::string fingerprint_of(const PreparedModel& prepared);

}  // namespace dnateq::import_passes
