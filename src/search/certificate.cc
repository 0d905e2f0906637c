#include "search/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "dnateq/error.h"
#include "search/betting_bound.h"
#include "search/discrete_bound.h"
#include "search/normal.h"

namespace dnateq {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation_of(std::span<const double> values, double mean) {
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(std::max<size_t>(values.size(), 2) - 1));
}

// Fisher-Yates with the generator's own numbers: the standard library's shuffle differs between libraries.
void shuffle(std::vector<double>& values, std::mt19937_64& random) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

// Of a range: scores are computed, and a cosine may be 1 + 1e-16.
constexpr double kSlack = 1e-6;
constexpr double kCountless = 1e15;  // samples: beyond it a count is only said to be too many
// Bounds lie on a grid of 32 points to the octave, so a limit between two of them is met by the lower one alone.
constexpr double kClearOfTheGrid = 1 - 1.0 / 64;

void check(std::span<const double> losses, const LossRange& range) {
  for (const double loss : losses) {
    bool fits = std::isfinite(loss);
    if (range.kind == LossKind::kUnbounded) fits = !std::isnan(loss);
    if (range.kind == LossKind::kZeroOrOne) fits = loss == 0 || loss == 1;
    if (range.kind == LossKind::kSign) fits = loss == 0 || loss == 1 || loss == -1;
    const double slack = kSlack * (range.highest - range.lowest);
    if (range.kind == LossKind::kBounded) fits = loss >= range.lowest - slack && loss <= range.highest + slack;
    if (!fits && range.kind == LossKind::kUnbounded) throw Error("a sample's loss is not a number (NaN)");
    if (!fits) throw Error(fmt::format("a sample's loss is {}, outside [{}, {}]", loss, range.lowest, range.highest));
  }
}

std::pair<int64_t, int64_t> discordant(std::span<const double> losses) {
  return {std::count(losses.begin(), losses.end(), 1.0), std::count(losses.begin(), losses.end(), -1.0)};
}

double discrete_bound(LossKind kind, int64_t losses, int64_t gains, int64_t n, double level) {
  return kind == LossKind::kZeroOrOne ? binomial_upper_bound(losses, n, level)
                                      : trinomial_upper_bound(losses, gains, n, level);
}

std::vector<double> clamped(std::span<const double> values, const LossRange& range) {
  std::vector<double> result(values.begin(), values.end());
  for (double& value : result) value = std::clamp(value, range.lowest, range.highest);
  return result;
}

// Studentized: the resamples' means in units of their own standard errors, so that the skew of a few large losses
// counts.
double bootstrap_bound(std::span<const double> values, double level, uint64_t seed) {
  constexpr size_t kResamples = 2000;
  const size_t n = values.size();
  if (static_cast<int64_t>(n) < kFewestForBootstrap) return kInfinity;
  const double mean = mean_of(values);
  if (!std::isfinite(mean)) return kInfinity;
  const double error = deviation_of(values, mean) / std::sqrt(static_cast<double>(n));
  if (error == 0) return mean;
  std::mt19937_64 random(seed);
  std::vector<double> ratios;
  for (size_t i = 0; i < kResamples; ++i) {
    double sum = 0, squares = 0;
    for (size_t j = 0; j < n; ++j) {
      const double value = values[random() % n] - mean;
      sum += value;
      squares += value * value;
    }
    const auto count = static_cast<double>(n);
    const double difference = sum / count;
    const double own = std::sqrt(std::max(0.0, (squares - sum * difference) / (count - 1)) / count);
    ratios.push_back(own > 1e-12 * error ? difference / own : difference < 0 ? -kInfinity : 0);
  }
  std::sort(ratios.begin(), ratios.end());
  const auto at = static_cast<size_t>((1 - level) * static_cast<double>(kResamples));
  return mean - ratios[at] * error;
}

// Of bounded values: whether a mean of `limit` or more is refuted by n values like these.
bool would_certify(const std::vector<double>& values, int64_t n, const LossRange& range, double limit, double level,
                   uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> many, once = values;
  while (static_cast<int64_t>(many.size()) < n) {
    shuffle(once, random);
    const auto take = std::min(once.size(), static_cast<size_t>(n) - many.size());
    many.insert(many.end(), once.begin(), once.begin() + static_cast<std::ptrdiff_t>(take));
  }
  return refuted_by_betting(many, range.lowest, range.highest, limit, level);
}

int64_t by_normal(double deviation, double slack, double level) {
  const double ratio = normal_quantile(level) * deviation / slack;
  return static_cast<int64_t>(std::ceil(std::min(ratio * ratio, kCountless)));
}

