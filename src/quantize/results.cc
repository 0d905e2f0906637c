#include "quantize/results.h"

#include <fmt/format.h>

#include <filesystem>

namespace dnateq {
namespace {

struct FinalJudgement {
  MetricResult metric;
  std::vector<EmissionResult> emissions;
};

// By the metric, on samples that no search saw, or on the metric's own.
FinalJudgement judge_finally(SearchRun& run, const SearchOutcome& outcome) {
  FinalJudgement found;
  MetricResult& metric = found.metric;
  metric.name = run.judge.metric_name();
  metric.drop_type = to_string(run.judge.drop_type());
  metric.samples_from = run.samples.samples_from();
  metric.held_out = run.samples.held_out();
  metric.quantized = metric.exact = kNotJudged;
  metric.reference = run.judge.reference_score(run.samples.judge());
  metric.samples = run.samples.judge().size();
  // Exact comes first, and the interval is its own where there is one.
  for (const Emission emission : run.emissions()) {
    const EmissionResult result = judge_emission(run, outcome.best, emission, outcome.certifies);
    if (found.emissions.empty() && result.samples > 0) {
      const bool low_is_good = lower_is_better(run.judge.metric());
      metric.confidence_low = low_is_good ? result.low : -result.high;
      metric.confidence_high = low_is_good ? result.high : -result.low;
    }
    (emission == Emission::kExact ? metric.exact : metric.quantized) = result.score;
    found.emissions.push_back(result);
  }
  if (run.options.max_loss) conclude(metric, found.emissions, *run.options.max_loss, run.samples.search().size());
  return found;
}

std::vector<std::pair<double, double>> bits_loss_curve(const Network& network) {
  std::vector<std::pair<double, double>> curve;
  if (!network.measurements().has_sensitivities) return curve;
  for (const Allocation& point : allocation_front(network.items().items, network.items().fp32_values))
    if (curve.empty() || tensor_mean(point) > curve.back().first)
      curve.emplace_back(tensor_mean(point), point.divergence);
  return curve;
}

void remove_checkpoints(const Network& network) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(network.directory() / "measurements", ignored))
    if (entry.is_directory()) std::filesystem::remove_all(entry.path(), ignored);
}

}  // namespace

void keep_result(const SearchRun& run, const Candidate& candidate) {
  for (size_t n = 0; n < run.networks.size(); ++n) {
    const Network& network = *run.networks[n];
    network.save_models(candidate.networks[n]);
    QuantizeResult result;
    network.describe(candidate.networks[n], result);
    result.recipe.steps = run.steps;
    result.recipe.split = run.samples.recipe(n);
    save_recipe(result.recipe, network.directory() / "recipe.dnateq.json");
  }
}

EmissionResult judge_emission(SearchRun& run, const Candidate& candidate, Emission emission, bool certifies) {
  const std::string stage = fmt::format("judging the {} model", run.only().name_of(emission));
  SampleSet& samples = run.samples.judge();
  const EmissionLoss found = run.judge.loss(candidate.networks, emission, samples, stage);
  return run.judge.result_of(emission, found, samples, run.samples.held_out(), certifies);
}

std::vector<QuantizeResult> write_results(SearchRun& run, const SearchOutcome& outcome) {
  const Candidate& best = outcome.best;
  for (size_t n = 0; n < run.networks.size(); ++n) run.networks[n]->save_models(best.networks[n]);
  const FinalJudgement judged = judge_finally(run, outcome);
  std::optional<double> int8_metric;
  if (!run.options.int8_models.empty()) int8_metric = run.judge.int8_score(run.samples.judge());
  std::vector<QuantizeResult> results;
  for (size_t n = 0; n < run.networks.size(); ++n) {
    const Network& network = *run.networks[n];
    QuantizeResult result;
    if (run.options.packed) result.emission = "cpu";
    result.int8_metric = int8_metric;
    result.bytes_standard = network.weight_file_bytes(Emission::kMain);
    result.bytes_exact = network.weight_file_bytes(Emission::kExact);
    network.describe(best.networks[n], result);
    Recipe& recipe = result.recipe;
    recipe.metric = judged.metric;
    recipe.emissions = judged.emissions;
    for (size_t e = 0; e < recipe.emissions.size(); ++e)
      network.describe_files(run.emissions()[e], recipe.emissions[e]);
    network.describe_passed(best.networks[n], run.samples.solve(n), recipe);
    recipe.split = run.samples.recipe(n);
    recipe.steps = run.steps;
    recipe.thresholds = outcome.thresholds;
    result.seconds = run.seconds();
    result.bits_loss_curve = bits_loss_curve(network);
    save_recipe(recipe, network.directory() / "recipe.dnateq.json");
    remove_checkpoints(network);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace dnateq
