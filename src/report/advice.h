// "What hurts most and what to do": findings from a recipe, grouped by the remedy that the user can type.
#pragma once

#include <string>
#include <vector>

#include "dnateq/recipe.h"

namespace dnateq {

struct Advice {
  struct Case {
    std::string subject = {};  // layer, or empty where it concerns the whole network
    std::string finding = {};  // what was measured
  };
  struct Remedy {
    std::string text = {};     // what to do, and what it costs
    std::string command = {};  // options to type; may be empty
  };
  std::vector<Case> cases;
  std::vector<Remedy> remedies;  // alternatives, the cheapest first
};

// The most important first: tensors with the largest share of the predicted divergence, layers with the lowest output
// SQNR, a metric known too vaguely, then layers left in FP32. Each list is cut after a few.
std::vector<Advice> advise(const Recipe& recipe);

}  // namespace dnateq
