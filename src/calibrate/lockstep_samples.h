// What layers of a pass are solved by: rows of a layer's inputs as the network quantized so far has them, and of the
// outputs that FP32 has, the rows' importance among them.
#pragma once

#include <map>
#include <openvino/openvino.hpp>
#include <set>

#include "calibrate/boundary.h"
#include "calibrate/lockstep.h"
#include "calibrate/quantized_copy.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "graph/tensor_store.h"
#include "search/solve.h"

namespace dnateq {

class LockstepSampler {
 public:
  // `alone`: every layer as if it were the only one that is quantized; else those before it are installed in
  // `quantized`. The references must outlive the sampler.
  LockstepSampler(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const QuantizedCopy& quantized,
                  const PassOptions& options, bool alone);

  // Layers must be asked for in their order. The boundary moves on to the layer, where its tensors are not too many.
  LayerSamples sample(size_t layer);

 private:
  struct Reads;
  struct Gathered;

  void load_inputs();
  Outputs live_before(size_t layer);
  Reads reads_of(size_t layer);
  void plan_rows(size_t layer, const Reads& reads, BoundarySlice& fp, Gathered& gathered) const;
  void run_fp(const Reads& reads, BoundarySlice& fp, Gathered& gathered);
  void run_quantized(const Reads& reads, Gathered& gathered);
  bool behind_a_layer(const ov::Output<ov::Node>& output) const { return touched_.contains(output.get_node()); }

  ov::Core& core_;
  const PreparedModel& prepared_;
  const Calls& calls_;
  const QuantizedCopy& quantized_;
  const PassOptions& options_;
  const bool alone_;
  const bool large_;  // of what one network has computed nothing is computed again
  ov::NodeVector order_;
  std::map<const ov::Node*, size_t> layer_at_;
  TensorStore store_;
  Boundary boundary_;     // that of both networks
  Boundary fp_boundary_;  // of a large FP32 network: with the output of the last layer that was asked for
  const Boundary& of_fp() const { return large_ ? fp_boundary_ : boundary_; }
  std::set<const ov::Node*> waiting_, touched_;  // at the layer under way: behind unsolved layers; behind any layer
};

}  // namespace dnateq