// reference - candidate - r·|reference|, sample by sample, where `sign` is that of the reference's mean.
std::vector<double> excess(std::span<const double> reference, std::span<const double> candidate, double r,
                           double sign) {
  std::vector<double> result(reference.size());
  for (size_t i = 0; i < result.size(); ++i) result[i] = reference[i] - candidate[i] - r * sign * reference[i];
  return result;
}

LossRange range_of_excess(const ScoreRange& range, double r, double sign) {
  const double kept = 1 - r * sign, a = kept * range.lowest, b = kept * range.highest;
  return LossRange::bounded(std::min(a, b) - range.highest, std::max(a, b) - range.lowest);
}

void check_pairs(std::span<const double> reference, std::span<const double> candidate, const ScoreRange& range) {
  if (reference.size() != candidate.size())
    throw Error(
        fmt::format("the reference has {} sample scores and the candidate {}; the same samples in the same order "
                    "are compared",
                    reference.size(), candidate.size()));
  const double slack = kSlack * (range.highest - range.lowest);
  for (const auto& scores : {reference, candidate})
    for (const double score : scores) {
      if (!std::isfinite(score)) throw Error("a sample's score is not a finite number");
      if (range.known && !(score >= range.lowest - slack && score <= range.highest + slack))
        throw Error(
            fmt::format("a sample's score is {}, outside the range [{}, {}] that was given for the metric; correct the "
                        "range or leave it out",
                        score, range.lowest, range.highest));
    }
}

// What is known of the scores: scores that are all 0 or 1 say right or wrong.
ScoreRange range_of_scores(std::span<const double> reference, std::span<const double> candidate,
                           const ScoreRange& range) {
  const auto right_or_wrong = [](std::span<const double> scores) {
    return std::all_of(scores.begin(), scores.end(), [](double score) { return score == 0 || score == 1; });
  };
  if (range.known || !right_or_wrong(reference) || !right_or_wrong(candidate)) return range;
  return {true, 0, 1};
}

// The relative loss as a mean of one value a sample (the ratio's linearization).
std::vector<double> linearized(std::span<const double> reference, std::span<const double> candidate) {
  const double base = mean_of(reference), scale = std::fabs(base), sign = base < 0 ? -1 : 1;
  const double loss = (base - mean_of(candidate)) / scale;
  std::vector<double> values = excess(reference, candidate, loss, sign);
  for (double& value : values) value = loss + value / scale;
  return values;
}

}  // namespace

std::string method_of(const LossRange& range) {
  switch (range.kind) {
    case LossKind::kZeroOrOne:
      return "Clopper-Pearson";
    case LossKind::kSign:
      return "exact trinomial";
    case LossKind::kBounded:
      return "betting";
    case LossKind::kUnbounded:
      return "bootstrap";
  }
  return "?";
}

LossBound upper_bound(std::span<const double> losses, const LossRange& range, double level, uint64_t seed) {
  check(losses, range);
  LossBound bound{0, kInfinity, level, static_cast<int64_t>(losses.size()), method_of(range)};
  if (losses.empty()) return bound;
  bound.loss = mean_of(losses);
  if (range.kind == LossKind::kUnbounded) {
    bound.upper = bootstrap_bound(losses, level, seed);
  } else if (range.kind == LossKind::kBounded) {
    std::vector<double> order = clamped(losses, range);
    std::mt19937_64 random(seed);
    shuffle(order, random);
    bound.upper = range.highest <= 0 ? 0 : betting_upper_bound(order, range.lowest, range.highest, level);
  } else {
    const auto [lost, gained] = discordant(losses);
    bound.upper = discrete_bound(range.kind, lost, gained, bound.samples, level);
  }
  return bound;
}

LossBound relative_upper_bound(std::span<const double> reference, std::span<const double> candidate,
                               const ScoreRange& given, double level, uint64_t seed) {
  check_pairs(reference, candidate, given);
  const ScoreRange range = range_of_scores(reference, candidate, given);
  LossBound bound{0, kInfinity, level, static_cast<int64_t>(reference.size()), range.known ? "betting" : "bootstrap"};
  if (reference.empty()) return bound;
  const double base = mean_of(reference), sign = base < 0 ? -1 : 1;
  if (base == 0) return bound;
  bound.loss = (base - mean_of(candidate)) / std::fabs(base);
  if (!range.known) {
    bound.upper = bootstrap_bound(linearized(reference, candidate), level, seed);
    return bound;
  }
  const auto refuted = [&](double r, double at_level) {
    const LossRange of_excess = range_of_excess(range, r, sign);
    std::vector<double> order = clamped(excess(reference, candidate, r, sign), of_excess);
    std::mt19937_64 random(seed);
    shuffle(order, random);
    return refuted_by_betting(order, of_excess.lowest, of_excess.highest, 0, at_level);
  };
  const double most = upper_bound_on_grid(2, level, 15, refuted);
  if (most < 2) bound.upper = most;  // more than everything lost: it says nothing
  return bound;
}

