#include "search/paper_sweep.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace dnateq {
namespace {

double error_of(std::span<const PaperLayer> layers, const PaperPlan& plan) {
  double sum = 0, tensors = 0;
  for (size_t l = 0; l < plan.size(); ++l) {
    const PaperChoice& choice = layers[l].by_exponent_bits[static_cast<size_t>(plan[l])];
    sum += choice.weight_rmae * choice.weight_rmae;
    tensors += 1;
    if (!choice.activations) continue;
    sum += choice.activation_rmae * choice.activation_rmae;
    tensors += 1;
  }
  return tensors > 0 ? sum / tensors : 0;
}

}  // namespace

PaperPlan paper_plan(std::span<const PaperLayer> layers, const PaperThresholds& thresholds) {
  PaperPlan plan;
  plan.reserve(layers.size());
  for (const PaperLayer& layer : layers)
    plan.push_back(exponent_bits(choose_paper(layer, thresholds.weights, thresholds.activations)));
  return plan;
}

double PaperLosses::of(const PaperPlan& plan, const PaperThresholds& thresholds) {
  if (const auto found = known_.find(plan); found != known_.end()) return found->second;
  const double loss = judge_.loss(plan, thresholds);
  known_.emplace(plan, loss);
  return loss;
}

std::optional<double> PaperLosses::known(const PaperPlan& plan) const {
  const auto found = known_.find(plan);
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

PaperPair tightest_within_bits(std::span<const PaperLayer> layers, double target, const PaperJudge& judge) {
  std::optional<PaperPair> best;
  for (const double threshold : paper_thresholds()) {
    PaperPair pair{{threshold, threshold}, paper_plan(layers, {threshold, threshold})};
    if (best && judge.bits(pair.plan) > target) break;
    best = std::move(pair);
  }
  return *best;
}

std::vector<PaperFrontPoint> paper_front(std::span<const PaperLayer> layers, const PaperJudge& judge) {
  const PaperGrid all = paper_grid(layers, paper_thresholds(), paper_thresholds());
  std::vector<PaperFrontPoint> points;
  std::vector<bool> seen(all.plans.size(), false);
  for (size_t cell = 0; cell < all.cells.size(); ++cell) {  // looser pairs of a plan come first
    if (seen[all.cells[cell]]) continue;
    seen[all.cells[cell]] = true;
    const PaperPlan& plan = all.plans[all.cells[cell]];
    points.push_back({{all.thresholds(cell), plan}, judge.bits(plan), error_of(layers, plan)});
  }
  std::stable_sort(points.begin(), points.end(), [](const PaperFrontPoint& a, const PaperFrontPoint& b) {
    return a.bits != b.bits ? a.bits < b.bits : a.error < b.error;
  });
  std::vector<PaperFrontPoint> front;
  for (PaperFrontPoint& point : points)
    if (front.empty() || point.error < front.back().error) front.push_back(std::move(point));
  return front;
}

std::vector<double> paper_grid_thresholds(std::optional<double> chosen) {
  constexpr size_t kEvery = 2, kMost = 8;
  const std::vector<double> walk = paper_thresholds();
  std::vector<double> thresholds;
  for (size_t i = 0; i < walk.size() && thresholds.size() < kMost; i += kEvery) thresholds.push_back(walk[i]);
  if (chosen && std::find(thresholds.begin(), thresholds.end(), *chosen) == thresholds.end())
    thresholds.insert(std::find_if(thresholds.begin(), thresholds.end(), [&](double t) { return t < *chosen; }),
                      *chosen);
  return thresholds;
}

PaperGrid paper_grid(std::span<const PaperLayer> layers, std::vector<double> weight_thresholds,
                     std::vector<double> activation_thresholds) {
  PaperGrid grid{std::move(weight_thresholds), std::move(activation_thresholds), {}, {}};
  std::map<PaperPlan, size_t> index_of;
  for (size_t cell = 0; cell < grid.weight_thresholds.size() * grid.columns(); ++cell) {
    PaperPlan plan = paper_plan(layers, grid.thresholds(cell));
    const auto [found, is_new] = index_of.try_emplace(plan, grid.plans.size());
    if (is_new) grid.plans.push_back(std::move(plan));
    grid.cells.push_back(found->second);
  }
  return grid;
}

void judge_grid(const PaperGrid& grid, size_t most, const PaperJudge& judge, PaperLosses& losses) {
  const auto distance = [&](size_t a, size_t b) {
    const auto apart = [](size_t one, size_t other) { return one > other ? one - other : other - one; };
    const size_t rows = apart(a / grid.columns(), b / grid.columns()),
                 columns = apart(a % grid.columns(), b % grid.columns());
    return rows * rows + columns * columns;
  };
  for (size_t judged = 0; judged < most && !judge.out_of_time(); ++judged) {
    std::vector<size_t> known, open;
    for (size_t cell = 0; cell < grid.cells.size(); ++cell)
      (losses.known(grid.plans[grid.cells[cell]]) ? known : open).push_back(cell);
    if (open.empty()) return;
    const auto nearest_known = [&](size_t cell) {
      size_t least = std::numeric_limits<size_t>::max();
      for (const size_t other : known) least = std::min(least, distance(cell, other));
      return least;
    };
    size_t next = open.front();
    for (const size_t cell : open)
      if (nearest_known(cell) > nearest_known(next)) next = cell;
    losses.of(grid.plans[grid.cells[next]], grid.thresholds(next));
  }
}

}  // namespace dnateq
