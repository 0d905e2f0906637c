#include "quantize/paper_search.h"

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr double kTargetBits = 5;  // a tensor, where neither bits nor loss nor thresholds are asked for

std::vector<PaperLayer> fit_layers(const Network& network) {
  const PreparedModel& prepared = network.prepared();
  const Measurements& measurements = network.measurements();
  std::vector<PaperLayer> layers;
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
  return layers;
}

}  // namespace

std::string to_string(const PaperThresholds& thresholds) {
  return fmt::format("Thr_w {:.3g}, Thr_act {:.3g}", thresholds.weights, thresholds.activations);
}

PaperSearch::PaperSearch(const Network& network, const Calls& calls, const QuantizeOptions& options)
    : network_(network), calls_(calls), options_(options), layers_(fit_layers(network)) {}

const PaperChoice& PaperSearch::choice_of(const PaperPlan& plan, size_t layer) const {
  return layers_[layer].by_exponent_bits[static_cast<size_t>(plan[layer])];
}

Allocation PaperSearch::allocation_of(const PaperPlan& plan) const {
  const AllocationItems& items = network_.items();
  const Measurements& measurements = network_.measurements();
  std::vector<int> bits(items.items.size(), 0);
  for (size_t l = 0; l < plan.size(); ++l) {
    const PaperChoice& choice = choice_of(plan, l);
    if (items.item_of_weight[l] >= 0) bits[static_cast<size_t>(items.item_of_weight[l])] = choice.weights.stored_bits;
    const int a = measurements.activation_of_layer[l];
    if (a >= 0 && items.item_of_activation[static_cast<size_t>(a)] >= 0 && choice.activations)
      bits[static_cast<size_t>(items.item_of_activation[static_cast<size_t>(a)])] = choice.activations->stored_bits;
  }
  return summarize(items.items, bits, items.fp32_values);
}

Network::Codes PaperSearch::codes_of(const PaperPlan& plan) const {
  const Measurements& measurements = network_.measurements();
  std::vector<LayerPlan> codes;
  for (size_t l = 0; l < plan.size(); ++l) {
    const PaperChoice& choice = choice_of(plan, l);
    LayerPlan layer;
    layer.weights = choice.weights;
    layer.weights_fixed = true;
    layer.quantize_activations = choice.activations.has_value();
    const int a = measurements.activation_of_layer[l];
    if (choice.activations) layer.activations = *choice.activations;
    if (!layer.quantize_activations && a >= 0 && !options_.weights_only) {
      layer.quantize_activations = true;
      layer.activations = measurements.activations[static_cast<size_t>(a)].uniform8.code;
    }
    codes.push_back(layer);
  }
  return network_.complete(std::move(codes), calls_);
}

PaperJudge PaperSearch::judge_of_bits() const {
  PaperJudge judge;
  judge.bits = [this](const PaperPlan& plan) { return tensor_mean(allocation_of(plan)); };
  return judge;
}

std::vector<PaperFrontPoint> PaperSearch::front() const { return paper_front(layers_, judge_of_bits()); }

PaperPair PaperSearch::choose() const {
  if (options_.weight_threshold && options_.activation_threshold) {
    const PaperThresholds given{*options_.weight_threshold, *options_.activation_threshold};
    return {given, paper_plan(layers_, given)};
  }
  const double target = options_.target_weight_bits.value_or(kTargetBits);
  const PaperJudge judge = judge_of_bits();
  PaperPair pair = tightest_within_bits(layers_, target, judge);
  if (options_.target_weight_bits && judge.bits(pair.plan) > target)
    throw Error(
        fmt::format("a mean of {:.4g} bits a tensor cannot be met by the paper's strategy: {:.4g} are its fewest; "
                    "raise {} or use {}",
                    target, judge.bits(pair.plan), option("target_bits"), option("strategy", "optimal")));
  return pair;
}

ThresholdStudy PaperSearch::study(
    const PaperThresholds& taken, const std::vector<std::pair<PaperPlan, double>>& known,
    const std::function<double(const PaperPlan& plan, const PaperThresholds& first)>& loss_of,
    const std::function<bool()>& out_of_time) const {
  PaperJudge judge = judge_of_bits();
  judge.loss = loss_of;
  judge.out_of_time = out_of_time;
  PaperLosses losses(judge);
  for (const auto& [plan, loss] : known) losses.know(plan, loss);
  const PaperGrid grid =
      paper_grid(layers_, paper_grid_thresholds(taken.weights),
                 options_.weights_only ? std::vector{taken.activations} : paper_grid_thresholds(taken.activations));
  judge_grid(grid, static_cast<size_t>(options_.threshold_plans), judge, losses);
  ThresholdStudy study;
  study.weights = taken.weights;
  study.activations = taken.activations;
  study.weight_thresholds = grid.weight_thresholds;
  study.activation_thresholds = grid.activation_thresholds;
  for (const PaperPlan& plan : grid.plans) {
    const Allocation bits = allocation_of(plan);
    study.plans.push_back({bits.weight_bits, bits.activation_bits, tensor_mean(bits),
                           losses.known(plan).value_or(std::numeric_limits<double>::quiet_NaN())});
  }
  study.cells.assign(grid.cells.begin(), grid.cells.end());
  return study;
}

}  // namespace dnateq
