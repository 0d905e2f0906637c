#include "openvino/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "core/distribution.h"
#include "core/hash.h"
#include "core/pack.h"
#include "dnateq/error.h"
#include "openvino/calls.h"
#include "openvino/center.h"
#include "openvino/describe.h"
#include "openvino/emit.h"
#include "openvino/lockstep.h"
#include "openvino/measure.h"
#include "search/fit.h"
#include "search/paper.h"

namespace dnateq {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
constexpr int kMostCandidates = 5;  // judged while looking for the fewest bits within a loss limit

// One complete assignment of codes and what came of it.
struct Candidate {
  Allocation allocation;
  std::vector<LayerPlan> plan;
  std::vector<LayerSolution> solutions;
  double loss = kNotMeasured;
};

class Job {
 public:
  Job(ov::Core& core, const PreparedModel& prepared, const Samples& calibration, const Samples* validation,
      const std::vector<int64_t>& labels, const QuantizeOptions& options, const std::filesystem::path& directory)
      : core_(core),
        original_(prepared),
        prepared_(prepared),
        calibration_(calibration),
        validation_(validation),
        labels_(labels),
        options_(options),
        directory_(directory),
        start_(std::chrono::steady_clock::now()) {
    request_.family = options.family;
    request_.pow2_q = options.pow2_q;
    const bool real_levels = options.family != Family::kFree || options.strategy == "paper";
    request_.arithmetic = real_levels ? Arithmetic::kExponential : Arithmetic::kInt8Grid;
    metric_ = metric_from_string(!options.metric.empty() ? options.metric : labels.empty() ? "cosine" : "top1");
    if (!is_external(metric_)) output_ = find_output(*prepared.model, options.output, prepared.file);
    low_bit_activations_ = options.emit_exact && !options.weights_only;
  }

  QuantizeResult run() {
    if (prepared_.layers.empty())
      throw Error(fmt::format("'{}' has no layer that can be quantized; `dnateq inspect` says why", prepared_.file));
    split();
    make_folder();
    center();
    measure_network();
    Candidate best = options_.strategy == "paper" ? search_paper() : options_.max_loss ? search_loss() : search_bits();
    return finish(best);
  }

 private:
  // --- data ---------------------------------------------------------------------------------------------------------

  struct Part {  // samples for one purpose, with their labels
    std::unique_ptr<Calls> calls;
    std::vector<int64_t> labels;
    std::optional<OutputValues> reference;
  };

  Part part_of(const Samples& samples, int64_t first, int64_t count) const {
    Part part;
    part.calls = std::make_unique<Calls>(samples, *prepared_.model, first, count);
    if (!labels_.empty() && &samples == validation_) {
      if (static_cast<int64_t>(labels_.size()) != samples.size())
        throw Error(fmt::format("there are {} labels for the {} samples of '{}'; give one label a sample",
                                labels_.size(), samples.size(), samples.source()));
      part.labels.assign(labels_.begin() + first, labels_.begin() + first + count);
    }
    return part;
  }

  void split() {
    const int64_t n = calibration_.size();
    if (validation_ != nullptr) {
      const int64_t v = validation_->size();
      solve_ = part_of(calibration_, 0, n);
      if (options_.max_loss && v >= 2) {
        search_ = part_of(*validation_, 0, v / 2);
        judge_ = part_of(*validation_, v / 2, v - v / 2);
      } else {
        judge_ = part_of(*validation_, 0, v);
        if (options_.max_loss) search_ = part_of(*validation_, 0, v);
      }
      samples_from_ = "validation";
      return;
    }
    if (!labels_.empty()) throw Error("--labels belong to --validation samples; give those too");
    if (is_external(metric_)) {  // judged on samples of its own
      solve_ = part_of(calibration_, 0, n);
      search_ = part_of(calibration_, 0, n);
      judge_ = part_of(calibration_, 0, n);
      samples_from_ = "the metric's own";
      return;
    }
    const int64_t held = n >= 8 ? n / 8 : 0;
    const int64_t parts = options_.max_loss ? 2 : 1;
    solve_ = part_of(calibration_, 0, n - parts * held);
    search_ = held > 0 ? part_of(calibration_, n - parts * held, held) : part_of(calibration_, 0, n);
    judge_ = held > 0 ? part_of(calibration_, n - held, held) : part_of(calibration_, 0, n);
    samples_from_ = held > 0 ? "calibration split" : "calibration itself (too few samples to hold any back)";
    if (parts == 1 && held > 0) fewer_ = part_of(calibration_, 0, n - 2 * held).calls;
  }

