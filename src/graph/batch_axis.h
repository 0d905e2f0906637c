// Whether a source's calls hold several samples each: found by the shapes, and proved by running the network.
#pragma once

#include <cstdint>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>

#include "data/samples.h"

namespace dnateq {

// `data` as samples. Sources whose calls are single samples already (stackable() ones, a folder of them) come back as
// they are. Else:
// - The axis is `asked`, or the first one, if there every input of every call has one extent N, at least one output
//   has N rows, and samples do not see each other: run alone, or among copies of itself, a sample gives the output
//   that it gave among the others.
// - Where that axis of the inputs is dynamic, calls are cut along it; where it is static (the network takes N samples
//   and no other number), they stay whole and count for N.
// - Where nothing is found, a call is one sample.
// Of an axis that was asked for, the shapes are checked alone; inputs of no such axis are given to every sample. Throws
// Error where they do not fit.
std::shared_ptr<const Samples> as_samples(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                          std::shared_ptr<const Samples> data, std::optional<int64_t> asked);

}  // namespace dnateq
