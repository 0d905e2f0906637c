#include "job/evaluate_language_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <openvino/openvino.hpp>
#include <random>
#include <vector>

#include "core/metric.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "graph/evaluate.h"
#include "graph/import.h"
#include "graph/runner.h"
#include "job/language_folder.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

constexpr int kResamples = 2000;
constexpr uint64_t kSeed = 1;

// Of one window, by token.
struct Window {
  std::vector<double> loss, reference_loss, kl, same_top;
};

// `logits` and `reference` are [1, context, vocabulary]; the last row predicts what the window does not hold.
Window judge(const int64_t* ids, const ov::Tensor& logits, const ov::Tensor* reference) {
  const size_t rows = logits.get_shape()[1] - 1, width = logits.get_shape()[2];
  Window window;
  for (size_t t = 0; t < rows; ++t) {
    const float* q = logits.data<float>() + t * width;
    const auto next = static_cast<size_t>(ids[t + 1]);
    if (next >= width)
      throw Error(
          fmt::format("the tokenizer gives token {}, and the network tells {} apart; put the tokenizer of this "
                      "network into its folder",
                      next, width));
    window.loss.push_back(log_sum_exp(q, width) - static_cast<double>(q[next]));
    if (reference == nullptr) continue;
    const float* p = reference->data<float>() + t * width;
    window.reference_loss.push_back(log_sum_exp(p, width) - static_cast<double>(p[next]));
    window.kl.push_back(kl_divergence(p, q, width));
    window.same_top.push_back(std::max_element(p, p + width) - p == std::max_element(q, q + width) - q ? 1.0 : 0.0);
  }
  return window;
}

using Member = std::vector<double> Window::*;

double mean_of(const std::vector<Window>& windows, Member member, const std::vector<size_t>& chosen) {
  double sum = 0;
  size_t count = 0;
  for (const size_t w : chosen) {
    for (const double value : windows[w].*member) sum += value;
    count += (windows[w].*member).size();
  }
  return sum / static_cast<double>(count);
}

template <typename Transform>
TokenMean mean_over_tokens(const std::vector<Window>& windows, Member member, Transform transform) {
  std::vector<size_t> all(windows.size());
  for (size_t w = 0; w < all.size(); ++w) all[w] = w;
  TokenMean mean{transform(mean_of(windows, member, all)), {}};
  std::mt19937_64 random(kSeed);
  std::vector<double> resampled;
  for (int r = 0; r < kResamples; ++r) {
    std::vector<size_t> chosen(windows.size());
    for (size_t& w : chosen) w = random() % windows.size();
    resampled.push_back(transform(mean_of(windows, member, chosen)));
  }
  std::sort(resampled.begin(), resampled.end());
  mean.interval = {resampled[kResamples / 40], resampled[kResamples - 1 - kResamples / 40]};
  return mean;
}

double quantile(std::vector<double> values, double share) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

nlohmann::ordered_json json_of(const TokenMean& mean) { return {{"value", mean.value}, {"interval", mean.interval}}; }

}  // namespace

nlohmann::ordered_json evaluation_document(const EvaluateLanguageResult& result) {
  nlohmann::ordered_json document = {{"windows", result.windows},
                                     {"context", result.context},
                                     {"tokens", result.tokens},
                                     {"perplexity", json_of(result.perplexity)}};
  if (const auto& reference = result.reference)
    document["reference"] = {{"perplexity", json_of(reference->perplexity)},
                             {"kl", json_of(reference->kl)},
                             {"kl_99", reference->kl_99},
                             {"kl_999", reference->kl_999},
                             {"same_top", json_of(reference->same_top)}};
  return document;
}

EvaluateLanguageResult run_evaluate_language_job(const EvaluateLanguageOptions& options, const Progress& progress) {
  if (options.data.text.empty())
    throw Error(
        fmt::format("'{}' is the folder of a language model; give it a text with {}", options.model, option("text")));
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const std::shared_ptr<ov::Model> model = read_stateless(core, model_file_of(options.model));
  const std::unique_ptr<Samples> text =
      open_text(options.data.text, model_file_of(options.model), options.data.context, options.data.windows);
  const Calls calls(*text, *model);
  const size_t output = find_output(*model, "", options.model);
  std::vector<Window> windows(calls.size());
  const auto ids_of = [&](size_t c) { return text->call(static_cast<int64_t>(c)).front().array; };
  const auto check = [&](const ov::Tensor& logits, const std::string& file) {
    const ov::Shape& shape = logits.get_shape();
    if (shape.size() != 3 || static_cast<int64_t>(shape[1]) != options.data.context)
      throw Error(fmt::format("'{}' does not give one row of logits a token; it is no causal language model", file));
  };
  if (options.reference.empty()) {
    Runner runner(core, model, options.threads);
    Task task(progress, "reading the text", calls.size());
    runner.run(
        calls.size(), [&](size_t c) { return calls.tensors(c); },
        [&](size_t c, const std::vector<ov::Tensor>& outputs) {
          check(outputs[output], options.model);
          windows[c] = judge(reinterpret_cast<const int64_t*>(ids_of(c).bytes.data()), outputs[output], nullptr);
        },
        &task);
  } else {
    const std::shared_ptr<ov::Model> reference = read_stateless(core, model_file_of(options.reference));
    visit_pairs(core, model, reference, calls, output, options.threads, progress, "reading the text",
                [&](size_t c, const ov::Tensor& got, const ov::Tensor& wanted) {
                  check(got, options.model);
                  if (got.get_shape() != wanted.get_shape())
                    throw Error(fmt::format("'{}' and '{}' have other vocabularies", options.model, options.reference));
                  const Array ids = ids_of(c);
                  windows[c] = judge(reinterpret_cast<const int64_t*>(ids.bytes.data()), got, &wanted);
                });
  }
  EvaluateLanguageResult result;
  result.windows = static_cast<int64_t>(windows.size());
  result.context = options.data.context;
  result.tokens = result.windows * (result.context - 1);
  const auto exponential = [](double x) { return std::exp(x); };
  const auto itself = [](double x) { return x; };
  result.perplexity = mean_over_tokens(windows, &Window::loss, exponential);
  if (options.reference.empty()) return result;
  LanguageComparison& compared = result.reference.emplace();
  compared.perplexity = mean_over_tokens(windows, &Window::reference_loss, exponential);
  compared.kl = mean_over_tokens(windows, &Window::kl, itself);
  compared.same_top = mean_over_tokens(windows, &Window::same_top, itself);
  std::vector<double> all;
  for (const Window& window : windows) all.insert(all.end(), window.kl.begin(), window.kl.end());
  compared.kl_99 = quantile(all, 0.99);
  compared.kl_999 = quantile(all, 0.999);
  return result;
}

}  // namespace dnateq
