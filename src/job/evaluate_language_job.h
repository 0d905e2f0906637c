// `eval` of a language model on a text: perplexity, and how far its next token's distribution is from a reference's.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "core/progress.h"
#include "job/arguments.h"

namespace dnateq {

struct EvaluateLanguageOptions {
  std::string model, reference;  // folders; no reference: perplexity alone
  DataArguments data;            // text, context, windows
  int threads = 1;
};

// A mean over tokens, and its 95 % interval by bootstrap over windows, whose tokens depend on each other.
struct TokenMean {
  double value = 0;
  std::pair<double, double> interval;
};

struct LanguageComparison {
  TokenMean perplexity;          // the reference's
  TokenMean kl;                  // KL(reference || model) in nats, mean over tokens
  double kl_99 = 0, kl_999 = 0;  // its quantiles over tokens
  TokenMean same_top;            // share of tokens where both find the same token likeliest
};

struct EvaluateLanguageResult {
  int64_t windows = 0, context = 0, tokens = 0;  // tokens: those predicted, all but the first of each window
  TokenMean perplexity;                          // exp of the mean negative log likelihood
  std::optional<LanguageComparison> reference;
};

// Throws Error.
EvaluateLanguageResult run_evaluate_language_job(const EvaluateLanguageOptions& options, const Progress& progress);

// {"windows", "context", "tokens", "perplexity": {"value", "interval"}, "reference": {"perplexity", "kl", "kl_99",
// "kl_999", "same_top"}}; no reference: without that member.
nlohmann::ordered_json evaluation_document(const EvaluateLanguageResult& result);

}  // namespace dnateq
