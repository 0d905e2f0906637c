// Whether a design's lanes compute a network's codes as they are. Figures of a design whose codes are others are those
// of the same bits in its own codes: time, bytes and energy hold, the network's accuracy does not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "accelerator/design.h"
#include "accelerator/workload.h"

namespace dnateq::accelerator {

// Empty where the design's lanes run the layer's codes, and for int8, which has grids of its own. Else the reason:
// counting wants real levels in one base; counting-beta0 no beta beside; shift a base 2^(1/q) with a whole q; decode
// levels on an 8-bit grid. Codes that nobody fitted (Levels::kAssumed) are whatever the design needs, in its base.
std::string misfit(const Layer& layer, Design design);

struct CodeFit {
  int64_t layers = 0, foreign = 0;   // on the design's own lanes; of those, in codes that it does not run
  std::vector<std::string> reasons;  // distinct ones, in the order of layers
};
// Of a workload as the design runs it: layers on INT8 lanes are left out.
CodeFit code_fit(const Workload& workload, Design design);

// What a network is to be quantized with for the design: "quantize --family pow2:Q".
const char* wanted_family(Design design);

}  // namespace dnateq::accelerator
