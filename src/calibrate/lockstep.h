// One pass of the search: the FP32 and the quantized network in lockstep over the calibration calls, layer by layer.
//
// Each layer is solved against the FP32 target while its inputs come from the network as quantized so far. Tensors at
// the boundary between solved and unsolved layers are kept, in memory or on disk, where they fit, so that a layer costs
// one run of that layer, not of the network.
#pragma once

#include <filesystem>
#include <openvino/openvino.hpp>
#include <optional>
#include <vector>

#include "core/progress.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "search/solve.h"

namespace dnateq {

struct LayerPlan {
  TensorCode weights;                     // level counts, family, arithmetic; or, if weights_fixed, the whole code
  bool weights_fixed = false;             // use the code as it is, one scale for the tensor (the paper's way)
  std::optional<TensorCode> activations;  // the whole code of the tensor entering the layer; none: it stays float32
  bool any_cpu = false;  // levels of the weights that OpenVINO's kernels add exactly without VNNI too (pair_sums.h)
};

struct PassOptions {
  SolveOptions solve;
  uint64_t seed = 0;
  int threads = 1;
  size_t kept_bytes = size_t{700} << 20;   // bound on the tensors kept between layers
  size_t memory_bytes = size_t{64} << 20;  // of these in memory, at most; the others lie in a temporary file
  int64_t largest_rows = 1 << 15;          // positions sampled a layer, at most
  bool weights_only = false;               // activations stay in FP32
  std::filesystem::path checkpoints;       // folder for solved layers; empty = none
  Progress progress;
  std::string stage = "solving layers";
};

// A layer's codes under one plan.
struct SolvedLayer {
  LayerPlan plan;
  LayerSolution solution;
};

// One solution a layer, in the order of prepared.layers.
std::vector<LayerSolution> run_pass(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                    const std::vector<LayerPlan>& plan, const PassOptions& options);

// Every layer solved as if it were the only one that is quantized, its inputs in FP32: [request][layer]. What the
// network loses by each layer alone is what bits are allocated by.
std::vector<std::vector<LayerSolution>> solve_each_alone(ov::Core& core, const PreparedModel& prepared,
                                                         const Calls& calls, const std::vector<TensorCode>& requests,
                                                         const PassOptions& options);

}  // namespace dnateq
