// The tensors between solved and unsolved layers, kept for every call in both networks, so that a layer costs one run
// of that layer and not of the network.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <vector>

#include "graph/runner.h"
#include "graph/subgraph.h"
#include "graph/tensor_store.h"

namespace dnateq {

using KeptTensors = std::vector<std::vector<TensorStore::Kept>>;  // [call][output]

struct Boundary {
  Outputs outputs;            // in the FP32 graph
  KeptTensors fp, quantized;  // as either network has them

  std::optional<size_t> find(const ov::Output<ov::Node>& output) const;
  // Static where all calls agree, else the graph's own.
  std::vector<ov::PartialShape> shapes() const;
  // Of all its tensors at a call; 1 where they are empty.
  double elements(size_t call) const;
};

// The part of one of the two networks that computes `wanted` from the boundary. What is of the boundary already is
// passed on.
class BoundarySlice {
 public:
  // `in_network`: where an output of the FP32 graph is in the slice's own network; `values`: that network's at the
  // boundary. Both boundary and values must outlive the slice.
  BoundarySlice(ov::Core& core, const Boundary& boundary, const KeptTensors& values, const Outputs& wanted,
                const std::function<ov::Output<ov::Node>(const ov::Output<ov::Node>&)>& in_network, int threads);

  // Calls `visit(call, tensors)` for the first `calls`. Tensors of the boundary are loaded only among the first `read`
  // of `wanted`; the others stay empty.
  using Visit = std::function<void(size_t call, const std::vector<ov::Tensor>& tensors)>;
  void run(size_t calls, size_t read, const Visit& visit);

  // Output `i` of `wanted` for the next boundary; `tensors` are what run() gave for this call.
  TensorStore::Kept keep(TensorStore& store, size_t call, size_t i, const std::vector<ov::Tensor>& tensors) const;

 private:
  std::vector<ov::Tensor> feed(size_t call) const;
  std::vector<ov::Tensor> collect(size_t call, const std::vector<ov::Tensor>& computed, size_t read) const;

  std::vector<std::optional<size_t>> at_boundary_;  // by output of `wanted`
  Subgraph graph_;
  std::unique_ptr<Runner> runner_;  // none where nothing is to be computed
  const KeptTensors& values_;
};

}  // namespace dnateq
