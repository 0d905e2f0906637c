#include "search/joined_items.h"

#include <algorithm>

namespace dnateq {
namespace {

constexpr double kCoarseBits = 3;           // few enough for a loss that stands out of a metric's noise
constexpr double kLeastDivergence = 1e-12;  // a network may be predicted to lose nothing at all
// Within its noise a metric may even find a gain; nothing is free, though.
constexpr double kMostApart = 10;  // the largest loss to the smallest that counts

}  // namespace

void JoinedItems::append(const std::vector<Allocatable>& own, double own_fp32_values, double scale) {
  fp32_values += own_fp32_values;
  for (Allocatable item : own) {
    for (double& divergence : item.divergence) divergence *= scale;
    items.push_back(item);
  }
  first.push_back(items.size());
}

std::span<const int> JoinedItems::bits_of(const Allocation& allocation, size_t network) const {
  return std::span(allocation.bits).subspan(first[network], first[network + 1] - first[network]);
}

Allocation coarse_allocation(const std::vector<Allocatable>& items, double fp32_values) {
  const std::vector<Allocation> front = allocation_front(items, fp32_values);
  const auto found =
      std::find_if(front.begin(), front.end(), [&](const Allocation& a) { return tensor_mean(a) >= kCoarseBits; });
  return found == front.end() ? front.back() : *found;
}

std::vector<double> divergence_scales(std::span<const double> losses, std::span<const double> predicted) {
  std::vector<double> scales;
  const double largest = *std::max_element(losses.begin(), losses.end());
  for (size_t n = 0; n < losses.size(); ++n) {
    const double divergence = std::max(predicted[n], kLeastDivergence);
    scales.push_back(largest > 0 ? std::max(losses[n], largest / kMostApart) / divergence : 1 / divergence);
  }
  return scales;
}

}  // namespace dnateq
