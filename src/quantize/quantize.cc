#include "quantize/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "data/split.h"
#include "dnateq/error.h"
#include "graph/calls.h"
#include "quantize/judge.h"
#include "quantize/network.h"
#include "quantize/paper_search.h"
#include "search/loss_search.h"

namespace dnateq {
namespace {

// One complete assignment of codes and what came of it.
struct Candidate {
  Allocation allocation;
  std::vector<Network::Codes> networks;
};

// What a loss limit is searched along, from few bits to many, and how a candidate of it is made.
struct CandidateFront {
  std::vector<Allocation> allocations;
  std::vector<double> divergences;  // predicted, or what stands for it; falling
  // With the codes of the emission that is judged first; the others' come when it met the limit.
  std::function<Candidate(size_t point, const std::string& stage)> first;
  std::function<void(Candidate& candidate, size_t point, const std::string& stage)> rest;
  std::function<std::string(size_t point)> note;  // what its step says of it

  Candidate whole(size_t point, const std::string& stage) const {
    Candidate candidate = first(point, stage);
    rest(candidate, point, stage);
    return candidate;
  }
};

// One search over the layers of all networks.
class Job {
 public:
  Job(ov::Core& core, const std::vector<NetworkInput>& inputs, const Samples* validation,
      const std::vector<int64_t>& labels, const QuantizeOptions& options)
      : core_(core),
        validation_(validation),
        labels_(labels),
        options_(options),
        judge_by_(core, networks_, options),
        start_(std::chrono::steady_clock::now()) {
    for (const NetworkInput& input : inputs) networks_.push_back(std::make_unique<Network>(core, input, options));
    if (networks_.size() > 1 && !judge_by_.external())
      throw Error("several networks are judged together by a metric of your own; give one");
    if (!options.int8_models.empty() && options.int8_models.size() != networks_.size())
      throw Error("the metric judges all INT8 models together; give one of each network");
    if (networks_.size() > 1 && options.strategy == "paper")
      throw Error("the paper's search knows one network; use --strategy optimal for several");
  }

  std::vector<QuantizeResult> run() {
    split();
    for (size_t n = 0; n < networks_.size(); ++n)
      networks_[n]->measure(networks_.size() == 1 && fewer_ ? *fewer_ : *solve_[n]);
    join_items();
    if (options_.strategy == "paper") return finish(search_by_paper());
    if (!options_.max_loss) return finish(search_bits());
    front_ = allocations_in_order();
    return finish(front_.whole(search_loss(), "solving layers"));  // from the checkpoints
  }

 private:
  Network& only() const { return *networks_.front(); }

  // --- data ---------------------------------------------------------------------------------------------------------

  Part part_of(const Samples& samples, const std::vector<int64_t>& calls) const {
    Part part;
    part.calls = std::make_unique<Calls>(samples, *only().original().model, calls);
    if (labels_.empty() || &samples != validation_) return part;
    std::vector<int64_t> first_label(1, 0);
    for (int64_t call = 0; call < samples.size(); ++call)
      first_label.push_back(first_label.back() + samples.samples_in(call));
    if (static_cast<int64_t>(labels_.size()) != first_label.back())
      throw Error(fmt::format("there are {} labels for the {} samples of '{}'; give one label a sample", labels_.size(),
                              first_label.back(), samples.source()));
    for (const int64_t call : calls)
      part.labels.insert(part.labels.end(), labels_.begin() + first_label[static_cast<size_t>(call)],
                         labels_.begin() + first_label[static_cast<size_t>(call) + 1]);
    return part;
  }

