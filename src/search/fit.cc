#include "search/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/uniform_grid.h"

namespace dnateq {
namespace {

constexpr double kFlatBase = 1.0 + 1e-6;     // stands for base -> 1: the uniform grid
constexpr double kSmallestLevel = 1e-4;      // L(0) relative to the largest level, at least
constexpr double kLeastDeterminant = 1e-12;  // relative; below it, all values lie at one level

// Alternating least squares ends in the next minimum. It starts from levels up to these shares of the largest value,
// each about two thirds of the one before, and where beta is free from these first levels in units of the uniform
// grid's.
constexpr double kClips[] = {1.0, 0.7, 0.45, 0.25};
constexpr double kSmallestLevels[] = {0.1, 0.35, 0.9};
constexpr int kMostAlternations = 40;  // it mostly ends before, by gaining less than this share of the error
constexpr double kLeastGain = 1e-6;

// Total bends of a curve, log(base) * (levels - 1), that a search of the base starts from: from the uniform grid to a
// largest step 180 times the smallest, denser where most tensors end. Between them it goes on by halves.
constexpr double kBends[] = {0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 3.6, 4.3, 5.2};
constexpr double kFirstBendStep = 0.3, kLastBendStep = 0.03;

// Measured on normally distributed values: one level more is worth 1.0 dB at 2 bits, .5 at 3, .17 at 4 and nothing
// at 5.
constexpr int kMostMirroredBits = 4;

// The paper's walk over bases: 1.01, 1.02, ... as long as the error falls; 10 is far beyond where that ends.
constexpr double kPaperStepsPerUnit = 100;
constexpr int kPaperSteps = 900;

struct Line {
  double alpha = 0, beta = 0;
};

// base^i - 1: what levels of one base have in common.
std::vector<double> curve_of(double base, int count) {
  std::vector<double> curve(static_cast<size_t>(count));
  const double log_base = std::log(base);
  for (int i = 0; i < count; ++i) curve[static_cast<size_t>(i)] = std::expm1(i * log_base);
  return curve;
}

void set_levels(std::span<const double> curve, Line line, std::span<double> levels) {
  for (size_t i = 0; i < curve.size(); ++i) levels[i] = line.alpha * curve[i] + (line.alpha + line.beta);
}

std::vector<double> levels_of(double base, Line line, int count) {
  std::vector<double> levels(static_cast<size_t>(count));
  set_levels(curve_of(base, count), line, levels);
  return levels;
}

int level_count(const TensorCode& code) { return std::max(code.negative_levels, code.positive_levels); }

// Line through the given smallest and largest level.
Line spanning(std::span<const double> curve, double smallest, double largest) {
  if (curve.size() == 1) return {largest, 0.0};
  const double alpha = (largest - smallest) / curve.back();
  return {alpha, smallest - alpha};
}

struct Candidate {
  double error = std::numeric_limits<double>::infinity();
  double base = kFlatBase;
  Line line;
};

bool ascending(std::span<const double> levels) {
  double previous = 0;
  for (const double level : levels) {
    if (!(level > previous)) return false;
    previous = level;
  }
  return true;
}

// Weighted least squares of (alpha, beta) for a fixed assignment of values to levels.
Line least_squares(std::span<const double> curve, std::span<const double> weight, std::span<const double> sum,
                   bool beta_is_zero) {
  double w = 0, p = 0, pp = 0, s = 0, ps = 0;
  for (size_t i = 0; i < weight.size(); ++i) {
    const double shape = curve[i] + (beta_is_zero ? 1.0 : 0.0);
    w += weight[i];
    p += weight[i] * shape;
    pp += weight[i] * shape * shape;
    s += sum[i];
    ps += sum[i] * shape;
  }
  if (beta_is_zero) return {pp > 0 ? ps / pp : 0.0, 0.0};
  const double determinant = w * pp - p * p;
  if (!(determinant > kLeastDeterminant * w * pp)) return {};
  const double alpha = (w * ps - p * s) / determinant;  // for levels alpha * (b^i - 1) + offset
  const double offset = (s * pp - p * ps) / determinant;
  return {alpha, offset - alpha};
}

// Alternating least squares of one base from many starts.
class Alternation {
 public:
  Alternation(const FitData& data, const TensorCode& request, double base, bool beta_is_zero)
      : data_(data),
        request_(request),
        base_(base),
        beta_is_zero_(beta_is_zero),
        curve_(curve_of(base, level_count(request))),
        levels_(curve_.size()),
        weight_(curve_.size()),
        sum_(curve_.size()) {}

  std::span<const double> curve() const { return curve_; }

