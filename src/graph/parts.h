// Large networks computed in parts: one part is compiled at a time and runs over all calls, and what the next one reads
// waits in a TensorStore. So no more weights are compiled at once than a part has. Networks whose weights fit into one
// part are computed as a whole.
#pragma once

#include <functional>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <vector>

#include "graph/calls.h"
#include "graph/subgraph.h"
#include "graph/tensor_store.h"

namespace dnateq {

inline constexpr size_t kPartBytes = size_t{3} << 26;  // 192 MB of constants

// A network's nodes in the order in which they run, results last, and where that is cut: each part ends with the node
// at one of these places, the last one with the last node. Cuts lie where little is passed on, so that a part
// may exceed its bytes.
struct PartPlan {
  ov::NodeVector order;
  std::vector<size_t> ends;
};
PartPlan plan_parts(const ov::Model& model, size_t part_bytes);

// Outputs at and before the place that are read behind it, those that depend on constants alone left out.
Outputs read_behind(const PartPlan& plan, size_t place);

// Bytes of the constants that the model's operations read.
size_t constant_bytes(const ov::Model& model);

class PartedRun {
 public:
  // Gets wanted[i] at a call as soon as it is there; from several threads.
  using Sink = std::function<void(size_t call, size_t i, const ov::Tensor& tensor)>;

  // Runs all parts but the last one of what computes `wanted` of `model`, for the first `count` calls. The calls must
  // outlive it. `early` gets what is computed by then; without it that is kept for the last part.
  PartedRun(ov::Core& core, const ov::Model& model, const Calls& calls, size_t count, const Outputs& wanted,
            int threads, const Sink& early = {}, size_t part_bytes = kPartBytes);

  // What is left to run, and which of `wanted` its results are.
  const std::shared_ptr<ov::Model>& last() const { return part_.model; }
  const std::vector<size_t>& results() const { return results_; }
  std::vector<ov::Tensor> inputs_of(size_t call) const;

 private:
  void run_parts(ov::Core& core, PartPlan plan, int threads, const Sink& early);

  const Calls& calls_;
  size_t count_;
  Subgraph whole_;                                    // from the network's inputs
  Outputs boundary_;                                  // of the whole: inputs, then what the parts before computed
  std::vector<std::vector<TensorStore::Kept>> kept_;  // [call][output of the boundary behind the inputs]
  TensorStore store_;
  std::vector<size_t> results_;
  Subgraph part_;  // its inputs are places in the boundary
};

}  // namespace dnateq