  void split() {
    const Samples& calibration = *only().input().calibration;
    if (judge_by_.external()) {
      if (validation_ != nullptr || !labels_.empty())
        throw Error(fmt::format("the metric {} judges by samples of its own; leave --validation and --labels out",
                                judge_by_.metric_name()));
      split_ = split_for_external_metric(calibration, options_.seed);
      for (const auto& network : networks_) {
        const Samples& own = *network->input().calibration;
        solve_.push_back(std::make_unique<Calls>(own, *network->original().model,
                                                 split_for_external_metric(own, options_.seed).solve));
      }
      split_metric_samples();  // first of all: a metric that fails should not cost the measurements
      return;
    }
    if (validation_ == nullptr && !labels_.empty())
      throw Error("--labels belong to --validation samples; give those too");
    split_ = split_samples(calibration, validation_, options_.max_loss.has_value(), options_.seed);
    const Samples& judged = split_.from_validation ? *validation_ : calibration;
    solve_.push_back(part_of(calibration, split_.solve).calls);
    if (!split_.search.empty()) search_ = part_of(judged, split_.search);
    judge_ = part_of(judged, split_.judge);
    if (split_.measure.size() < split_.solve.size()) fewer_ = part_of(calibration, split_.measure).calls;
  }

  // At most so many of the samples that judge, evenly over them: a grid of plans is judged by each.
  Part some_of_judge() const {
    constexpr size_t kMost = 1024;
    const size_t count = std::min(kMost, split_.judge.size());
    std::vector<int64_t> calls;
    for (size_t i = 0; i < count; ++i) calls.push_back(split_.judge[i * split_.judge.size() / count]);
    return part_of(split_.from_validation ? *validation_ : *only().input().calibration, calls);
  }

  // Of an external metric that gives a score a sample: half of them lead a search, the others judge what it took.
  void split_metric_samples() {
    judge_by_.reference_score(judge_);
    const std::vector<int64_t> order = permutation(static_cast<int64_t>(judge_by_.metric_samples()), options_.seed);
    const size_t searched = options_.max_loss ? order.size() / 2 : 0;
    search_.of_metric.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(searched));
    judge_.of_metric.assign(order.begin() + static_cast<std::ptrdiff_t>(searched), order.end());
    split_.held_out = searched > 0 || (!options_.max_loss && networks_.size() == 1);  // several are weighed by them
  }

  // Of the network's samples, for its recipe.
  SplitRecipe split_recipe(const Network& network) const {
    SplitRecipe recipe;
    const bool external = judge_by_.external();
    const Split split = external ? split_for_external_metric(*network.input().calibration, options_.seed) : split_;
    for (size_t n = 0; n < networks_.size(); ++n)
      if (networks_[n].get() == &network) recipe.solve = solve_[n]->samples();
    recipe.search = Judge::samples_in(search_);
    recipe.judge = Judge::samples_in(judge_);
    recipe.hash = split.hash();
    recipe.note = split.note;
    return recipe;
  }

  // Before join_items(): how much one unit of each network's predicted divergence costs by the common metric. Outputs
  // of different networks have no common scale, so each is quantized alone, coarsely, and judged.
  void weigh_networks() {
    constexpr double kCoarseBits = 3;
    std::vector<double> losses, predicted;
    for (size_t n = 0; n < networks_.size(); ++n) {
      const AllocationItems& own = networks_[n]->items();
      const Allocation coarse = cheapest_with_bits(own, kCoarseBits);
      losses.push_back(judge_by_.loss_of_one(n, networks_[n]->solve_first(coarse.bits, *solve_[n], "weighing")));
      predicted.push_back(std::max(coarse.divergence, 1e-12));
    }
    // Within its noise a metric may even find a gain; nothing is free, though.
    const double largest = *std::max_element(losses.begin(), losses.end());
    for (size_t n = 0; n < networks_.size(); ++n)
      scales_[n] = largest > 0 ? std::max(losses[n], largest / 10) / predicted[n] : 1 / predicted[n];
  }

  static Allocation cheapest_with_bits(const AllocationItems& items, double bits) {
    const std::vector<Allocation> front = allocation_front(items.items, items.fp32_values);
    const auto found =
        std::find_if(front.begin(), front.end(), [&](const Allocation& a) { return tensor_mean(a) >= bits; });
    return found == front.end() ? front.back() : *found;
  }