  // Not before the model and the data are known to fit: an older result stays as it was.
  void make_folder() const {
    std::error_code failed;
    const std::filesystem::path measurements = directory_ / "measurements";
    if (!options_.resume) std::filesystem::remove_all(measurements, failed);
    std::filesystem::create_directories(measurements, failed);
    if (failed)
      throw Error(fmt::format("the folder '{}' cannot be made: {}; choose another -o", measurements.string(),
                              failed.message()));
  }

  // The same samples with and without a loss limit, so that `allocate` finds the measurements of either.
  const Calls& measured_calls() const { return fewer_ ? *fewer_ : *solve_.calls; }

  // Only low-bit codes gain by it: 8-bit grids reach far enough, and the paper knows no such step. Computed anew by
  // every run, from the samples that `allocate` sees too.
  void center() {
    if (!low_bit_activations_ || options_.strategy == "paper") return;
    CenterOptions center_options;
    center_options.request = request_;
    center_options.uniform = options_.strategy == "uniform";
    center_options.threads = options_.threads;
    center_options.progress = options_.progress;
    prepared_ = center_activations(core_, original_, measured_calls(), center_options);
  }

  void measure_network() {
    std::string facts = fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}", prepared_.fingerprint, calibration_.fingerprint(),
                                    to_string(options_.family), options_.pow2_q, options_.strategy, to_string(metric_),
                                    output_, options_.seed, measured_calls().samples());
    for (const Layer& layer : prepared_.layers)  // --only, --ignore and --untie
      facts += fmt::format("|{} {}{}", layer.name, layer.shares_weights_with, layer.centered ? " centered" : "");
    const std::string key = key_ = to_hex(fnv1a(std::as_bytes(std::span(facts))));
    const std::filesystem::path file = directory_ / "measurements" / "measurements.cbor";
    const bool needs_sensitivities =
        options_.strategy != "paper" && !(options_.weight_bits && options_.activation_bits);
    if (auto cached = load_measurements(key, file); cached && (cached->has_sensitivities || !needs_sensitivities)) {
      measurements_ = std::move(*cached);
    } else {
      MeasureOptions measure_options;
      measure_options.request = request_;
      measure_options.uniform = options_.strategy == "uniform";
      measure_options.weights_only = false;
      measure_options.sensitivities = needs_sensitivities;
      measure_options.metric = metric_;
      measure_options.output = output_;
      // A command may read any output; so may whoever takes a network of several outputs further.
      measure_options.all_outputs =
          is_external(metric_) || (options_.output.empty() && prepared_.model->outputs().size() > 1);
      measure_options.seed = options_.seed;
      measure_options.threads = options_.threads;
      measure_options.progress = options_.progress;
      measurements_ = measure(core_, prepared_, measured_calls(), measure_options);
      save_measurements(measurements_, key, file);
    }
    items_ = allocation_items(prepared_, measurements_, !low_bit_activations_, [&](const Layer& layer, int bits) {
      LayerCodes codes;  // only its sizes matter
      codes.weight_code = with_level_counts(request_, bits);
      codes.codes.resize(static_cast<size_t>(layer.rows * layer.columns));
      codes.gamma.resize(static_cast<size_t>(layer.rows));
      return weight_bytes(layer, codes);
    });
  }

  // Rows of activations that a call at batch 1 gives a layer.
  double expected_rows(size_t l) const {
    if (options_.expected_rows > 0) return static_cast<double>(options_.expected_rows);
    const int a = measurements_.activation_of_layer[l];
    return a < 0 ? 0
                 : measurements_.activations[static_cast<size_t>(a)].values /
                       static_cast<double>(prepared_.layers[l].columns * prepared_.layers[l].groups);
  }

  int64_t weight_bytes(const Layer& layer, const LayerCodes& codes) const {
    const auto l = static_cast<size_t>(&layer - prepared_.layers.data());
    const bool blob =
        options_.emit_exact || (options_.packed && runs_packed(layer, codes.weight_code.stored_bits, expected_rows(l)));
    return blob ? exact_weight_bytes(layer, codes) : standard_weight_bytes(layer, codes);
  }

  std::shared_ptr<ov::Model> emit_main(const std::vector<LayerCodes>& codes) const {
    if (!options_.packed) return emit_standard(prepared_, codes);
    std::vector<bool> packed;
    for (size_t l = 0; l < codes.size(); ++l)
      packed.push_back(runs_packed(prepared_.layers[l], codes[l].weight_code.stored_bits, expected_rows(l)));
    return emit_cpu(prepared_, codes, packed);
  }

  // --- candidates ---------------------------------------------------------------------------------------------------

  std::vector<LayerPlan> plan_for(const Allocation& allocation) const {
    std::vector<LayerPlan> plan;
    for (size_t l = 0; l < prepared_.layers.size(); ++l) {
      LayerPlan layer;
      const int weight_item = items_.item_of_weight[l];
      if (weight_item >= 0)
        layer.weights = with_level_counts(request_, allocation.bits[static_cast<size_t>(weight_item)]);
      const int a = measurements_.activation_of_layer[l];
      layer.quantize_activations = a >= 0 && !options_.weights_only;
      if (layer.quantize_activations) {
        const ActivationMeasurement& m = measurements_.activations[static_cast<size_t>(a)];
        const int item = items_.item_of_activation[static_cast<size_t>(a)];
        layer.activations =
            item >= 0 ? m.fits[static_cast<size_t>(allocation.bits[static_cast<size_t>(item)])].code : m.uniform8.code;
        if (request_.family == Family::kSharedBase) layer.weights.base = layer.activations.base;
      }
      if (a < 0 && request_.family == Family::kSharedBase)
        layer.weights.family = Family::kFree;  // no partner to share with
      plan.push_back(layer);
    }
    return plan;
  }

  Candidate solve(const Allocation& allocation, const std::string& stage) {
    Candidate candidate;
    candidate.allocation = allocation;
    candidate.plan = plan_for(allocation);
    PassOptions pass;
    pass.solve.uniform = options_.strategy == "uniform";
    pass.seed = options_.seed;
    pass.threads = options_.threads;
    pass.progress = options_.progress;
    pass.stage = stage;
    pass.checkpoints = directory_ / "measurements" / ("pass-" + key_of(allocation));
    std::filesystem::create_directories(pass.checkpoints);
    candidate.solutions = run_pass(core_, prepared_, *solve_.calls, candidate.plan, pass);
    return candidate;
  }

  std::string key_of(const Allocation& allocation) const {
    uint64_t digest = fnv1a(std::as_bytes(std::span(allocation.bits)));
    const std::string rest =
        fmt::format("{}|{}|{}|{}", key_, low_bit_activations_, options_.weights_only, solve_.calls->samples());
    return to_hex(fnv1a(std::as_bytes(std::span(rest)), digest));
  }

  std::vector<LayerCodes> codes_of(const Candidate& candidate) const {
    std::vector<LayerCodes> all;
    for (size_t l = 0; l < prepared_.layers.size(); ++l) {
      const LayerSolution& solution = candidate.solutions[l];
      LayerCodes codes;
      codes.weight_code = solution.code;
      codes.codes = solution.codes;
      codes.gamma = solution.gamma;
      codes.bias = solution.bias;
      codes.has_activation_code = candidate.plan[l].quantize_activations;
      codes.activation_code = candidate.plan[l].activations;
      const int a = measurements_.activation_of_layer[l];
      if (codes.has_activation_code && a >= 0) {
        const ActivationMeasurement& m = measurements_.activations[static_cast<size_t>(a)];
        codes.range_high = magnitudes(m.uniform8.code).back();
        codes.range_low = m.non_negative ? 0.0F : -codes.range_high * 128.0F / 127.0F;
        codes.summand_limit = measurements_.summand_limit[l];
      }
      all.push_back(std::move(codes));
    }
    return all;
  }

  // --- judging ------------------------------------------------------------------------------------------------------

  const OutputValues& reference(Part& part) {
    if (!part.reference)
      part.reference =
          run_output(core_, original_.model, *part.calls, output_, options_.threads, options_.progress, "running FP32");
    return *part.reference;
  }

  std::vector<double> scores(const std::shared_ptr<ov::Model>& model, Part& part, const std::string& stage) {
    const OutputValues& fp32 = reference(part);
    const OutputValues outputs =
        run_output(core_, model, *part.calls, output_, options_.threads, options_.progress, stage);
    return score(metric_, outputs, fp32, part.labels);
  }

  std::vector<double> reference_scores(Part& part) {
    const OutputValues& fp32 = reference(part);
    return score(metric_, fp32, fp32, part.labels);
  }

  double command_score(const std::shared_ptr<ov::Model>& model) {
    const std::filesystem::path folder = directory_ / "measurements" / "candidate";
    std::filesystem::create_directories(folder);
    save_model_files(model, folder);
    return options_.judge(folder / "model.xml");
  }

  double command_reference() {
    if (!command_reference_) command_reference_ = options_.judge(options_.model_file);
    return *command_reference_;
  }

  std::shared_ptr<ov::Model> emitted(const Candidate& candidate) const {
    const std::vector<LayerCodes> codes = codes_of(candidate);
    return options_.emit_exact ? emit_exact(prepared_, codes) : emit_main(codes);
  }

  void judge(Candidate& candidate) {
    const std::shared_ptr<ov::Model> model = emitted(candidate);
    if (is_external(metric_))
      candidate.loss = loss_of(metric_, command_reference(), command_score(model));
    else
      candidate.loss = loss_of(metric_, mean(reference_scores(search_)), mean(scores(model, search_, "judging")));
    note_step(candidate);
  }

  void note_step(const Candidate& candidate, const std::string& note = {}) {
    steps_.push_back({candidate.allocation.weight_bits, candidate.allocation.activation_bits, candidate.loss,
                      candidate.allocation.divergence, note});
  }

  // --- searches -----------------------------------------------------------------------------------------------------

  Candidate search_bits() {
    Allocation allocation;
    if (options_.weight_bits || options_.activation_bits) {
      std::vector<int> bits;
      for (const Allocatable& item : items_.items) {
        const int wanted = item.is_weights ? options_.weight_bits.value_or(4) : options_.activation_bits.value_or(4);
        bits.push_back(std::clamp(wanted, item.smallest_bits, item.largest_bits));
      }
      allocation = summarize(items_.items, bits, items_.fp32_values);
    } else {
      const double weights = options_.target_weight_bits.value_or(4.0);
      allocation = allocate_to_bits(items_.items, weights, options_.target_activation_bits.value_or(weights),
                                    items_.fp32_values);
    }
    return solve(allocation, "solving layers");
  }

  bool out_of_time() const { return options_.budget_seconds > 0 && seconds() > options_.budget_seconds; }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  // Fewest bits within the loss limit: bisection along the front, led by the predicted divergence.
  Candidate search_loss() {
    const std::vector<Allocation> front = allocation_front(items_.items, items_.fp32_values);
    const double limit = *options_.max_loss;
    auto too_few = std::ptrdiff_t{-1}, enough = static_cast<std::ptrdiff_t>(front.size());
    std::optional<Candidate> best;
    std::set<std::ptrdiff_t> tried_points;
    double least_loss = std::numeric_limits<double>::infinity();
    const auto try_point = [&](std::ptrdiff_t point) {
      Candidate candidate = solve(front[static_cast<size_t>(point)], fmt::format("candidate {}", steps_.size() + 1));
      judge(candidate);
      tried_points.insert(point);
      least_loss = std::min(least_loss, candidate.loss);
      if (candidate.loss <= limit) {
        best = candidate;
        keep(*best);
      }
      return candidate.loss;
    };
    std::ptrdiff_t next = enough - 1;
    for (std::ptrdiff_t i = 0; i < enough; ++i)
      if (tensor_mean(front[static_cast<size_t>(i)]) >= 4.0) {
        next = i;
        break;
      }
    for (int tried = 0; tried < kMostCandidates || !best; ++tried) {
      const double loss = try_point(next), predicted = front[static_cast<size_t>(next)].divergence;
      if (loss <= limit) {
        enough = next;
      } else {
        too_few = next;
        if (next + 1 >= enough && !best) break;
      }
      if (enough - too_few <= 1 || (best && out_of_time())) break;
      // Loss grows about in proportion to the predicted divergence; stay inside the bracket.
      const double wanted = predicted * limit / std::max(loss, limit / 4);
      std::ptrdiff_t guess = too_few + 1;
      while (guess < enough - 1 && front[static_cast<size_t>(guess)].divergence > wanted) ++guess;
      next = std::clamp(guess, too_few + 1, enough - 1);
      if (best &&
          tensor_mean(front[static_cast<size_t>(enough)]) - tensor_mean(front[static_cast<size_t>(next)]) < 0.05)
        break;
    }
    // On few samples the loss does not fall steadily: most bits may miss by one sample what fewer bits meet. Before
    // the limit is called out of reach, the points between are tried, the middle of the widest gap first.
    for (int extra = 0; extra < kMostCandidates && !best && !out_of_time(); ++extra)
      if (const auto point = middle_of_widest_gap(tried_points)) try_point(*point);
    if (!best)
      throw Error(
          fmt::format("a loss of at most {:.4g} ({}) cannot be met: {:.4g} is the least that was reached; raise "
                      "--max-loss, give more calibration samples, or leave layers out with --ignore",
                      limit, to_string(metric_), least_loss));
    return std::move(*best);
  }

  // The finer of two equal gaps; nothing if there is none.
  static std::optional<std::ptrdiff_t> middle_of_widest_gap(const std::set<std::ptrdiff_t>& points) {
    std::optional<std::ptrdiff_t> middle;
    std::ptrdiff_t widest = 2;
    for (auto at = points.begin(); at != points.end() && std::next(at) != points.end(); ++at) {
      const std::ptrdiff_t gap = *std::next(at) - *at;
      if (gap < widest) continue;
      widest = gap;
      middle = (*at + *std::next(at) + 1) / 2;
    }
    return middle;
  }

  static double tensor_mean(const Allocation& allocation) {
    return std::accumulate(allocation.bits.begin(), allocation.bits.end(), 0.0) /
           static_cast<double>(std::max<size_t>(allocation.bits.size(), 1));
  }

  // The paper's search: thresholds on the RMAE of weights and activations, loosest pair within the limit.
  Candidate search_paper() {
    std::vector<PaperLayer> layers;
    {
      Task task(options_.progress, "paper's fits", prepared_.layers.size());
      for (size_t l = 0; l < prepared_.layers.size(); ++l) {
        const int a = measurements_.activation_of_layer[l];
        const bool with_activations = a >= 0 && low_bit_activations_;
        FitData activations;
        bool non_negative = false;
        if (with_activations) {
          activations = FitData::from_histogram(measurements_.activations[static_cast<size_t>(a)].histogram);
          non_negative = measurements_.activations[static_cast<size_t>(a)].non_negative;
        }
        layers.push_back(fit_paper_layer(FitData::from_values(prepared_.layers[l].weight_matrix()),
                                         with_activations ? &activations : nullptr, non_negative));
        task.advance();
      }
    }
    const auto candidate_for = [&](double weight_threshold, double activation_threshold) {
      Candidate candidate;
      std::vector<int> bits(items_.items.size(), 0);
      for (size_t l = 0; l < prepared_.layers.size(); ++l) {
        const PaperChoice choice = choose_paper(layers[l], weight_threshold, activation_threshold);
        LayerPlan plan;
        plan.weights = choice.weights;
        plan.weights_fixed = true;
        plan.quantize_activations = choice.activations.has_value();
        const int a = measurements_.activation_of_layer[l];
        if (choice.activations) plan.activations = *choice.activations;
        if (!plan.quantize_activations && a >= 0 && !options_.weights_only) {
          plan.quantize_activations = true;
          plan.activations = measurements_.activations[static_cast<size_t>(a)].uniform8.code;
        }
        candidate.plan.push_back(plan);
        if (items_.item_of_weight[l] >= 0)
          bits[static_cast<size_t>(items_.item_of_weight[l])] = choice.weights.stored_bits;
        if (a >= 0 && items_.item_of_activation[static_cast<size_t>(a)] >= 0 && choice.activations)
          bits[static_cast<size_t>(items_.item_of_activation[static_cast<size_t>(a)])] =
              choice.activations->stored_bits;
      }
      candidate.allocation = summarize(items_.items, bits, items_.fp32_values);
      return candidate;
    };
    const auto complete = [&](Candidate& candidate) {
      PassOptions pass;
      pass.threads = options_.threads;
      pass.progress = options_.progress;
      candidate.solutions = run_pass(core_, prepared_, *solve_.calls, candidate.plan, pass);
    };
    std::optional<Candidate> best;
    double least_loss = std::numeric_limits<double>::infinity();
    std::vector<int> last_bits;
    if (!options_.max_loss) {  // tightest thresholds within the bit target
      const double target =
          options_.target_weight_bits.value_or(options_.weight_bits ? static_cast<double>(*options_.weight_bits) : 5.0);
      for (const double threshold : paper_thresholds()) {
        Candidate candidate = candidate_for(threshold, threshold);
        if (best && tensor_mean(candidate.allocation) > target) break;
        best = std::move(candidate);
      }
      complete(*best);
      return std::move(*best);
    }
    const auto try_pair = [&](double weight_threshold, double activation_threshold) {
      Candidate candidate = candidate_for(weight_threshold, activation_threshold);
      complete(candidate);
      const std::shared_ptr<ov::Model> model = emitted(candidate);
      candidate.loss = is_external(metric_)
                           ? loss_of(metric_, command_reference(), command_score(model))
                           : loss_of(metric_, mean(reference_scores(search_)), mean(scores(model, search_, "judging")));
      note_step(candidate, fmt::format("Thr_w {:.3g}, Thr_act {:.3g}", weight_threshold, activation_threshold));
      least_loss = std::min(least_loss, candidate.loss);
      const bool fewer = !best || tensor_mean(candidate.allocation) < tensor_mean(best->allocation);
      const bool within = candidate.loss <= *options_.max_loss;
      if (within && fewer) best = std::move(candidate);
      return within;
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
                      *options_.max_loss, to_string(metric_), least_loss));
    // Then each threshold alone, looser.
    for (const double factor : {1.5, 2.25})
      if (out_of_time() || !try_pair(threshold_found * factor, threshold_found)) break;
    for (const double factor : {1.5, 2.25})
      if (out_of_time() || !try_pair(threshold_found, threshold_found * factor)) break;
    return std::move(*best);
  }

  // --- results ------------------------------------------------------------------------------------------------------

  struct Emitted {
    std::shared_ptr<ov::Model> standard, exact;  // null where not asked for
  };

  std::filesystem::path exact_folder() const { return options_.emit_standard ? directory_ / "exact" : directory_; }

  Emitted save_models(const std::vector<LayerCodes>& codes) const {
    Emitted models;
    if (options_.emit_standard) {
      models.standard = emit_main(codes);
      save_model_files(models.standard, directory_);
    }
    if (options_.emit_exact) {
      models.exact = emit_exact(prepared_, codes);
      std::filesystem::create_directories(exact_folder());
      save_model_files(models.exact, exact_folder());
    }
    return models;
  }

  // The metric of somebody else's INT8 model of the same network, on the same samples.
  double evaluate_int8() {
    if (is_external(metric_)) return options_.judge(options_.int8_model);
    std::shared_ptr<ov::Model> model;
    try {
      model = core_.read_model(options_.int8_model.string());
    } catch (const std::exception&) {
      throw Error(fmt::format("the INT8 model '{}' cannot be read; make it again or leave --int8 out",
                              options_.int8_model.string()));
    }
    if (model->outputs().size() != prepared_.model->outputs().size())
      throw Error(fmt::format("'{}' has other outputs than '{}'; --int8 takes an INT8 model of the same network",
                              options_.int8_model.string(), prepared_.file));
    return mean(scores(model, judge_, "judging INT8"));
  }

  // The best so far lies in the folder as a whole result, should the search be stopped.
  void keep(const Candidate& candidate) {
    const std::vector<LayerCodes> codes = codes_of(candidate);
    save_models(codes);
    QuantizeResult result;
    describe(candidate, codes, result);
    result.recipe.steps = steps_;
    save_recipe(result.recipe, directory_ / "recipe.dnateq.json");
  }

  QuantizeResult finish(const Candidate& best) {
    QuantizeResult result;
    const std::vector<LayerCodes> codes = codes_of(best);
    MetricResult metric;
    metric.name =
        metric_ == Metric::kFunction ? options_.metric.substr(options_.metric.find(':') + 1) : to_string(metric_);
    metric.quantized = metric.exact = kNotMeasured;
    metric.samples = is_external(metric_) ? 0 : judge_.calls->samples();
    metric.samples_from = samples_from_;
    std::vector<double> fp32_scores;
    if (is_external(metric_)) {
      metric.reference = command_reference();
    } else {
      fp32_scores = reference_scores(judge_);
      metric.reference = mean(fp32_scores);
    }
    const auto evaluate = [&](const std::shared_ptr<ov::Model>& model, const std::string& stage) {
      if (is_external(metric_)) return command_score(model);
      const std::vector<double> got = scores(model, judge_, stage);
      std::tie(metric.confidence_low, metric.confidence_high) = paired_interval(got, fp32_scores, options_.seed + 1);
      return mean(got);
    };
    const Emitted models = save_models(codes);
    if (options_.packed) result.emission = "cpu";
    if (models.standard) {
      metric.quantized = evaluate(models.standard, "judging the standard model");
      result.bytes_standard = static_cast<int64_t>(std::filesystem::file_size(directory_ / "model.bin"));
    }
    if (!options_.int8_model.empty()) result.int8_metric = evaluate_int8();
    if (models.exact) {  // last: the interval is the exact model's where there is one
      metric.exact = evaluate(models.exact, "judging the exact model");
      result.bytes_exact = static_cast<int64_t>(std::filesystem::file_size(exact_folder() / "model.bin"));
    }
    describe(best, codes, result);
    result.recipe.metric = metric;
    result.recipe.steps = steps_;
    result.seconds = seconds();
    for (const Allocation& point : measurements_.has_sensitivities ? allocation_front(items_.items, items_.fp32_values)
                                                                   : std::vector<Allocation>{})
      if (result.bits_loss_curve.empty() || tensor_mean(point) > result.bits_loss_curve.back().first)
        result.bits_loss_curve.emplace_back(tensor_mean(point), point.divergence);
    save_recipe(result.recipe, directory_ / "recipe.dnateq.json");
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "measurements", ignored))
      if (entry.is_directory()) std::filesystem::remove_all(entry.path(), ignored);
    return result;
  }

  void describe(const Candidate& best, const std::vector<LayerCodes>& codes, QuantizeResult& result) const {
    Recipe& recipe = result.recipe;
    recipe.model_file = options_.model_file.filename().string();
    recipe.data_fingerprint = calibration_.fingerprint();
    recipe.options = options_.options_text;
    recipe.strategy = options_.strategy;
    recipe.seed = options_.seed;
    describe_layers(prepared_, *original_.model, measurements_, best.plan, best.solutions, result);
    for (size_t l = 0; l < codes.size(); ++l)
      recipe.layers[l].weights.bytes =
          recipe.layers[l].shares_weights_with.empty() ? weight_bytes(prepared_.layers[l], codes[l]) : 0;
  }

  ov::Core& core_;
  const PreparedModel& original_;
  PreparedModel prepared_;  // what is quantized: the original with its activations centred, see center()
  const Samples& calibration_;
  const Samples* validation_;
  const std::vector<int64_t>& labels_;
  const QuantizeOptions& options_;
  const std::filesystem::path& directory_;
  std::chrono::steady_clock::time_point start_;
  TensorCode request_;
  Metric metric_ = Metric::kKl;
  size_t output_ = 0;
  bool low_bit_activations_ = true;  // else 8-bit uniform ones, or none
  Part solve_, search_, judge_;
  std::string samples_from_;
  std::unique_ptr<Calls> fewer_;  // see measured_calls()
  std::string key_;               // of the measurements
  Measurements measurements_;
  AllocationItems items_;
  std::vector<SearchStep> steps_;
  std::optional<double> command_reference_;
};

}  // namespace

QuantizeResult quantize(ov::Core& core, const PreparedModel& prepared, const Samples& calibration,
                        const Samples* validation, const std::vector<int64_t>& labels, const QuantizeOptions& options,
                        const std::filesystem::path& directory) {
  return Job(core, prepared, calibration, validation, labels, options, directory).run();
}

}  // namespace dnateq