std::optional<int64_t> samples_needed(std::span<const double> losses, const LossRange& range, double limit,
                                      double level, uint64_t seed) {
  check(losses, range);
  if (losses.empty()) return std::nullopt;
  const auto n = static_cast<int64_t>(losses.size());
  const double loss = mean_of(losses);
  if (!(loss < limit)) return std::nullopt;
  if (upper_bound(losses, range, level, seed).upper <= limit) return n;
  const int64_t normal = std::max(n, by_normal(deviation_of(losses, loss), limit - loss, level));
  if (range.kind == LossKind::kUnbounded) return std::max(normal, kFewestForBootstrap);
  if (range.kind == LossKind::kBounded) {
    const std::vector<double> values = clamped(losses, range);
    constexpr int64_t kMost = 1'000'000;
    const double rule_of_three = -std::log(1 - level) * (range.highest - limit) / (limit - loss);
    const int64_t start = std::max({normal, n, static_cast<int64_t>(std::min(rule_of_three, kCountless) / 2)});
    for (int64_t many = start; many <= kMost; many += many / 10 + 1)
      if (would_certify(values, many, range, limit * kClearOfTheGrid, level, seed)) return many;
    return std::max(start, static_cast<int64_t>(std::min(rule_of_three, kCountless)));
  }
  const auto [lost, gained] = discordant(losses);
  const double lost_share = static_cast<double>(lost) / static_cast<double>(n);
  const double gained_share = static_cast<double>(gained) / static_cast<double>(n);
  constexpr int64_t kMost = 1'000'000'000;
  const auto certifies = [&](int64_t many) {
    const auto of = [&](double share) { return static_cast<int64_t>(std::llround(share * static_cast<double>(many))); };
    return discrete_bound(range.kind, of(lost_share), of(gained_share), many, level) <= limit;
  };
  int64_t low = n, high = std::max(normal, n + 1);
  while (high < kMost && !certifies(high)) {
    low = high;
    high += high / 2;
  }
  if (high >= kMost) return high;
  while (high - low > std::max<int64_t>(1, low / 50)) {
    const int64_t middle = low + (high - low) / 2;
    (certifies(middle) ? high : low) = middle;
  }
  return high;
}

std::optional<int64_t> relative_samples_needed(std::span<const double> reference, std::span<const double> candidate,
                                               const ScoreRange& given, double limit, double level, uint64_t seed) {
  const ScoreRange range = range_of_scores(reference, candidate, given);
  const LossBound bound = relative_upper_bound(reference, candidate, range, level, seed);
  if (bound.samples == 0 || mean_of(reference) == 0 || !(bound.loss < limit)) return std::nullopt;
  if (bound.upper <= limit) return bound.samples;
  const std::vector<double> values = linearized(reference, candidate);
  if (!range.known) return samples_needed(values, LossRange::unbounded(), limit, level, seed);
  const double sign = mean_of(reference) < 0 ? -1 : 1;
  const LossRange of_excess = range_of_excess(range, limit, sign);
  const std::vector<double> excess_values = clamped(excess(reference, candidate, limit, sign), of_excess);
  const double slack = -mean_of(excess_values);
  constexpr int64_t kMost = 1'000'000;
  const double rule_of_three = -std::log(1 - level) * of_excess.highest / slack;
  const int64_t start = std::max({bound.samples, by_normal(deviation_of(excess_values, -slack), slack, level),
                                  static_cast<int64_t>(std::min(rule_of_three, kCountless) / 2)});
  for (int64_t many = start; many <= kMost; many += many / 10 + 1)
    if (would_certify(excess_values, many, of_excess, 0, level, seed)) return many;
  return std::max(start, static_cast<int64_t>(std::min(rule_of_three, kCountless)));
}

double least_upper_bound(const LossRange& range, int64_t samples, double level) {
  if (range.kind == LossKind::kUnbounded) return samples < kFewestForBootstrap ? kInfinity : 0;
  if (samples <= 0) return kInfinity;
  if (range.kind != LossKind::kBounded) return discrete_bound(range.kind, 0, 0, samples, level);
  return range.highest * -std::expm1(std::log(1 - level) / static_cast<double>(samples));
}

}  // namespace dnateq