  void join_items() {
    scales_.assign(networks_.size(), 1.0);
    const bool shares_out = std::any_of(networks_.begin(), networks_.end(), [&](const auto& network) {
      const std::vector<Allocatable>& own = network->items().items;
      return std::any_of(own.begin(), own.end(), [&](const Allocatable& item) { return !given_width(item); });
    });
    if (networks_.size() > 1 && shares_out) weigh_networks();
    for (size_t n = 0; n < networks_.size(); ++n) {
      const AllocationItems& own = networks_[n]->items();
      first_item_.push_back(items_.size());
      fp32_values_ += own.fp32_values;
      for (Allocatable item : own.items) {
        for (double& divergence : item.divergence) divergence *= scales_[n];
        items_.push_back(item);
      }
    }
    first_item_.push_back(items_.size());
  }

  // --- candidates ---------------------------------------------------------------------------------------------------

  std::span<const int> bits_of(const Allocation& allocation, size_t n) const {
    return std::span(allocation.bits).subspan(first_item_[n], first_item_[n + 1] - first_item_[n]);
  }

  Candidate solve(const Allocation& allocation, const std::string& stage) {
    Candidate candidate;
    candidate.allocation = allocation;
    for (size_t n = 0; n < networks_.size(); ++n)
      candidate.networks.push_back(networks_[n]->solve(bits_of(allocation, n), *solve_[n], stage));
    return candidate;
  }

  const std::vector<Emission>& emissions() const { return only().emissions(); }

  void note_step(const Allocation& allocation, double loss, const std::string& note = {}) {
    steps_.push_back({allocation.weight_bits, allocation.activation_bits, loss, allocation.divergence, note});
  }

  // --- searches -----------------------------------------------------------------------------------------------------

  // That all tensors of its kind are to have.
  std::optional<int> given_width(const Allocatable& item) const {
    const std::optional<int> wanted = item.is_weights ? options_.weight_bits : options_.activation_bits;
    return wanted ? std::optional(std::clamp(*wanted, item.smallest_bits, item.largest_bits)) : wanted;
  }

  // Where the width of one kind is given, the other kind's are shared out: as many bits in all as the same width
  // everywhere would take.
  Allocation allocate_beside_given() const {
    constexpr int kMeanBits = 4;
    constexpr double kRounding = 1e-9;
    std::vector<int> even;
    std::vector<Allocatable> items = items_;
    for (Allocatable& item : items) {
      const std::optional<int> given = given_width(item);
      even.push_back(given.value_or(std::clamp(kMeanBits, item.smallest_bits, item.largest_bits)));
      if (given) item.smallest_bits = item.largest_bits = *given;
    }
    const Allocation same = summarize(items_, even, fp32_values_);
    if (options_.weight_bits && options_.activation_bits) return same;
    return allocate_to_bits(items, same.weight_bits + kRounding, same.activation_bits + kRounding, fp32_values_);
  }

  Candidate search_bits() {
    Allocation allocation;
    if (options_.weight_bits || options_.activation_bits) {
      allocation = allocate_beside_given();
    } else {
      const double weights = options_.target_weight_bits.value_or(4.0);
      allocation = allocate_to_bits(items_, weights, options_.target_activation_bits.value_or(weights), fp32_values_);
    }
    return solve(allocation, "solving layers");
  }

  bool out_of_time() const { return options_.budget_seconds > 0 && seconds() > options_.budget_seconds; }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  CandidateFront allocations_in_order() {
    CandidateFront front;
    front.allocations = allocation_front(items_, fp32_values_);
    for (const Allocation& allocation : front.allocations) front.divergences.push_back(allocation.divergence);
    front.first = [this](size_t point, const std::string& stage) {
      Candidate candidate;
      candidate.allocation = front_.allocations[point];
      for (size_t n = 0; n < networks_.size(); ++n)
        candidate.networks.push_back(networks_[n]->solve_first(bits_of(candidate.allocation, n), *solve_[n], stage));
      return candidate;
    };
    front.rest = [this](Candidate& candidate, size_t, const std::string& stage) {
      for (size_t n = 0; n < networks_.size(); ++n)
        networks_[n]->solve_main(candidate.networks[n], bits_of(candidate.allocation, n), *solve_[n], stage);
    };
    front.note = [](size_t) { return std::string(); };
    return front;
  }

