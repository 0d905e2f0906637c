// The search of the paper: thresholds on the relative mean absolute error (RMAE) of weights and activations, the
// loosest pair within the loss limit (DNA-TEQ, section IV).
#pragma once

#include <functional>
#include <string>

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

// Without a limit in `options`, the tightest thresholds within the bit target. Throws Error if the limit cannot be met.
PaperOutcome search_paper(const Network& network, const Calls& calls, const QuantizeOptions& options,
                          const PaperLoss& loss_of, const std::function<bool()>& out_of_time);

}  // namespace dnateq
