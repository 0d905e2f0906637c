#include "quantize/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/option.h"
#include "dnateq/error.h"
#include "quantize/limit_search.h"
#include "quantize/paper_search.h"
#include "quantize/results.h"
#include "quantize/search_run.h"
#include "search/bits_request.h"
#include "search/joined_items.h"

namespace dnateq {
namespace {

BitsRequest bits_request(const QuantizeOptions& options) {
  return {options.weight_bits, options.activation_bits, options.target_weight_bits, options.target_activation_bits};
}

// A size that is enough when it is asked for as it is written.
std::string size_rounded_up(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", std::ceil(bytes));
  const bool small = bytes < 1e6;
  return fmt::format("{:.1f} {}", std::ceil(bytes / (small ? 1e2 : 1e5)) / 10, small ? "kB" : "MB");
}

// As mean bits of a weight, where a size was asked for. Throws Error where no widths are so few.
BitsRequest bits_request(const SearchRun& run, const JoinedItems& items) {
  BitsRequest request = bits_request(run.options);
  if (!run.options.target_bytes) return request;
  double values = items.fp32_values, least = 32 * items.fp32_values, others = 0;
  for (const Allocatable& item : items.items)
    if (item.is_weights) {
      values += item.values + item.copies;
      least += item.bits_in_all(item.smallest_bits);
    }
  for (const auto& network : run.networks) others += network->bytes_beside_layers();
  const double bits = 8 * (static_cast<double>(*run.options.target_bytes) - others);
  if (bits < least)
    throw Error(fmt::format("{}: even the fewest bits, {} a weight, take {}; ask for that or more",
                            option("target_size"), kMinStoredBits, size_rounded_up(least / 8 + others)));
  request.mean_weight_bits = bits / values;
  return request;
}

// Whether a tensor of any network is given a width by comparing it with others.
bool shares_out(const SearchRun& run) {
  const BitsRequest request = bits_request(run.options);
  return std::any_of(run.networks.begin(), run.networks.end(), [&](const auto& network) {
    const std::vector<Allocatable>& own = network->items().items;
    return std::any_of(own.begin(), own.end(),
                       [&](const Allocatable& item) { return !given_width(request, item).has_value(); });
  });
}

std::vector<double> scales_of_networks(SearchRun& run) {
  if (run.networks.size() == 1 || !shares_out(run)) return std::vector<double>(run.networks.size(), 1.0);
  std::vector<double> losses, predicted;
  for (size_t n = 0; n < run.networks.size(); ++n) {
    const Network& network = *run.networks[n];
    const Allocation coarse = coarse_allocation(network.items().items, network.items().fp32_values);
    losses.push_back(run.judge.loss_of_one(n, network.solve_first(coarse.bits, run.samples.solve(n), "weighing")));
    predicted.push_back(coarse.divergence);
  }
  return divergence_scales(losses, predicted);
}

JoinedItems items_of(SearchRun& run) {
  const std::vector<double> scales = scales_of_networks(run);
  JoinedItems joined;
  for (size_t n = 0; n < run.networks.size(); ++n)
    joined.append(run.networks[n]->items().items, run.networks[n]->items().fp32_values, scales[n]);
  return joined;
}

SearchOutcome search_bits(SearchRun& run, const JoinedItems& items) {
  Candidate candidate;
  candidate.allocation = allocate_as_asked(items.items, bits_request(run, items), items.fp32_values);
  for (size_t n = 0; n < run.networks.size(); ++n)
    candidate.networks.push_back(
        run.networks[n]->solve(items.bits_of(candidate.allocation, n), run.samples.solve(n), "solving layers"));
  return {std::move(candidate), false, {}};
}

CandidateFront allocations_in_order(const SearchRun& run, const JoinedItems& items) {
  CandidateFront front;
  front.allocations = allocation_front(items.items, items.fp32_values);
  for (const Allocation& allocation : front.allocations) front.divergences.push_back(allocation.divergence);
  front.first = [&run, &items, allocations = front.allocations](size_t point, const std::string& stage) {
    Candidate candidate;
    candidate.allocation = allocations[point];
    for (size_t n = 0; n < run.networks.size(); ++n)
      candidate.networks.push_back(
          run.networks[n]->solve_first(items.bits_of(candidate.allocation, n), run.samples.solve(n), stage));
    return candidate;
  };
  front.rest = [&run, &items](Candidate& candidate, size_t, const std::string& stage) {
    for (size_t n = 0; n < run.networks.size(); ++n)
      run.networks[n]->solve_main(candidate.networks[n], items.bits_of(candidate.allocation, n), run.samples.solve(n),
                                  stage);
  };
  front.note = [](size_t) { return std::string(); };
  return front;
}

SearchOutcome search_loss(SearchRun& run, const JoinedItems& items) {
  const CandidateFront front = allocations_in_order(run, items);
  const LimitSearchResult found = search_within_limit(run, front);
  return {front.whole(found.point, "solving layers"), found.certified, {}};  // from the checkpoints
}

}  // namespace

Metric metric_of(const QuantizeOptions& options) {
  return metric_from_string(!options.metric.empty() ? options.metric : options.has_labels ? "top1" : "cosine");
}

std::vector<QuantizeResult> quantize(ov::Core& core, const std::vector<NetworkInput>& networks,
                                     const Samples* validation, const std::vector<int64_t>& labels,
                                     const QuantizeOptions& options) {
  SearchRun run(core, networks, validation, labels, options);
  for (size_t n = 0; n < run.networks.size(); ++n) run.networks[n]->measure(run.samples.measure(n));
  if (options.strategy == "paper") return write_results(run, search_by_paper(run));
  const JoinedItems items = items_of(run);
  return write_results(run, options.max_loss ? search_loss(run, items) : search_bits(run, items));
}

}  // namespace dnateq