  // Fewest bits within the loss limit, certified where the samples that judge can do that. Returns the point of front_.
  size_t search_loss() {
    std::vector<FrontPoint> points;
    for (size_t i = 0; i < front_.allocations.size(); ++i)
      points.push_back({tensor_mean(front_.allocations[i]), front_.divergences[i]});
    LossSearchOptions search;
    search.limit = *options_.max_loss;
    LossSearchSteps steps;
    steps.estimate = [&](size_t point) { return estimate(point); };
    steps.out_of_time = [&] { return out_of_time(); };
    certifies_ = split_.held_out && judge_by_.can_certify(judge_, search.limit);
    if (certifies_) steps.certify = [&](size_t point) { return certify(point); };
    const LossSearchResult result = search_for_loss(points, search, steps);
    if (result.verdict == LossVerdict::kOutOfTime)
      throw Error(
          fmt::format("the time of --budget was over before a loss of at most {:.4g} ({}) was met; {:.4g} is the least "
                      "that was reached; raise --budget or --max-drop",
                      search.limit, judge_by_.metric_name(), result.least_loss));
    if (result.verdict == LossVerdict::kCannotMeet)
      throw Error(fmt::format(
          "a loss of at most {:.4g} ({}) cannot be met: {:.4g} is the least that was reached; raise --max-drop, {}",
          search.limit, judge_by_.metric_name(), result.least_loss,
          options_.strategy == "paper" ? "or use --strategy optimal"
                                       : "give more calibration samples, or leave layers out with --ignore"));
    // Where a candidate of more bits failed, the samples that judge have had their say: no second try of another.
    certifies_ = result.verdict == LossVerdict::kCertified;
    return result.point;
  }

  // Emission by emission; of a candidate that misses the limit the rest is left out. The one of fewest bits that meets
  // it is kept in the folder.
  LossEstimate estimate(size_t point) {
    const std::string stage = fmt::format("candidate {}", steps_.size() + 1);
    double worst = -std::numeric_limits<double>::infinity(), highest = worst;  // loss, and loss with its margin
    Candidate candidate = front_.first(point, stage);
    for (const Emission emission : emissions()) {
      if (emission == Emission::kMain) front_.rest(candidate, point, stage);
      const EmissionLoss found = judge_by_.loss(candidate.networks, emission, search_, "judging");
      worst = std::max(worst, found.loss);
      highest = std::max(highest, found.loss + (certifies_ ? margin_of(found) : 0));
      if (!within(found.loss, *options_.max_loss)) break;
    }
    note_step(candidate.allocation, worst, front_.note(point));
    estimated_.emplace_back(point, worst);
    if (within(worst, *options_.max_loss) && (!kept_ || point < *kept_)) {
      keep(candidate);
      kept_ = point;
    }
    return {worst, highest - worst};
  }

  // How far above a loss on the samples of the search its bound by the samples that judge will lie.
  double margin_of(const EmissionLoss& found) const {
    const double here = judge_by_.bound(found, search_)->upper - found.loss;
    if (!std::isfinite(here)) return 0;
    const auto searched = static_cast<double>(Judge::samples_in(search_));
    return here * std::sqrt(searched / static_cast<double>(Judge::samples_in(judge_)));
  }

  LossJudgement certify(size_t point) {
    const Candidate candidate = front_.whole(point, "solving layers");  // from the checkpoints
    std::optional<EmissionResult> worst;
    for (const Emission emission : emissions()) {
      const EmissionResult one = judged(candidate, emission);
      if (!worst || one.upper_bound > worst->upper_bound) worst = one;
    }
    LossJudgement judgement{worst->loss, worst->upper_bound, {}};
    if (worst->samples_needed > 0) judgement.samples_needed = worst->samples_needed;
    return judgement;
  }

