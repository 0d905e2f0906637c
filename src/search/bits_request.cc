#include "search/bits_request.h"

#include <algorithm>

namespace dnateq {
namespace {

Allocation allocate_beside_given(const std::vector<Allocatable>& all, const BitsRequest& request, double fp32_values) {
  constexpr double kRounding = 1e-9;  // bits; the budget is a mean of the very widths that it must allow
  std::vector<int> even;
  std::vector<Allocatable> items = all;
  for (Allocatable& item : items) {
    const std::optional<int> given = given_width(request, item);
    even.push_back(given.value_or(std::clamp(kDefaultBits, item.smallest_bits, item.largest_bits)));
    if (given) item.smallest_bits = item.largest_bits = *given;
  }
  const Allocation same = summarize(all, even, fp32_values);
  if (request.weight_width && request.activation_width) return same;
  return allocate_to_bits(items, same.weight_bits + kRounding, same.activation_bits + kRounding, fp32_values);
}

}  // namespace

std::optional<int> given_width(const BitsRequest& request, const Allocatable& item) {
  const std::optional<int> wanted = item.is_weights ? request.weight_width : request.activation_width;
  return wanted ? std::optional(std::clamp(*wanted, item.smallest_bits, item.largest_bits)) : wanted;
}

Allocation allocate_as_asked(const std::vector<Allocatable>& items, const BitsRequest& request, double fp32_values) {
  if (request.weight_width || request.activation_width) return allocate_beside_given(items, request, fp32_values);
  const double weights = request.mean_weight_bits.value_or(kDefaultBits);
  return allocate_to_bits(items, weights, request.mean_activation_bits.value_or(weights), fp32_values);
}

}  // namespace dnateq
