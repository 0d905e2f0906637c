#include "openvino/paper_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "dnateq/error.h"
#include "search/paper.h"

namespace dnateq {

PaperOutcome search_paper(const Network& network, const Calls& calls, const QuantizeOptions& options,
                          const PaperLoss& loss_of, const std::function<bool()>& out_of_time) {
  const PreparedModel& prepared = network.prepared();
  const Measurements& measurements = network.measurements();
  const AllocationItems& items = network.items();
  std::vector<PaperLayer> layers;
  {
    Task task(network.progress(), "paper's fits", prepared.layers.size());
    for (size_t l = 0; l < prepared.layers.size(); ++l) {
      const int a = measurements.activation_of_layer[l];
      const bool with_activations = a >= 0 && network.has_low_bit_activations();
      FitData activations;
      bool non_negative = false;
      if (with_activations) {
        activations = FitData::from_histogram(measurements.activations[static_cast<size_t>(a)].histogram);
        non_negative = measurements.activations[static_cast<size_t>(a)].non_negative;
      }
      layers.push_back(fit_paper_layer(FitData::from_values(prepared.layers[l].weight_matrix()),
                                       with_activations ? &activations : nullptr, non_negative));
      task.advance();
    }
  }
  const auto candidate_for = [&](double weight_threshold, double activation_threshold) {
    PaperOutcome candidate;
    std::vector<int> bits(items.items.size(), 0);
    for (size_t l = 0; l < prepared.layers.size(); ++l) {
      const PaperChoice choice = choose_paper(layers[l], weight_threshold, activation_threshold);
      LayerPlan plan;
      plan.weights = choice.weights;
      plan.weights_fixed = true;
      plan.quantize_activations = choice.activations.has_value();
      const int a = measurements.activation_of_layer[l];
      if (choice.activations) plan.activations = *choice.activations;
      if (!plan.quantize_activations && a >= 0 && !options.weights_only) {
        plan.quantize_activations = true;
        plan.activations = measurements.activations[static_cast<size_t>(a)].uniform8.code;
      }
      candidate.codes.shared.plan.push_back(plan);
      if (items.item_of_weight[l] >= 0) bits[static_cast<size_t>(items.item_of_weight[l])] = choice.weights.stored_bits;
      if (a >= 0 && items.item_of_activation[static_cast<size_t>(a)] >= 0 && choice.activations)
        bits[static_cast<size_t>(items.item_of_activation[static_cast<size_t>(a)])] = choice.activations->stored_bits;
    }
    candidate.allocation = summarize(items.items, bits, items.fp32_values);
    return candidate;
  };
  std::optional<PaperOutcome> best;
  double least_loss = std::numeric_limits<double>::infinity();
  std::vector<int> last_bits;
  if (!options.max_loss) {  // tightest thresholds within the bit target
    const double target =
        options.target_weight_bits.value_or(options.weight_bits ? static_cast<double>(*options.weight_bits) : 5.0);
    for (const double threshold : paper_thresholds()) {
      PaperOutcome candidate = candidate_for(threshold, threshold);
      if (best && tensor_mean(candidate.allocation) > target) break;
      best = std::move(candidate);
    }
    best->codes = network.complete(std::move(best->codes.shared.plan), calls);
    return std::move(*best);
  }
  const auto try_pair = [&](double weight_threshold, double activation_threshold) {
    PaperOutcome candidate = candidate_for(weight_threshold, activation_threshold);
    candidate.codes = network.complete(std::move(candidate.codes.shared.plan), calls);
    const double loss =
        loss_of(candidate, fmt::format("Thr_w {:.3g}, Thr_act {:.3g}", weight_threshold, activation_threshold));
    least_loss = std::min(least_loss, loss);
    const bool fewer = !best || tensor_mean(candidate.allocation) < tensor_mean(best->allocation);
    const bool met = within(loss, *options.max_loss);
    if (met && fewer) best = std::move(candidate);
    return met;
  };
  double threshold_found = 0;
  for (const double threshold : paper_thresholds()) {
    if (candidate_for(threshold, threshold).allocation.bits == last_bits) continue;
    last_bits = candidate_for(threshold, threshold).allocation.bits;
    if (try_pair(threshold, threshold)) {
      threshold_found = threshold;
      break;
    }
    if (out_of_time()) break;
  }
  if (!best)
    throw Error(
        fmt::format("the paper's strategy cannot meet a loss of at most {:.4g} ({}): {:.4g} is the least that "
                    "was reached; raise --max-loss or use --strategy optimal",
                    *options.max_loss, to_string(metric_of(options)), least_loss));
  // Then each threshold alone, looser.
  for (const double factor : {1.5, 2.25})
    if (out_of_time() || !try_pair(threshold_found * factor, threshold_found)) break;
  for (const double factor : {1.5, 2.25})
    if (out_of_time() || !try_pair(threshold_found, threshold_found * factor)) break;
  return std::move(*best);
}

}  // namespace dnateq
