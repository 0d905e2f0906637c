// Cutting a network at known tensors and running only a part of it.
#pragma once

#include <map>
#include <memory>
#include <openvino/openvino.hpp>
#include <vector>

namespace dnateq {

using Outputs = std::vector<ov::Output<ov::Node>>;

struct Subgraph {
  std::shared_ptr<ov::Model> model;
  std::vector<size_t> inputs;  // the model's inputs as indices into the `cut` it was made from
};

// The part of the graph between the tensors `cut` and `wanted`, as a model of its own whose nodes are copies (constants
// are shared). `shapes` gives the cut tensors' shapes, parallel to `cut`. Every wanted tensor must be computable.
Subgraph extract_subgraph(const Outputs& cut, const std::vector<ov::PartialShape>& shapes, const Outputs& wanted);

// A copy of `model` with the copies of its nodes, in parallel order of get_ordered_ops().
struct ModelCopy {
  std::shared_ptr<ov::Model> model;
  std::map<const ov::Node*, std::shared_ptr<ov::Node>> copy_of;
};
ModelCopy copy_model(const std::shared_ptr<ov::Model>& model);

}  // namespace dnateq