  Candidate from(Line line) {
    Candidate best;
    best.base = base_;
    for (int step = 0; step < kMostAlternations; ++step) {
      set_levels(curve_, line, levels_);
      if (!ascending(levels_)) break;
      const double error = data_.assign(levels_, request_, weight_, sum_);
      if (!(error < best.error * (1 - kLeastGain))) {
        if (error < best.error) best = {error, base_, line};
        break;
      }
      best = {error, base_, line};
      Line next = least_squares(curve_, weight_, sum_, beta_is_zero_);
      if (!beta_is_zero_ && next.alpha > 0) {
        const double largest = next.alpha * curve_.back() + next.alpha + next.beta;
        const double floor = kSmallestLevel * largest;
        if (next.alpha + next.beta < floor) next = spanning(curve_, floor, largest);
      }
      if (!(next.alpha > 0)) break;
      line = next;
    }
    return best;
  }

 private:
  const FitData& data_;
  const TensorCode& request_;
  double base_;
  bool beta_is_zero_;
  std::vector<double> curve_, levels_, weight_, sum_;
};

// Snaps the curve to the int8 grid: the grid's scale is searched, then refitted by least squares with the integers
// held.
FitResult snap(const FitData& data, const TensorCode& request, const Candidate& curve, int largest_level) {
  FitResult result;
  result.code = request;
  result.code.base = curve.base;
  result.code.alpha = curve.line.alpha;
  result.code.beta = curve.line.beta;
  if (request.arithmetic == Arithmetic::kExponential) {
    result.code.grid = 0;
    result.relative_error = data.squared_error(result.code) / data.power();
    return result;
  }
  const int count = level_count(request);
  const std::vector<double> levels = levels_of(curve.base, curve.line, count);
  const int limit = request.negative_levels == 0 ? 255 : largest_level;
  const int first = std::max((limit + 1) / 2, std::min(count, limit));
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> weight(levels.size()), sum(levels.size()), scaled(levels.size());
  for (int top = first; top <= limit; ++top) {
    TensorCode trial = result.code;
    trial.grid = top / levels.back();
    const std::vector<int> q = grid_magnitudes(trial);
    for (size_t i = 0; i < q.size(); ++i) scaled[i] = q[i] / trial.grid;
    data.assign(scaled, request, weight, sum);
    double qq = 0, qs = 0;
    for (size_t i = 0; i < q.size(); ++i) {
      qq += weight[i] * q[i] * q[i];
      qs += sum[i] * q[i];
    }
    if (qq > 0 && qs > 0) {
      const double step = qs / qq;  // one grid unit
      const double ratio = step * trial.grid;
      TensorCode refitted = trial;  // curve and grid scaled together: the same integers
      refitted.grid = trial.grid / ratio;
      refitted.alpha *= ratio;
      refitted.beta *= ratio;
      if (grid_magnitudes(refitted) == q) trial = refitted;
    }
    for (size_t i = 0; i < q.size(); ++i) scaled[i] = q[i] / trial.grid;
    const double error = data.squared_error(scaled, request);
    if (error < best) {
      best = error;
      result.code = trial;
    }
  }
  result.relative_error = best / data.power();
  return result;
}

// Values to fit exist and power is positive; else any valid code will do.
FitResult trivial(const TensorCode& request, int largest_level = 127, double base = 1.05) {
  FitResult result;
  result.code = request;
  const int count = level_count(request);
  result.code.base = request.family == Family::kPow2 ? std::exp2(1.0 / request.pow2_q) : base;
  const double top = std::pow(result.code.base, count - 1);
  result.code.alpha = 1.0 / top;
  result.code.beta = 0;
  result.code.grid = request.arithmetic == Arithmetic::kInt8Grid ? largest_level : 0.0;
  return result;
}

double largest_value(const FitData& data, const TensorCode& request) {
  return std::max(request.positive_levels > 0 ? data.largest(false) : 0.0,
                  request.negative_levels > 0 ? data.largest(true) : 0.0);
}

Candidate best_uniform(const FitData& data, const TensorCode& request) {
  const int count = level_count(request);
  const std::vector<double> curve = curve_of(kFlatBase, count);
  const auto ending_at = [&](double top) {
    Candidate candidate{0, kFlatBase, spanning(curve, top / count, top)};
    candidate.error = data.squared_error(levels_of(kFlatBase, candidate.line, count), request);
    return candidate;
  };
  return ending_at(best_end(largest_value(data, request), [&](double top) { return ending_at(top).error; }));
}

Candidate best_for_base(const FitData& data, const TensorCode& request, double base) {
  const bool beta_is_zero = request.family == Family::kBeta0 || request.family == Family::kPow2;
  const int count = level_count(request);
  const double largest = largest_value(data, request);
  Alternation alternation(data, request, base, beta_is_zero);
  Candidate best;
  for (const double clip : kClips) {
    const double top = largest * clip;
    const auto try_line = [&](Line line) {
      const Candidate candidate = alternation.from(line);
      if (candidate.error < best.error) best = candidate;
    };
    if (beta_is_zero) {
      try_line({top * std::exp(-(count - 1) * std::log(base)), 0.0});
    } else {
      const double uniform_step = top / count;
      for (const double smallest : kSmallestLevels)
        try_line(spanning(alternation.curve(), smallest * uniform_step, top));
    }
  }
  return best;
}

}  // namespace

double sqnr_db(double relative_error) { return -10.0 * std::log10(std::max(relative_error, 1e-12)); }

FitResult fit_uniform(const FitData& data, const TensorCode& given, int largest_level) {
  const TensorCode request = has_zero(given) ? given : with_level_counts(given, given.stored_bits);
  if (!(largest_value(data, request) > 0)) return trivial(request, largest_level);
  return snap(data, request, best_uniform(data, request), largest_level);
}

FitResult fit_with_base(const FitData& data, const TensorCode& request, double base, int largest_level) {
  if (!(largest_value(data, request) > 0)) return trivial(request, largest_level, base);
  return snap(data, request, best_for_base(data, request, base), largest_level);
}

FitResult fit_code(const FitData& data, const TensorCode& request, int largest_level) {
  if (!(largest_value(data, request) > 0)) return trivial(request, largest_level);
  const int count = level_count(request);
  if (request.family == Family::kPow2)
    return snap(data, request, best_for_base(data, request, std::exp2(1.0 / request.pow2_q)), largest_level);
  // The base is searched through the curve's total bend, which is comparable at every level count.
  const double steps = std::max(1, count - 1);
  Candidate best;
  double best_bend = 0;
  const auto try_bend = [&](double bend) {
    const Candidate candidate = best_for_base(data, request, std::exp(std::max(bend / steps, 1e-6)));
    if (candidate.error < best.error) {
      best = candidate;
      best_bend = bend;
    }
  };
  for (const double bend : kBends) try_bend(bend);
  for (double width = kFirstBendStep; width > kLastBendStep; width /= 2) {
    const double center = best_bend;
    try_bend(std::max(0.0, center - width));
    try_bend(center + width);
  }
  FitResult result = snap(data, request, best, largest_level);
  if (has_zero(request) && (request.family == Family::kFree || request.family == Family::kSharedBase)) {
    const FitResult uniform = snap(data, request, best_uniform(data, request), largest_level);
    if (uniform.relative_error < result.relative_error) result = uniform;
  }
  return result;
}

FitResult fit_mirrored_or_not(const FitData& data, const TensorCode& request, int largest_level) {
  FitResult usual = fit_code(data, request, largest_level);
  if (request.stored_bits > kMostMirroredBits || !(largest_value(data, request) > 0)) return usual;
  FitResult without_zero = fit_code(data, mirrored(request, request.stored_bits), largest_level);
  return without_zero.relative_error < usual.relative_error ? without_zero : usual;
}

FitResult paper_with_base(const FitData& data, const TensorCode& request, double base) {
  if (!(largest_value(data, request) > 0)) return trivial(request, 127, base);
  // The levels span (0, max]: the largest level is the range's end, and the curve meets zero one step below L(0).
  const int count = level_count(request);
  const double largest = largest_value(data, request);
  FitResult result;
  result.code = request;
  result.code.base = base;
  result.code.arithmetic = Arithmetic::kExponential;
  result.code.rounding = Rounding::kLogarithmic;
  const double log_base = std::log(base);
  result.code.alpha = largest / (std::expm1((count - 1) * log_base) - std::expm1(-log_base));
  result.code.beta = -result.code.alpha * std::exp(-log_base);
  result.relative_error = data.squared_error(result.code) / data.power();
  return result;
}

FitResult fit_paper(const FitData& data, const TensorCode& request) {
  if (!(largest_value(data, request) > 0)) return trivial(request);
  FitResult best;
  double best_error = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= kPaperSteps; ++step) {
    const FitResult trial = paper_with_base(data, request, 1.0 + step / kPaperStepsPerUnit);
    const double error = data.absolute_error(trial.code);
    if (error >= best_error) break;
    best_error = error;
    best = trial;
  }
  return best;
}

FitResult fit_activation(const FitData& data, TensorCode request, int stored_bits, bool non_negative) {
  if (non_negative || !(data.largest(true) > 0)) {
    // Not negative on calibration data is no proof: without structure one negative level stays.
    return fit_code(data, with_level_counts(request, stored_bits, non_negative ? 0 : 1));
  }
  const int half = (1 << (stored_bits - 1)) - 1;
  std::vector<int> splits = {half};
  for (const int negatives : {1, 2, 3, half / 2})
    if (negatives >= 1 && negatives < half && std::find(splits.begin(), splits.end(), negatives) == splits.end())
      splits.push_back(negatives);
  FitResult best;
  best.relative_error = std::numeric_limits<double>::infinity();
  for (const int negatives : splits) {
    const FitResult fit = fit_code(data, with_level_counts(request, stored_bits, negatives));
    if (fit.relative_error < best.relative_error) best = fit;
  }
  return best;
}

}  // namespace dnateq
