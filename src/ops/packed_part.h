// Weights of a blob as our kernels read them: what PackedMatMul and PackedBlock make of theirs, once.
#pragma once

#include <string>
#include <vector>

#include "core/blob.h"
#include "kernels/packed_weights.h"

namespace dnateq::ops {

struct PackedPart {
  kernels::PackedWeights weights;
  std::vector<float> scale;  // per output channel
};

// `layer` is named by the ov::Exception that weights which do not fit end in.
PackedPart packed_part(const Blob& blob, const std::string& layer);

}  // namespace dnateq::ops
