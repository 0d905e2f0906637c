// How much the network's output suffers when one tensor alone is quantized: what allocation trades against bits.
//
// Every activation tensor is rounded by its own code, every layer solved by itself at kMeasuredWidths; each time the
// network runs over `sensitivity_samples` samples. That is most of a search's time, so the network is cut into stages
// where a single tensor carries everything on: what lies before a stage runs once, and a disturbance only what comes
// after it. Source: ours.
#pragma once

#include <optional>
#include <vector>

#include "calibrate/measure.h"
#include "graph/subgraph.h"

namespace dnateq {

// Fills the activations' `sensitivity` and the weights' `divergence`. `producers`: the tensors of
// measurements.activations.
void measure_sensitivities(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const Outputs& producers,
                           const MeasureOptions& options, Measurements& measurements);

// Stages in topological order; layers and activations belong to the last stage that holds them.
struct Stage {
  ov::Output<ov::Node> start;  // none: the network's inputs
  std::vector<size_t> layers, activations;
};
// About `wanted` stages of as many layers each; fewer where the network has no such tensors.
std::vector<Stage> stages_of(const PreparedModel& prepared, const Outputs& producers, size_t wanted);

}  // namespace dnateq
