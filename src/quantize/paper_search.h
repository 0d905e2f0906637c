// The search of the paper on one network: thresholds on the relative mean absolute error (RMAE) of weights and
// activations, and a grid of them for the recipe (DNA-TEQ, section IV). What to try is paper_sweep's, and what a loss
// limit allows loss_search's; here are fits, plans as codes, and the judging of both.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dnateq/recipe.h"
#include "graph/calls.h"
#include "quantize/network.h"
#include "quantize/quantize.h"
#include "quantize/search_run.h"
#include "search/allocation.h"
#include "search/paper_sweep.h"

namespace dnateq {

// The pair of thresholds for the only network, and the grid around it.
SearchOutcome search_by_paper(SearchRun& run);

// The network's layers, fitted, and what plans of exponent bits come to on them.
class PaperPlans {
 public:
  // Fits all layers. The references must outlive the plans.
  PaperPlans(const Network& network, const Calls& calls, const QuantizeOptions& options);

  Allocation allocation_of(const PaperPlan& plan) const;
  Network::Codes codes_of(const PaperPlan& plan) const;

  // What a loss limit is searched along.
  std::vector<PaperFrontPoint> front() const;
  // Without a limit: the pair of thresholds in the options, else the tightest within the bit target; throws Error where
  // none is.
  PaperPair choose() const;

  // The grid around the pair that was taken, for the recipe. `known`: plans judged before; of the others at most
  // `options.threshold_plans` are asked of `loss_of`.
  ThresholdStudy study(const PaperThresholds& taken, const std::vector<std::pair<PaperPlan, double>>& known,
                       const std::function<double(const PaperPlan& plan, const PaperThresholds& first)>& loss_of,
                       const std::function<bool()>& out_of_time) const;

 private:
  const PaperChoice& choice_of(const PaperPlan& plan, size_t layer) const;
  PaperJudge judge_of_bits() const;

  const Network& network_;
  const Calls& calls_;
  const QuantizeOptions& options_;
  std::vector<PaperLayer> layers_;
};

}  // namespace dnateq
