#include "openvino/paper_search.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "dnateq/error.h"
#include "search/paper_sweep.h"

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

// Codes and bits of plans.
class Plans {
 public:
  Plans(const Network& network, const Calls& calls, const QuantizeOptions& options)
      : network_(network), calls_(calls), options_(options), layers_(fit_layers(network)) {}

  const std::vector<PaperLayer>& layers() const { return layers_; }

  Allocation allocation_of(const PaperPlan& plan) const {
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

  PaperOutcome outcome_of(const PaperPlan& plan) const {
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
    return {network_.complete(std::move(codes), calls_), allocation_of(plan)};
  }

 private:
  const PaperChoice& choice_of(const PaperPlan& plan, size_t l) const {
    return layers_[l].by_exponent_bits[static_cast<size_t>(plan[l])];
  }

  const Network& network_;
  const Calls& calls_;
  const QuantizeOptions& options_;
  std::vector<PaperLayer> layers_;
};

// The grid as the recipe has it; the chosen pair is the caller's.
void describe_grid(const PaperGrid& grid, const Plans& plans, const PaperLosses& losses, ThresholdStudy& study) {
  study.weight_thresholds = grid.weight_thresholds;
  study.activation_thresholds = grid.activation_thresholds;
  for (const PaperPlan& plan : grid.plans) {
    const Allocation bits = plans.allocation_of(plan);
    study.plans.push_back({bits.weight_bits, bits.activation_bits, tensor_mean(bits),
                           losses.known(plan).value_or(std::numeric_limits<double>::quiet_NaN())});
  }
  study.cells.assign(grid.cells.begin(), grid.cells.end());
}

}  // namespace

PaperOutcome search_paper(const Network& network, const Calls& calls, const QuantizeOptions& options,
                          const PaperLoss& loss_of, const std::function<bool()>& out_of_time, ThresholdStudy& study) {
  const Plans plans(network, calls, options);
  PaperJudge judge;
  judge.bits = [&](const PaperPlan& plan) { return tensor_mean(plans.allocation_of(plan)); };
  judge.loss = [&](const PaperPlan& plan, const PaperThresholds& first) {
    return loss_of(plans.outcome_of(plan),
                   fmt::format("Thr_w {:.3g}, Thr_act {:.3g}", first.weights, first.activations));
  };
  judge.out_of_time = out_of_time;
  PaperLosses losses(judge);
  PaperPair found;
  if (options.weight_threshold && options.activation_threshold) {
    found.thresholds = {*options.weight_threshold, *options.activation_threshold};
    found.plan = paper_plan(plans.layers(), found.thresholds);
    study.chosen_by = "given";
  } else if (options.max_loss) {
    const auto loosest = loosest_within_loss(
        plans.layers(), judge, [&](double loss) { return within(loss, *options.max_loss); }, losses);
    if (!loosest)
      throw Error(
          fmt::format("the paper's strategy cannot meet a loss of at most {:.4g} ({}): {:.4g} is the least that "
                      "was reached; raise --max-loss or use --strategy optimal",
                      *options.max_loss, to_string(metric_of(options)), losses.least()));
    found = *loosest;
    study.chosen_by = "loss";
  } else {
    const double target = options.target_weight_bits.value_or(
        options.weight_bits ? static_cast<double>(*options.weight_bits) : kTargetBits);
    found = tightest_within_bits(plans.layers(), target, judge);
    study.chosen_by = "bits";
  }
  study.weights = found.thresholds.weights;
  study.activations = found.thresholds.activations;
  const PaperGrid grid =
      paper_grid(plans.layers(), paper_grid_thresholds(study.weights),
                 options.weights_only ? std::vector{study.activations} : paper_grid_thresholds(study.activations));
  judge_grid(grid, static_cast<size_t>(options.threshold_plans), judge, losses);
  describe_grid(grid, plans, losses, study);
  return plans.outcome_of(found.plan);
}

}  // namespace dnateq
