#include "search/allocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "dnateq/error.h"

namespace dnateq {
namespace {

double values_of(const std::vector<Allocatable>& items, bool weights) {
  double sum = 0;
  for (const Allocatable& item : items)
    if (item.is_weights == weights) sum += item.values + item.copies;
  return sum;
}

// Best width of one item when a bit of one of its values costs `price`.
int cheapest(const Allocatable& item, double price) {
  int best = item.largest_bits;
  double best_cost = std::numeric_limits<double>::infinity();
  for (int bits = item.smallest_bits; bits <= item.largest_bits; ++bits) {
    const double cost = item.divergence[static_cast<size_t>(bits)] + price * item.bits_in_all(bits);
    if (cost < best_cost) {
      best_cost = cost;
      best = bits;
    }
  }
  return best;
}

std::vector<int> choose(const std::vector<Allocatable>& items, double weight_price, double activation_price) {
  std::vector<int> bits;
  for (const Allocatable& item : items)
    bits.push_back(cheapest(item, item.is_weights ? weight_price : activation_price));
  return bits;
}

// Gives what is left of the budget to whichever item gains most a bit, so that the budget is used up.
void spend_rest(const std::vector<Allocatable>& items, bool weights, double budget, std::vector<int>& bits) {
  double used = 0;
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].is_weights == weights) used += items[i].bits_in_all(bits[i]);
  for (;;) {
    size_t best = items.size();
    double best_gain = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      const Allocatable& item = items[i];
      if (item.is_weights != weights || bits[i] >= item.largest_bits) continue;
      const double step = item.bits_in_all(bits[i] + 1) - item.bits_in_all(bits[i]);
      if (used + step > budget) continue;
      const auto at = static_cast<size_t>(bits[i]);
      const double gain = (item.divergence[at] - item.divergence[at + 1]) / std::max(1.0, step);
      if (gain > best_gain) {
        best_gain = gain;
        best = i;
      }
    }
    if (best == items.size()) return;
    used += items[best].bits_in_all(bits[best] + 1) - items[best].bits_in_all(bits[best]);
    ++bits[best];
  }
}

void allocate_kind(const std::vector<Allocatable>& items, bool weights, double budget, std::vector<int>& bits) {
  // The price is bisected on a logarithmic scale until the budget just holds.
  double low = -80, high = 40;
  for (int step = 0; step < 80; ++step) {
    const double middle = (low + high) / 2;
    double used = 0;
    for (const Allocatable& item : items)
      if (item.is_weights == weights) used += item.bits_in_all(cheapest(item, std::exp(middle)));
    (used <= budget ? high : low) = middle;
  }
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].is_weights == weights) bits[i] = cheapest(items[i], std::exp(high));
  spend_rest(items, weights, budget, bits);
}

}  // namespace

Allocation summarize(const std::vector<Allocatable>& items, std::vector<int> bits, double fp32_values) {
  Allocation result;
  double weights = fp32_values, activations = 0, weight_sum = 32 * fp32_values, activation_sum = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const Allocatable& item = items[i];
    (item.is_weights ? weights : activations) += item.values + item.copies;
    (item.is_weights ? weight_sum : activation_sum) += item.bits_in_all(bits[i]);
    result.divergence += item.divergence[static_cast<size_t>(bits[i])];
  }
  result.weight_bits = weights > 0 ? weight_sum / weights : 0;
  result.activation_bits = activations > 0 ? activation_sum / activations : 0;
  result.bits = std::move(bits);
  return result;
}

Allocation allocate_to_bits(const std::vector<Allocatable>& items, double weight_bits, double activation_bits,
                            double fp32_values) {
  std::vector<int> fewest;
  for (const Allocatable& item : items) fewest.push_back(item.smallest_bits);
  const Allocation least = summarize(items, fewest, fp32_values);
  if (least.weight_bits > weight_bits)
    throw Error(
        fmt::format("{:.3f} bits a weight cannot be reached: the fewest are {:.3f}, scales, tables and FP32 layers "
                    "included; raise --target-bits",
                    weight_bits, least.weight_bits));
  if (least.activation_bits > activation_bits)
    throw Error(fmt::format("{:.3f} bits an activation cannot be reached: the fewest are {:.3f}; raise --target-bits",
                            activation_bits, least.activation_bits));
  std::vector<int> bits = fewest;
  allocate_kind(items, true, weight_bits * (values_of(items, true) + fp32_values) - 32 * fp32_values, bits);
  allocate_kind(items, false, activation_bits * values_of(items, false), bits);
  return summarize(items, bits, fp32_values);
}

std::vector<Allocation> allocation_front(const std::vector<Allocatable>& items, double fp32_values) {
  const double weights = std::max(1.0, values_of(items, true)), activations = std::max(1.0, values_of(items, false));
  std::vector<Allocation> front;
  for (double log_price = 6; log_price >= -22; log_price -= 0.25) {
    const double price = std::exp(log_price);  // of one mean bit
    Allocation next = summarize(items, choose(items, price / weights, price / activations), fp32_values);
    if (front.empty() || next.bits != front.back().bits) front.push_back(std::move(next));
  }
  // However small the divergences are against the lowest price: whoever walks the front must be able to try the most.
  std::vector<int> most;
  for (const Allocatable& item : items) most.push_back(item.largest_bits);
  if (most != front.back().bits) front.push_back(summarize(items, std::move(most), fp32_values));
  return front;
}

}  // namespace dnateq
