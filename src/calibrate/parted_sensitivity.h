// Sensitivities of language models' weights, part after part of the network (graph/parts.h): what each disturbance has
// made of the tensors that a part reads goes through that part, and those of the part's own layers join them. So every
// part is compiled alone, and a disturbance runs only what lies behind it.
#pragma once

#include <functional>
#include <openvino/openvino.hpp>
#include <vector>

#include "calibrate/measure.h"
#include "search/solve.h"

namespace dnateq {

inline constexpr size_t kVariedPartBytes = size_t{24} << 20;  // about a block of SmolLM2-135M

// solutions[w][layer]: the disturbances. `begun` is called as the work on one begins, `found` gets the divergence of
// each at the end. The last axis of the output must be static.
void measure_part_by_part(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                          const std::vector<std::vector<LayerSolution>>& solutions, const MeasureOptions& options,
                          const std::function<void()>& begun,
                          const std::function<void(size_t w, size_t layer, double divergence)>& found,
                          size_t part_bytes = kVariedPartBytes);

}  // namespace dnateq