  CandidateFront pairs_in_order(const PaperSearch& paper, const std::vector<PaperFrontPoint>& points) {
    CandidateFront front;
    for (const PaperFrontPoint& point : points) {
      front.allocations.push_back(paper.allocation_of(point.pair.plan));
      front.divergences.push_back(point.error);
    }
    front.first = [&](size_t point, const std::string&) { return candidate_of(paper, points[point].pair.plan); };
    front.rest = [](Candidate&, size_t, const std::string&) {};
    front.note = [&](size_t point) { return to_string(points[point].pair.thresholds); };
    return front;
  }

  static Candidate candidate_of(const PaperSearch& paper, const PaperPlan& plan) {
    Candidate candidate;
    candidate.allocation = paper.allocation_of(plan);
    candidate.networks.push_back(paper.codes_of(plan));
    return candidate;
  }

  Candidate search_by_paper() {
    const PaperSearch paper(only(), *solve_.front(), options_);
    PaperPair taken;
    std::vector<std::pair<PaperPlan, double>> known;
    if (options_.max_loss) {
      const std::vector<PaperFrontPoint> points = paper.front();
      front_ = pairs_in_order(paper, points);
      taken = points[search_loss()].pair;
      for (const auto& [point, loss] : estimated_) known.emplace_back(points[point].pair.plan, loss);
      front_ = {};
    } else {
      taken = paper.choose();
      certifies_ = split_.held_out;  // nothing was judged yet
    }
    // Without a limit no loss decides anything, so the grid's may be of the samples that judge the result.
    Part few;
    if (!options_.max_loss && !judge_by_.external()) few = some_of_judge();
    Part& part = options_.max_loss ? search_ : few;
    thresholds_ = paper.study(
        taken.thresholds, known,
        [&](const PaperPlan& plan, const PaperThresholds& first) {
          const Candidate candidate = candidate_of(paper, plan);
          double loss = -std::numeric_limits<double>::infinity();
          for (const Emission emission : emissions())
            loss = std::max(loss, judge_by_.loss(candidate.networks, emission, part, "judging").loss);
          note_step(candidate.allocation, loss, to_string(first));
          return loss;
        },
        [&] { return out_of_time(); });
    thresholds_->chosen_by = options_.max_loss ? "loss" : options_.weight_threshold ? "given" : "bits";
    if (!judge_by_.external()) thresholds_->samples = part.calls->samples();
    return candidate_of(paper, taken.plan);
  }

  // --- results ------------------------------------------------------------------------------------------------------

  // The best so far lies in the folder as a whole result, should the search be stopped.
  void keep(const Candidate& candidate) {
    for (size_t n = 0; n < networks_.size(); ++n) {
      networks_[n]->save_models(candidate.networks[n]);
      QuantizeResult result;
      networks_[n]->describe(candidate.networks[n], result);
      result.recipe.steps = steps_;
      result.recipe.split = split_recipe(*networks_[n]);
      save_recipe(result.recipe, networks_[n]->directory() / "recipe.dnateq.json");
    }
  }

  EmissionResult judged(const Candidate& candidate, Emission emission) {
    const std::string stage = fmt::format("judging the {} model", only().name_of(emission));
    return judge_by_.result_of(emission, judge_by_.loss(candidate.networks, emission, judge_, stage), judge_,
                               split_.held_out, certifies_);
  }

  // Measures the models by the metric, on samples that no search saw, or on the metric's own.
  MetricResult judge_finally(const Candidate& best, std::vector<EmissionResult>& emitted) {
    MetricResult metric;
    metric.name = judge_by_.metric_name();
    metric.drop_type = to_string(judge_by_.drop_type());
    metric.samples_from = split_.samples_from;
    metric.held_out = split_.held_out;
    metric.quantized = metric.exact = kNotJudged;
    metric.reference = judge_by_.reference_score(judge_);
    metric.samples = Judge::samples_in(judge_);
    // Exact comes first, and the interval is its own where there is one.
    for (const Emission emission : emissions()) {
      const EmissionResult result = judged(best, emission);
      if (emitted.empty() && result.samples > 0) {
        metric.confidence_low = lower_is_better(judge_by_.metric()) ? result.low : -result.high;
        metric.confidence_high = lower_is_better(judge_by_.metric()) ? result.high : -result.low;
      }
      (emission == Emission::kExact ? metric.exact : metric.quantized) = result.score;
      emitted.push_back(result);
    }
    if (options_.max_loss) conclude(metric, emitted, *options_.max_loss, Judge::samples_in(search_));
    return metric;
  }

