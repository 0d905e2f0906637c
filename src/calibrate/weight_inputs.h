// Weights and biases of some layers as inputs of a copy of the network, so that one compiled network serves for every
// disturbance of theirs.
#pragma once

#include <map>
#include <openvino/openvino.hpp>
#include <vector>

#include "graph/import.h"
#include "graph/subgraph.h"
#include "search/solve.h"

namespace dnateq {

class WeightInputs {
 public:
  // Changes the copy: in it the layers read Parameters, and a bias is added behind each but embeddings.
  WeightInputs(const PreparedModel& prepared, const ModelCopy& copy, const std::vector<size_t>& layers);

  // Weights, then biases.
  const ov::ParameterVector& parameters() const { return parameters_; }
  // As the network has them, no biases; in the order of the parameters.
  const std::vector<ov::Tensor>& as_they_are() const { return tensors_; }
  // The same with the codes of the layer at `i`.
  std::vector<ov::Tensor> disturbed(size_t i, const LayerSolution& solution) const;
  // Where an output of the original is in the copy, with its bias.
  ov::Output<ov::Node> twin(const ov::Output<ov::Node>& output) const;

 private:
  ModelCopy copy_;
  std::vector<const Layer*> layers_;
  ov::ParameterVector parameters_;
  std::vector<ov::Tensor> tensors_;
  std::map<ov::Output<ov::Node>, ov::Output<ov::Node>> sums_;
};

}  // namespace dnateq
