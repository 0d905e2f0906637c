// Calls that hold several samples along an axis, seen as what they are: samples.
//
// Where the network takes any number of samples, calls are cut and every sample is a call of its own; where it takes
// one number alone, calls stay whole and only count as many. Which it is, openvino/batch_axis.h finds out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "data/samples.h"

namespace dnateq {

// Extents of each array of a call.
std::vector<std::vector<int64_t>> extents_of(const std::vector<NamedArray>& call);

// One sample of a call: index `at` along `axis` of each array whose extent there is `count`; other arrays as they are.
std::vector<NamedArray> cut(const std::vector<NamedArray>& call, size_t axis, int64_t count, int64_t at);

// `counts[i]` samples of call i along `axis`, one after the other. `stackable`: they are of equal shape, and `axis` is
// 0. Calls that were read lately are kept, up to 256 MiB: samples are asked for in the order of a permutation.
std::shared_ptr<const Samples> cut_calls(std::shared_ptr<const Samples> data, size_t axis, std::vector<int64_t> counts,
                                         bool stackable);

// The calls as they are, which count for `counts[i]` samples each.
std::shared_ptr<const Samples> count_in_calls(std::shared_ptr<const Samples> data, std::vector<int64_t> counts);

}  // namespace dnateq