  std::vector<QuantizeResult> finish(const Candidate& best) {
    std::vector<EmissionResult> emitted;
    for (size_t n = 0; n < networks_.size(); ++n) networks_[n]->save_models(best.networks[n]);
    const MetricResult metric = judge_finally(best, emitted);
    std::optional<double> int8_metric;
    if (!options_.int8_models.empty()) int8_metric = judge_by_.int8_score(judge_);
    std::vector<QuantizeResult> results;
    for (size_t n = 0; n < networks_.size(); ++n) {
      const Network& network = *networks_[n];
      QuantizeResult result;
      if (options_.packed) result.emission = "cpu";
      result.int8_metric = int8_metric;
      result.bytes_standard = network.weight_file_bytes(Emission::kMain);
      result.bytes_exact = network.weight_file_bytes(Emission::kExact);
      network.describe(best.networks[n], result);
      result.recipe.metric = metric;
      result.recipe.emissions = emitted;
      for (size_t e = 0; e < emitted.size(); ++e) network.describe_files(emissions()[e], result.recipe.emissions[e]);
      network.describe_passed(best.networks[n], *solve_[n], result.recipe);
      result.recipe.split = split_recipe(network);
      result.recipe.steps = steps_;
      result.recipe.thresholds = thresholds_;
      result.seconds = seconds();
      if (network.measurements().has_sensitivities)
        for (const Allocation& point : allocation_front(network.items().items, network.items().fp32_values))
          if (result.bits_loss_curve.empty() || tensor_mean(point) > result.bits_loss_curve.back().first)
            result.bits_loss_curve.emplace_back(tensor_mean(point), point.divergence);
      save_recipe(result.recipe, network.directory() / "recipe.dnateq.json");
      std::error_code ignored;
      for (const auto& entry : std::filesystem::directory_iterator(network.directory() / "measurements", ignored))
        if (entry.is_directory()) std::filesystem::remove_all(entry.path(), ignored);
      results.push_back(std::move(result));
    }
    return results;
  }

  ov::Core& core_;
  const Samples* validation_;
  const std::vector<int64_t>& labels_;
  const QuantizeOptions& options_;
  std::vector<std::unique_ptr<Network>> networks_;
  Judge judge_by_;
  std::chrono::steady_clock::time_point start_;
  std::vector<std::unique_ptr<Calls>> solve_;  // by network
  std::unique_ptr<Calls>
      fewer_;                   // the same samples with and without a loss limit: `allocate` finds what either measured
  Part search_, judge_;         // of the only network, for metrics that are not external
  Split split_;                 // of its samples
  std::vector<double> scales_;  // by network: of predicted divergences, to add them up
  std::vector<size_t> first_item_;  // by network, and the end
  std::vector<Allocatable> items_;  // of all networks
  double fp32_values_ = 0;
  std::vector<SearchStep> steps_;
  std::optional<ThresholdStudy> thresholds_;          // of the paper's search
  CandidateFront front_;                              // that a loss limit is searched along
  std::vector<std::pair<size_t, double>> estimated_;  // points of it that were made, and their losses
  std::optional<size_t> kept_;                        // the one of them that lies in the folder
  bool certifies_ = false;  // the samples that judge can certify the limit for what the search takes
};

}  // namespace

Metric metric_of(const QuantizeOptions& options) {
  return metric_from_string(!options.metric.empty() ? options.metric : options.has_labels ? "top1" : "cosine");
}

std::vector<QuantizeResult> quantize(ov::Core& core, const std::vector<NetworkInput>& networks,
                                     const Samples* validation, const std::vector<int64_t>& labels,
                                     const QuantizeOptions& options) {
  return Job(core, networks, validation, labels, options).run();
}

}  // namespace dnateq
