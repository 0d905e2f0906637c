#include "search/allocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr double kWidestGap = 0.1;  // mean bits between neighbours of the front
constexpr double kRounding = 1e-9;  // mean bits: a budget allows the allocation that it is the mean of

// Logarithms of the prices of a mean bit that the front has one allocation of each of: from one that no tensor pays to
// one that all do, a factor of 1.28 apart. A squared error falls by 4 a bit, so that is a sixth of a bit.
constexpr double kHighestLogPrice = 6, kLowestLogPrice = -22, kLogPriceStep = 0.25;

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

// Least divergence within the budget: a multiple-choice knapsack, by dynamic programming. Of all choices whose bits in
// all fall into the same of kBins parts of the budget, the one of least divergence is kept, so what is lost is a bin's
// width. A price for a bit alone would not do where one tensor is most of the network (an embedding table): no price
// spends the budget then.
void allocate_kind(const std::vector<Allocatable>& items, bool weights, double budget, std::vector<int>& bits) {
  constexpr size_t kBins = size_t{1} << 13;
  constexpr double kNone = std::numeric_limits<double>::infinity();
  struct State {
    double divergence = kNone, used = 0;
  };
  struct Step {  // how a bin's state was reached
    uint16_t from = 0;
    uint8_t width = 0;
  };
  const double limit = budget * (1 + 1e-12);  // sums of bits are rounded
  std::vector<size_t> members;
  double fewest = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_weights != weights) continue;
    members.push_back(i);
    fewest += items[i].bits_in_all(items[i].smallest_bits);
  }
  std::vector<State> states(kBins), next(kBins);
  states[0] = {0, fewest};
  std::vector<std::vector<Step>> steps(members.size(), std::vector<Step>(kBins));
  const double scale = limit > fewest ? static_cast<double>(kBins - 1) / (limit - fewest) : 0;
  for (size_t m = 0; m < members.size(); ++m) {
    const Allocatable& item = items[members[m]];
    std::fill(next.begin(), next.end(), State{});
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (states[bin].divergence == kNone) continue;
      for (int width = item.smallest_bits; width <= item.largest_bits; ++width) {
        const double used = states[bin].used + item.bits_in_all(width) - item.bits_in_all(item.smallest_bits);
        if (used > limit && width != item.smallest_bits) continue;
        const double divergence = states[bin].divergence + item.divergence[static_cast<size_t>(width)];
        const double place = std::clamp((used - fewest) * scale, 0.0, static_cast<double>(kBins - 1));
        State& state = next[static_cast<size_t>(place)];
        if (divergence > state.divergence || (divergence == state.divergence && used >= state.used)) continue;
        state = {divergence, used};
        steps[m][static_cast<size_t>(place)] = {static_cast<uint16_t>(bin), static_cast<uint8_t>(width)};
      }
    }
    states.swap(next);
  }
  size_t bin = 0;
  for (size_t other = 1; other < kBins; ++other)
    if (states[other].divergence < states[bin].divergence) bin = other;
  for (size_t m = members.size(); m-- > 0; bin = steps[m][bin].from) bits[members[m]] = steps[m][bin].width;
  spend_rest(items, weights, budget, bits);
}

}  // namespace

double tensor_mean(const Allocation& allocation) {
  return std::accumulate(allocation.bits.begin(), allocation.bits.end(), 0.0) /
         static_cast<double>(std::max<size_t>(allocation.bits.size(), 1));
}

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
                    "included; raise {}",
                    weight_bits, least.weight_bits, option("target_bits")));
  if (least.activation_bits > activation_bits)
    throw Error(fmt::format("{:.3f} bits an activation cannot be reached: the fewest are {:.3f}; raise {}",
                            activation_bits, least.activation_bits, option("target_bits")));
  std::vector<int> bits = fewest;
  allocate_kind(items, true, weight_bits * (values_of(items, true) + fp32_values) - 32 * fp32_values, bits);
  allocate_kind(items, false, activation_bits * values_of(items, false), bits);
  return summarize(items, bits, fp32_values);
}

std::vector<Allocation> allocation_front(const std::vector<Allocatable>& items, double fp32_values) {
  const double weights = std::max(1.0, values_of(items, true)), activations = std::max(1.0, values_of(items, false));
  std::vector<Allocation> front;
  for (double log_price = kHighestLogPrice; log_price >= kLowestLogPrice; log_price -= kLogPriceStep) {
    const double price = std::exp(log_price);  // of one mean bit
    Allocation next = summarize(items, choose(items, price / weights, price / activations), fp32_values);
    if (front.empty() || next.bits != front.back().bits) front.push_back(std::move(next));
  }
  // However small the divergences are against the lowest price: whoever walks the front must be able to try the most.
  std::vector<int> most;
  for (const Allocatable& item : items) most.push_back(item.largest_bits);
  if (most != front.back().bits) front.push_back(summarize(items, std::move(most), fp32_values));

  // A tensor that is most of the network leaves gaps, a bit wide, that no price falls into.
  std::vector<Allocation> filled = {front.front()};
  for (size_t i = 1; i < front.size(); ++i) {
    const Allocation from = filled.back(), to = front[i];
    const double weight_gap = to.weight_bits - from.weight_bits;
    const double activation_gap = to.activation_bits - from.activation_bits;
    const int parts = static_cast<int>(std::max(weight_gap, activation_gap) / kWidestGap) + 1;
    for (int part = 1; part < parts; ++part) {
      const double share = static_cast<double>(part) / parts;
      Allocation between = allocate_to_bits(items, from.weight_bits + share * weight_gap + kRounding,
                                            from.activation_bits + share * activation_gap + kRounding, fp32_values);
      const Allocation& last = filled.back();
      if (between.bits != last.bits && between.divergence <= last.divergence && between.divergence >= to.divergence &&
          between.weight_bits >= last.weight_bits && between.activation_bits >= last.activation_bits)
        filled.push_back(std::move(between));
    }
    filled.push_back(to);
  }
  return filled;
}

}  // namespace dnateq
