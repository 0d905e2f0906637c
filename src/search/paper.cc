#include "search/paper.h"

namespace dnateq {

PaperLayer fit_paper_layer(const FitData& weights, const FitData* activations, bool activations_non_negative) {
  PaperLayer layer;
  for (int n = kPaperFewestBits; n <= kPaperMostBits; ++n) {
    PaperChoice& choice = layer.by_exponent_bits[static_cast<size_t>(n)];
    TensorCode request;
    request.family = Family::kSharedBase;
    request.arithmetic = Arithmetic::kExponential;
    request.rounding = Rounding::kLogarithmic;
    request.stored_bits = n + 1;  // classic: a sign and n exponent bits
    request.negative_levels = request.positive_levels = (1 << n) - 1;
    choice.weights = fit_paper(weights, request).code;
    choice.weight_rmae = weights.magnitude() > 0 ? weights.absolute_error(choice.weights) / weights.magnitude() : 0;
    if (activations == nullptr) continue;
    if (activations_non_negative) {
      request.stored_bits = n;
      request.negative_levels = 0;
    }
    choice.activations = paper_with_base(*activations, request, choice.weights.base).code;
    choice.activation_rmae =
        activations->magnitude() > 0 ? activations->absolute_error(*choice.activations) / activations->magnitude() : 0;
  }
  return layer;
}

const PaperChoice& choose_paper(const PaperLayer& layer, double weight_threshold, double activation_threshold) {
  for (int n = kPaperFewestBits; n <= kPaperMostBits; ++n) {
    const PaperChoice& choice = layer.by_exponent_bits[static_cast<size_t>(n)];
    const bool activations_fit = !choice.activations || choice.activation_rmae <= activation_threshold;
    if (choice.weight_rmae <= weight_threshold && activations_fit) return choice;
  }
  return layer.by_exponent_bits[kPaperMostBits];
}

int exponent_bits(const PaperChoice& choice) { return choice.weights.stored_bits - 1; }

std::vector<double> paper_thresholds() {
  // RMAE of 4-bit codes is about .1 to .2, and halves a bit: from looser than 3 exponent bits ever are to tighter
  // than 7.
  constexpr double kLoosest = 0.30, kTightest = 0.005, kStep = 0.8;
  std::vector<double> thresholds;
  for (double threshold = kLoosest; threshold > kTightest; threshold *= kStep) thresholds.push_back(threshold);
  return thresholds;
}

}  // namespace dnateq
