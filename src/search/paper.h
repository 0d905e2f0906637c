// The paper's search for one layer (our reading of DNA-TEQ's summary): one base shared by a layer's weights and inputs,
// exponent bits n = 3 ... 7, the first n whose relative mean absolute errors are both within their thresholds.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "dnateq/code.h"
#include "search/fit.h"

namespace dnateq {

inline constexpr int kPaperFewestBits = 3, kPaperMostBits = 7;  // exponent bits; a sign bit comes on top

struct PaperChoice {
  TensorCode weights;
  std::optional<TensorCode> activations;
  double weight_rmae = 0, activation_rmae = 0;
};

// Of the layer's weights, and of its activations: a sign comes on top of them.
int exponent_bits(const PaperChoice& choice);

struct PaperLayer {
  std::array<PaperChoice, kPaperMostBits + 1> by_exponent_bits;
};

// `activations` is null for embeddings. The base is searched on the weights and reused for the activations.
PaperLayer fit_paper_layer(const FitData& weights, const FitData* activations, bool activations_non_negative);

// The fewest exponent bits within both thresholds; the most bits where none are.
const PaperChoice& choose_paper(const PaperLayer& layer, double weight_threshold, double activation_threshold);

// Thresholds of the sweep, loosest first.
std::vector<double> paper_thresholds();

}  // namespace dnateq
