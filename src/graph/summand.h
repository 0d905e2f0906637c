// The additions of residual networks, and which of their summands emission rounds to 8 bits.
//
// OpenVINO's INT8 convolutions take over the addition that follows them, and the rounding after that, only if both
// summands have 8 bits. One usually has: it is what an earlier convolution reads. Where the other is a convolution's
// result in float32, addition and rounding run as a pass over the memory of their own (ResNet-50 at batch 8: 12 of 180
// ms). Ours; `exact` rounds no summands.
#pragma once

#include <memory>
#include <openvino/core/node_output.hpp>

namespace dnateq {

// The tensor, bias included, by which `convolution` enters a sum with another computed tensor. None if something else
// reads it too, or if an earlier input of the sum is one already: a sum needs only one.
ov::Output<ov::Node> summand_of(const std::shared_ptr<ov::Node>& convolution);

}  // namespace dnateq
