#include "accelerator/code_fit.h"

#include <algorithm>
#include <cmath>

#include "accelerator/precision.h"

namespace dnateq::accelerator {

std::string misfit(const Layer& layer, Design design) {
  if (design == Design::kInt8) return {};
  const auto any = [&](auto holds) { return holds(layer.weights) || holds(layer.activations); };
  if (design == Design::kDecode)
    return any([](const Operand& o) { return o.levels == Levels::kReal; }) ? "their levels are real numbers" : "";
  if (any([](const Operand& o) { return o.levels == Levels::kInt8Grid; })) return "their levels lie on an 8-bit grid";
  if (!same_base(layer)) return "weights and activations have bases of their own";
  if (design != Design::kCounting && any([](const Operand& o) { return !o.beta_is_zero; })) return "beta is not 0";
  if (design == Design::kShift && !has_shift_base(layer)) return "their base is no 2^(1/q)";
  return {};
}

CodeFit code_fit(const Workload& workload, Design design) {
  CodeFit fit;
  for (const Layer& layer : workload.layers) {
    if (layer.int8_lanes) continue;
    ++fit.layers;
    const std::string reason = misfit(layer, design);
    if (reason.empty()) continue;
    ++fit.foreign;
    if (std::find(fit.reasons.begin(), fit.reasons.end(), reason) == fit.reasons.end()) fit.reasons.push_back(reason);
  }
  return fit;
}

const char* wanted_family(Design design) {
  switch (design) {
    case Design::kInt8:
      return "";
    case Design::kCounting:
      return "quantize --family shared-base, or --strategy paper";
    case Design::kCountingBeta0:
      return "quantize --family beta0 --emit counting, or --family pow2:Q";
    case Design::kShift:
      return "quantize --family pow2:Q";
    case Design::kDecode:
      return "quantize --family free";
  }
  return "";
}

}  // namespace dnateq::accelerator
