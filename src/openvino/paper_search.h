// The search of the paper on one network: thresholds on the relative mean absolute error (RMAE) of weights and
// activations, and a grid of them for the recipe (DNA-TEQ, section IV). What to try is paper_sweep's; here are fits,
// plans as codes, and judging.
#pragma once

#include <functional>
#include <string>

#include "dnateq/recipe.h"
#include "openvino/calls.h"
#include "openvino/network.h"
#include "openvino/quantize.h"
#include "search/allocation.h"

namespace dnateq {

struct PaperOutcome {
  Network::Codes codes;
  Allocation allocation;
};
// Of the network with these codes; `note` tells the thresholds.
using PaperLoss = std::function<double(const PaperOutcome& candidate, const std::string& note)>;

// With thresholds in `options`, their codes; with a limit of the loss, those of the loosest pair within it; else of the
// tightest pair within the bit target. Fills `study` but for its samples; its grid is judged by `loss_of` as
// `options.threshold_plans` says. Throws Error if the limit cannot be met.
PaperOutcome search_paper(const Network& network, const Calls& calls, const QuantizeOptions& options,
                          const PaperLoss& loss_of, const std::function<bool()>& out_of_time, ThresholdStudy& study);

}  // namespace dnateq
