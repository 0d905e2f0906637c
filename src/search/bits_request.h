// What is asked of bits where no loss limit is given, and the allocation that it comes to.
#pragma once

#include <optional>
#include <vector>

#include "search/allocation.h"

namespace dnateq {

struct BitsRequest {
  std::optional<int> weight_width, activation_width;  // the same for every tensor of its kind
  // Means over values, overhead included. Without one of weights kDefaultBits; without one of activations that of
  // weights. They count where no width is given.
  std::optional<double> mean_weight_bits, mean_activation_bits;
};

inline constexpr int kDefaultBits = 4;  // half of INT8's, and what most weight-only formats have

// The width that the request gives an item, as far as the item can have it; nothing where bits are shared out.
std::optional<int> given_width(const BitsRequest& request, const Allocatable& item);

// Where the width of one kind is given, the other kind's are shared out: as many bits in all as kDefaultBits everywhere
// would take. Throws Error as allocate_to_bits() does.
Allocation allocate_as_asked(const std::vector<Allocatable>& items, const BitsRequest& request, double fp32_values);

}  // namespace dnateq
