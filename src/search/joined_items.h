// The tensors of several networks as one list that bits are shared out over, and what makes their predicted divergences
// comparable: outputs of different networks have no common scale, so each network is quantized alone, coarsely, and
// judged by the common metric.
#pragma once

#include <span>
#include <vector>

#include "search/allocation.h"

namespace dnateq {

struct JoinedItems {
  std::vector<Allocatable> items;   // network after network
  std::vector<size_t> first = {0};  // of each network in `items`, and the end
  double fp32_values = 0;

  // Divergences of `own` count `scale` times.
  void append(const std::vector<Allocatable>& own, double own_fp32_values, double scale);
  // Those of the network's items.
  std::span<const int> bits_of(const Allocation& allocation, size_t network) const;
};

// What a network is weighed by: the allocation of its front with the fewest bits that are coarse, 3 a tensor, and no
// less.
Allocation coarse_allocation(const std::vector<Allocatable>& items, double fp32_values);

// By network: what one unit of its predicted divergence costs by the common metric, from what its coarse candidate
// loses and what was predicted of that. Where no network lost anything, all predictions count alike.
std::vector<double> divergence_scales(std::span<const double> losses, std::span<const double> predicted);

}  // namespace dnateq
