// What the recipe and the report say of every layer, once its codes are chosen.
#pragma once

#include <vector>

#include "calibrate/lockstep.h"
#include "calibrate/measure.h"
#include "quantize/quantize.h"

namespace dnateq {

// Fills layers (all but the bytes of their weights, which depend on the emission), unquantized layers and fingerprint
// of `result.recipe`, the histograms and the sizes in FP32 and, estimated, in INT8.
void describe_layers(const PreparedModel& prepared, const Measurements& measurements,
                     const std::vector<SolvedLayer>& solved, QuantizeResult& result);
// Fills what layers say of the main emission's codes, where it has codes of its own.
void describe_main_codes(const std::vector<SolvedLayer>& solved, Recipe& recipe);

}  // namespace dnateq
