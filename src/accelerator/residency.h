// Which outputs stay on chip between the layers. An output stays in its tiles' output buffers until its last reader has
// run if, with everything else that stays meanwhile, it fits half of them; the other half takes what is being computed.
// What nobody in the list reads (a network's output, what enters a KV cache) goes to memory.
#pragma once

#include <vector>

#include "accelerator/config.h"
#include "accelerator/workload.h"

namespace dnateq::accelerator {

struct OutputPlan {
  int bits = 8;        // as its readers need it; without readers as its layer's own inputs
  bool stays = false;  // on chip
};

// One per layer. `int8`: the baseline, 8 bits whatever the workload says. Throws Error where a producer doesn't come
// before its reader.
std::vector<OutputPlan> plan_outputs(const Workload& workload, const Config& config, bool int8);

}  // namespace dnateq::accelerator
