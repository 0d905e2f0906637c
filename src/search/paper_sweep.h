// The paper's search over thresholds, without a network: which plans pairs of thresholds come to, and in which order
// plans are judged. The network, its samples and its metric are the caller's, behind two functions.
//
// A plan is a number of exponent bits for each layer. It changes only where a threshold crosses the relative mean
// absolute error (RMAE) of a layer at some width, so many pairs come to one plan: which, costs nothing to tell, and
// each plan is judged once. Source: DNA-TEQ, section IV (our reading of its summary); the front and the grid are ours.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "search/paper.h"

namespace dnateq {

struct PaperThresholds {
  double weights = 0, activations = 0;  // largest RMAE that is allowed
};

using PaperPlan = std::vector<int>;  // exponent bits by layer, kPaperFewestBits ... kPaperMostBits

// Of choose_paper() for every layer.
PaperPlan paper_plan(std::span<const PaperLayer> layers, const PaperThresholds& thresholds);

// What the caller tells of plans.
struct PaperJudge {
  std::function<double(const PaperPlan& plan)> bits;                                // a mean that the search lowers
  std::function<double(const PaperPlan& plan, const PaperThresholds& first)> loss;  // `first`: that it is tried for
  std::function<bool()> out_of_time = [] { return false; };                         // asked between plans
};

// Losses of plans, each asked of the judge once.
class PaperLosses {
 public:
  explicit PaperLosses(const PaperJudge& judge) : judge_(judge) {}
  double of(const PaperPlan& plan, const PaperThresholds& thresholds);
  void know(const PaperPlan& plan, double loss) { known_.emplace(plan, loss); }  // judged elsewhere
  std::optional<double> known(const PaperPlan& plan) const;
  size_t size() const { return known_.size(); }

 private:
  const PaperJudge& judge_;
  std::map<PaperPlan, double> known_;
};

struct PaperPair {
  PaperThresholds thresholds;
  PaperPlan plan;
};

// The tightest common threshold of the walk whose plan has at most `target` bits; the loosest where none has.
PaperPair tightest_within_bits(std::span<const PaperLayer> layers, double target, const PaperJudge& judge);

// The plans of all pairs of paper_thresholds(), without those that another plan of no more bits beats in error: what a
// search for the fewest bits within a loss goes along.
struct PaperFrontPoint {
  PaperPair pair;    // the loosest of those that come to this plan
  double bits = 0;   // as `judge.bits` has it; rises along the front
  double error = 0;  // mean over tensors of RMAE squared, which the loss follows; falls along the front
};
std::vector<PaperFrontPoint> paper_front(std::span<const PaperLayer> layers, const PaperJudge& judge);

// Every pair of two lists of thresholds.
struct PaperGrid {
  std::vector<double> weight_thresholds, activation_thresholds;  // loosest first
  std::vector<PaperPlan> plans;                                  // distinct ones, as row after row first has them
  std::vector<size_t> cells;  // index in `plans`; weight threshold w and activation threshold a: w * columns + a

  size_t columns() const { return activation_thresholds.size(); }
  PaperThresholds thresholds(size_t cell) const {
    return {weight_thresholds[cell / columns()], activation_thresholds[cell % columns()]};
  }
};

// Eight thresholds from 0.30 down to 0.013, by 0.64 a step: every second one of paper_thresholds(), down to where the
// widest codes end.
// With `chosen` among them, the pair that was taken is a cell of its own.
std::vector<double> paper_grid_thresholds(std::optional<double> chosen = std::nullopt);
PaperGrid paper_grid(std::span<const PaperLayer> layers, std::vector<double> weight_thresholds,
                     std::vector<double> activation_thresholds);

// Judges at most `most` plans of the grid that are not known yet, and none once the time is over. The next one is
// always that of the cell farthest from all known ones (in cells; the first of equal ones), so that few plans already
// cover the grid evenly.
void judge_grid(const PaperGrid& grid, size_t most, const PaperJudge& judge, PaperLosses& losses);

}  // namespace dnateq
