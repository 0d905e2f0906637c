#include "core/metric.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

size_t largest(const float* row, size_t width) { return static_cast<size_t>(std::max_element(row, row + width) - row); }

double cosine(const float* a, const float* b, size_t width) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < width; ++i) {
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  if (aa == 0 && bb == 0) return 1;
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

bool in_top(const float* row, size_t width, int64_t label, size_t k) {
  const float mine = row[label];
  if (std::isnan(mine)) return false;  // no comparison would put anything above it
  size_t above = 0;
  for (size_t i = 0; i < width; ++i)
    above += row[i] > mine || (row[i] == mine && i < static_cast<size_t>(label)) ? 1 : 0;
  return above < k;
}

}  // namespace

double log_sum_exp(const float* row, size_t width) {
  const double top = static_cast<double>(*std::max_element(row, row + width));
  double sum = 0;
  for (size_t i = 0; i < width; ++i) sum += std::exp(static_cast<double>(row[i]) - top);
  return top + std::log(sum);
}

double kl_divergence(const float* p, const float* q, size_t width) {
  const double norm_p = log_sum_exp(p, width), norm_q = log_sum_exp(q, width);
  double sum = 0;
  for (size_t i = 0; i < width; ++i) {
    const double log_p = static_cast<double>(p[i]) - norm_p, probability = std::exp(log_p);
    if (probability == 0) continue;  // a masked class
    sum += probability * (log_p - (static_cast<double>(q[i]) - norm_q));
  }
  return std::isnan(sum) ? std::numeric_limits<double>::infinity() : std::max(0.0, sum);
}

Metric metric_from_string(const std::string& text) {
  if (text == "top1") return Metric::kTop1;
  if (text == "top5") return Metric::kTop5;
  if (text == "agreement") return Metric::kAgreement;
  if (text == "cosine") return Metric::kCosine;
  if (text == "kl") return Metric::kKl;
  if (text.starts_with("command:")) return Metric::kCommand;
  if (text.starts_with("function:")) return Metric::kFunction;
  throw Error(fmt::format("unknown metric '{}'; use top1, top5, agreement, cosine, kl or command:CMD", text));
}

std::string to_string(Metric metric) {
  switch (metric) {
    case Metric::kTop1:
      return "top1";
    case Metric::kTop5:
      return "top5";
    case Metric::kAgreement:
      return "agreement";
    case Metric::kCosine:
      return "cosine";
    case Metric::kKl:
      return "kl";
    case Metric::kCommand:
      return "command";
    case Metric::kFunction:
      return "function";
  }
  return "?";
}

bool lower_is_better(Metric metric) { return metric == Metric::kKl; }

bool is_external(Metric metric) { return metric == Metric::kCommand || metric == Metric::kFunction; }

std::vector<double> score(Metric metric, const OutputValues& outputs, const OutputValues& reference,
                          const std::vector<int64_t>& labels) {
  const bool labelled = metric == Metric::kTop1 || metric == Metric::kTop5;
  const int64_t given = std::accumulate(outputs.samples.begin(), outputs.samples.end(), int64_t{0});
  if (labelled && static_cast<int64_t>(labels.size()) != given)
    throw Error(fmt::format("there are {} labels for {} samples; give one label a sample", labels.size(), given));
  std::vector<double> scores;
  size_t sample = 0;
  for (size_t c = 0; c < outputs.values.size(); ++c) {
    const size_t width = outputs.width[c];
    const auto samples = static_cast<size_t>(outputs.samples[c]);
    const size_t rows = width == 0 ? 0 : outputs.values[c].size() / width;
    if (rows == 0 || rows % samples != 0)
      throw Error(fmt::format("the output that the metric reads has no row for every sample; name another one with {}",
                              option("output")));
    const size_t rows_a_sample = rows / samples;
    if (labelled && rows_a_sample != 1)
      throw Error(
          fmt::format("top-k needs one row of class scores a sample; name that output with {} or use another {}",
                      option("output"), option("metric")));
    for (size_t s = 0; s < samples; ++s, ++sample) {
      double sum = 0;
      for (size_t r = s * rows_a_sample; r < (s + 1) * rows_a_sample; ++r) {
        const float* row = outputs.values[c].data() + r * width;
        if (labelled) {
          if (labels[sample] < 0 || static_cast<size_t>(labels[sample]) >= width)
            throw Error(
                fmt::format("label {} of sample {} is none of the network's {} classes; count classes from 0, or name "
                            "the output of class scores with {}",
                            labels[sample], sample, width, option("output")));
          sum += in_top(row, width, labels[sample], metric == Metric::kTop1 ? 1 : 5) ? 1 : 0;
          continue;
        }
        if (reference.values[c].size() != outputs.values[c].size())
          throw Error("the two models' outputs differ in shape; compare models of the same network");
        const float* wanted = reference.values[c].data() + r * width;
        if (metric == Metric::kAgreement)
          sum += largest(row, width) == largest(wanted, width) && !std::isnan(row[0]) ? 1 : 0;
        if (metric == Metric::kCosine) sum += cosine(row, wanted, width);
        if (metric == Metric::kKl) sum += kl_divergence(wanted, row, width);
      }
      scores.push_back(sum / static_cast<double>(rows_a_sample));
    }
  }
  return scores;
}

double mean(const std::vector<double>& scores) {
  return scores.empty() ? 0.0 : std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

std::pair<double, double> paired_interval(const std::vector<double>& a, const std::vector<double>& b, uint64_t seed) {
  constexpr int kResamples = 2000;
  const size_t n = std::min(a.size(), b.size());
  if (n == 0) return {0, 0};
  std::mt19937_64 random(seed);
  std::vector<double> means;
  for (int i = 0; i < kResamples; ++i) {
    double sum = 0;
    for (size_t j = 0; j < n; ++j) {
      const size_t at = random() % n;
      sum += a[at] - b[at];
    }
    means.push_back(sum / static_cast<double>(n));
  }
  std::sort(means.begin(), means.end());
  return {means[kResamples * 25 / 1000], means[kResamples * 975 / 1000]};
}

DropType drop_type_from_string(const std::string& text) {
  if (text == "absolute") return DropType::kAbsolute;
  if (text == "relative") return DropType::kRelative;
  throw Error(fmt::format("unknown drop type '{}'; use absolute or relative", text));
}

std::string to_string(DropType type) { return type == DropType::kRelative ? "relative" : "absolute"; }

DropType usual_drop_type(Metric metric) { return is_external(metric) ? DropType::kRelative : DropType::kAbsolute; }

double loss_of(Metric metric, DropType type, double reference, double quantized) {
  const double loss = lower_is_better(metric) ? quantized - reference : reference - quantized;
  if (type == DropType::kAbsolute) return loss;
  return reference != 0 ? loss / std::fabs(reference) : 0;
}

}  // namespace dnateq
