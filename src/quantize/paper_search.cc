#include "quantize/paper_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "core/option.h"
#include "dnateq/error.h"
#include "quantize/limit_search.h"

namespace dnateq {
namespace {

// A tensor, where neither bits nor loss nor thresholds are asked for: about the paper's own mean, 4.83 (40 % less than
// INT8).
constexpr double kTargetBits = 5;

std::vector<PaperLayer> fit_layers(const Network& network) {
  const PreparedModel& prepared = network.prepared();
  const Measurements& measurements = network.measurements();
  std::vector<PaperLayer> layers;
  Task task(network.progress(), "paper's fits", prepared.layers.size());
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const ActivationMeasurement* entering = measurements.entering(l);
    const bool with_activations = entering != nullptr && network.has_low_bit_activations();
    FitData activations;
    bool non_negative = false;
    if (with_activations) {
      activations = FitData::from_histogram(entering->histogram);
      non_negative = entering->non_negative;
    }
    layers.push_back(fit_paper_layer(FitData::from_values(prepared.layers[l].weight_matrix()),
                                     with_activations ? &activations : nullptr, non_negative));
    task.advance();
  }
  return layers;
}

// How steps name a pair.
std::string to_string(const PaperThresholds& thresholds) {
  return fmt::format("Thr_w {:.3g}, Thr_act {:.3g}", thresholds.weights, thresholds.activations);
}

Candidate candidate_of(const PaperPlans& plans, const PaperPlan& plan) {
  Candidate candidate;
  candidate.allocation = plans.allocation_of(plan);
  candidate.networks.push_back(plans.codes_of(plan));
  return candidate;
}

// The codes of a plan serve every emission. The references must outlive the front.
CandidateFront pairs_in_order(const PaperPlans& plans, const std::vector<PaperFrontPoint>& points) {
  CandidateFront front;
  for (const PaperFrontPoint& point : points) {
    front.allocations.push_back(plans.allocation_of(point.pair.plan));
    front.divergences.push_back(point.error);
  }
  front.first = [&](size_t point, const std::string&) { return candidate_of(plans, points[point].pair.plan); };
  front.rest = [](Candidate&, size_t, const std::string&) {};
  front.note = [&](size_t point) { return to_string(points[point].pair.thresholds); };
  return front;
}

struct TakenPair {
  PaperPair pair;
  bool certifies = false;                           // as in SearchOutcome
  std::vector<std::pair<PaperPlan, double>> known;  // plans that were judged, and their losses
  std::string chosen_by;                            // as in ThresholdStudy
};

TakenPair take_within_limit(SearchRun& run, const PaperPlans& plans) {
  const std::vector<PaperFrontPoint> points = plans.front();
  const LimitSearchResult found = search_within_limit(run, pairs_in_order(plans, points));
  TakenPair taken{points[found.point].pair, found.certified, {}, "loss"};
  for (const auto& [point, loss] : found.judged) taken.known.emplace_back(points[point].pair.plan, loss);
  return taken;
}

TakenPair take_without_judging(const SearchRun& run, const PaperPlans& plans) {
  return {plans.choose(), run.samples.held_out(), {}, run.options.weight_threshold ? "given" : "bits"};
}

// Of the worst emission; noted as a step.
double judge_plan(SearchRun& run, const PaperPlans& plans, const PaperPlan& plan, const PaperThresholds& first,
                  SampleSet& samples) {
  const Candidate candidate = candidate_of(plans, plan);
  double loss = -std::numeric_limits<double>::infinity();
  for (const Emission emission : run.emissions())
    loss = std::max(loss, run.judge.loss(candidate.networks, emission, samples, "judging").loss);
  run.note_step(candidate.allocation, loss, to_string(first));
  return loss;
}

}  // namespace

SearchOutcome search_by_paper(SearchRun& run) {
  const PaperPlans plans(run.only(), run.samples.solve(0), run.options);
  const bool limited = run.options.max_loss.has_value();
  const TakenPair taken = limited ? take_within_limit(run, plans) : take_without_judging(run, plans);
  // Without a limit no loss decides anything, so the grid's may be of the samples that judge the result.
  SampleSet few;
  if (!limited && !run.judge.external()) few = run.samples.some_of_judge();
  SampleSet& samples = limited ? run.samples.search() : few;
  ThresholdStudy study = plans.study(
      taken.pair.thresholds, taken.known,
      [&](const PaperPlan& plan, const PaperThresholds& first) { return judge_plan(run, plans, plan, first, samples); },
      [&] { return run.out_of_time(); });
  study.chosen_by = taken.chosen_by;
  if (!run.judge.external()) study.samples = samples.size();
  return {candidate_of(plans, taken.pair.plan), taken.certifies, std::move(study)};
}

PaperPlans::PaperPlans(const Network& network, const Calls& calls, const QuantizeOptions& options)
    : network_(network), calls_(calls), options_(options), layers_(fit_layers(network)) {}

const PaperChoice& PaperPlans::choice_of(const PaperPlan& plan, size_t layer) const {
  return layers_[layer].by_exponent_bits[static_cast<size_t>(plan[layer])];
}

Allocation PaperPlans::allocation_of(const PaperPlan& plan) const {
  const AllocationItems& items = network_.items();
  const Measurements& measurements = network_.measurements();
  std::vector<int> bits(items.items.size(), 0);
  for (size_t l = 0; l < plan.size(); ++l) {
    const PaperChoice& choice = choice_of(plan, l);
    if (items.of_weights[l]) bits[*items.of_weights[l]] = choice.weights.stored_bits;
    const std::optional<size_t> entering = measurements.layers[l].activation;
    if (entering && items.of_activations[*entering] && choice.activations)
      bits[*items.of_activations[*entering]] = choice.activations->stored_bits;
  }
  return summarize(items.items, bits, items.fp32_values);
}

Network::Codes PaperPlans::codes_of(const PaperPlan& plan) const {
  const Measurements& measurements = network_.measurements();
  std::vector<LayerPlan> codes;
  for (size_t l = 0; l < plan.size(); ++l) {
    const PaperChoice& choice = choice_of(plan, l);
    LayerPlan layer;
    layer.weights = choice.weights;
    layer.weights_fixed = true;
    layer.activations = choice.activations;
    const ActivationMeasurement* entering = measurements.entering(l);
    if (!layer.activations && entering != nullptr && !options_.weights_only)
      layer.activations = entering->uniform8.code;
    codes.push_back(layer);
  }
  return network_.complete(codes, calls_);
}

PaperJudge PaperPlans::judge_of_bits() const {
  PaperJudge judge;
  judge.bits = [this](const PaperPlan& plan) { return tensor_mean(allocation_of(plan)); };
  return judge;
}

std::vector<PaperFrontPoint> PaperPlans::front() const { return paper_front(layers_, judge_of_bits()); }

PaperPair PaperPlans::choose() const {
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

ThresholdStudy PaperPlans::study(
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
