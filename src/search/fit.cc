#include "search/fit.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace dnateq {
namespace {

constexpr double kFlatBase = 1.0 + 1e-6;  // stands for base -> 1: the uniform grid
constexpr double kSmallestLevel = 1e-4;   // L(0) relative to the largest level, at least
constexpr int kBucketShift = 14;          // of a pool: nine mantissa bits survive
constexpr size_t kBuckets = size_t{1} << (32 - kBucketShift);

struct Line {
  double alpha = 0, beta = 0;
};

std::vector<double> levels_of(double base, Line line, int count) {
  std::vector<double> levels(static_cast<size_t>(count));
  const double log_base = std::log(base);
  for (int i = 0; i < count; ++i)
    levels[static_cast<size_t>(i)] = line.alpha * std::expm1(i * log_base) + (line.alpha + line.beta);
  return levels;
}

int level_count(const TensorCode& code) { return std::max(code.negative_levels, code.positive_levels); }

// Line through the given smallest and largest level.
Line spanning(double base, int count, double smallest, double largest) {
  if (count == 1) return {largest, 0.0};
  const double alpha = (largest - smallest) / std::expm1((count - 1) * std::log(base));
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
Line least_squares(double base, std::span<const double> weight, std::span<const double> sum, bool beta_is_zero) {
  const double log_base = std::log(base);
  double w = 0, p = 0, pp = 0, s = 0, ps = 0;
  for (size_t i = 0; i < weight.size(); ++i) {
    const double shape = std::expm1(static_cast<double>(i) * log_base) + (beta_is_zero ? 1.0 : 0.0);
    w += weight[i];
    p += weight[i] * shape;
    pp += weight[i] * shape * shape;
    s += sum[i];
    ps += sum[i] * shape;
  }
  if (beta_is_zero) return {pp > 0 ? ps / pp : 0.0, 0.0};
  const double determinant = w * pp - p * p;
  if (!(determinant > 1e-12 * w * pp)) return {};
  const double alpha = (w * ps - p * s) / determinant;  // for levels alpha * (b^i - 1) + offset
  const double offset = (s * pp - p * ps) / determinant;
  return {alpha, offset - alpha};
}

Candidate alternate(const FitData& data, const TensorCode& request, double base, Line line, bool beta_is_zero) {
  const int count = level_count(request);
  std::vector<double> weight(static_cast<size_t>(count)), sum(static_cast<size_t>(count));
  Candidate best;
  best.base = base;
  for (int step = 0; step < 40; ++step) {
    const std::vector<double> levels = levels_of(base, line, count);
    if (!ascending(levels)) break;
    const double error = data.squared_error(levels, request.negative_levels, request.positive_levels);
    if (!(error < best.error * (1 - 1e-6))) {
      if (error < best.error) best = {error, base, line};
      break;
    }
    best = {error, base, line};
    data.assign(levels, request.negative_levels, request.positive_levels, weight, sum);
    Line next = least_squares(base, weight, sum, beta_is_zero);
    if (!beta_is_zero && next.alpha > 0) {
      const double largest = next.alpha * std::expm1((count - 1) * std::log(base)) + next.alpha + next.beta;
      const double floor = kSmallestLevel * largest;
      if (next.alpha + next.beta < floor) next = spanning(base, count, floor, largest);
    }
    if (!(next.alpha > 0)) break;
    line = next;
  }
  return best;
}

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
    data.assign(scaled, request.negative_levels, request.positive_levels, weight, sum);
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
    const double error = data.squared_error(scaled, request.negative_levels, request.positive_levels);
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
  const double largest = largest_value(data, request);
  Candidate best;
  for (int i = 1; i <= 80; ++i) {
    const double top = largest * i / 80.0;
    const Line line = spanning(kFlatBase, count, top / count, top);
    const std::vector<double> levels = levels_of(kFlatBase, line, count);
    const double error = data.squared_error(levels, request.negative_levels, request.positive_levels);
    if (error < best.error) best = {error, kFlatBase, line};
  }
  return best;
}

Candidate best_for_base(const FitData& data, const TensorCode& request, double base) {
  const bool beta_is_zero = request.family == Family::kBeta0 || request.family == Family::kPow2;
  const int count = level_count(request);
  const double largest = largest_value(data, request);
  Candidate best;
  for (const double clip : {1.0, 0.7, 0.45, 0.25}) {
    const double top = largest * clip;
    const auto try_line = [&](Line line) {
      const Candidate candidate = alternate(data, request, base, line, beta_is_zero);
      if (candidate.error < best.error) best = candidate;
    };
    if (beta_is_zero) {
      try_line({top * std::exp(-(count - 1) * std::log(base)), 0.0});
    } else {
      const double uniform_step = top / count;
      for (const double smallest : {0.1, 0.35, 0.9}) try_line(spanning(base, count, smallest * uniform_step, top));
    }
  }
  return best;
}

}  // namespace

double sqnr_db(double relative_error) { return -10.0 * std::log10(std::max(relative_error, 1e-12)); }

FitData FitData::from_histogram(const Histogram& histogram) {
  FitData data;
  std::vector<std::pair<double, double>> points[2];
  for (const Histogram::Bin& bin : histogram.bins())
    points[bin.center < 0].emplace_back(std::fabs(static_cast<double>(bin.center)), static_cast<double>(bin.count));
  data.build(points);
  data.weight_ += static_cast<double>(histogram.zeros());
  return data;
}

FitData FitData::from_values(std::span<const float> values, std::span<const float> weights) {
  ValuePool pool;
  for (size_t i = 0; i < values.size(); ++i)
    pool.add(values[i], weights.empty() ? 1.0 : static_cast<double>(weights[i]));
  return pool.data();
}

ValuePool::ValuePool() : buckets_(kBuckets) {}

void ValuePool::add(float value, double weight) {
  if (value == 0.0F) {
    zero_weight_ += weight;
    return;
  }
  Bucket& bucket = buckets_[std::bit_cast<uint32_t>(value) >> kBucketShift];
  bucket.w += weight;
  bucket.wx += weight * std::fabs(static_cast<double>(value));
}

void ValuePool::merge(const ValuePool& other) {
  for (size_t key = 0; key < kBuckets; ++key) {
    buckets_[key].w += other.buckets_[key].w;
    buckets_[key].wx += other.buckets_[key].wx;
  }
  zero_weight_ += other.zero_weight_;
}

FitData ValuePool::data() const {
  FitData data;
  std::vector<std::pair<double, double>> points[2];
  for (size_t key = 0; key < kBuckets; ++key)
    if (buckets_[key].w > 0)
      points[key >= kBuckets / 2].emplace_back(buckets_[key].wx / buckets_[key].w, buckets_[key].w);
  data.build(points);
  data.weight_ += zero_weight_;
  return data;
}

void FitData::build(std::vector<std::pair<double, double>> (&points)[2]) {
  for (int s = 0; s < 2; ++s) {
    std::sort(points[s].begin(), points[s].end());
    Side& side = sides_[s];
    side.w = side.wx = side.wxx = {0.0};
    for (const auto& [x, w] : points[s]) {
      side.x.push_back(x);
      side.w.push_back(side.w.back() + w);
      side.wx.push_back(side.wx.back() + w * x);
      side.wxx.push_back(side.wxx.back() + w * x * x);
    }
    weight_ += side.w.back();
    magnitude_ += side.wx.back();
    power_ += side.wxx.back();
  }
}

// visit(level index or -1 for zero, weight, sum of magnitudes, sum of squares), once a side and level.
template <typename Visit>
void FitData::for_each_segment(std::span<const double> levels, int negative_levels, int positive_levels,
                               Visit visit) const {
  for (int s = 0; s < 2; ++s) {
    const Side& side = sides_[s];
    if (side.x.empty()) continue;
    const int count = s == 1 ? negative_levels : positive_levels;
    size_t begin = 0;
    for (int i = -1; i < count; ++i) {
      size_t end = side.x.size();
      if (i + 1 < count) {
        const double low = i < 0 ? 0.0 : levels[static_cast<size_t>(i)];
        const double threshold = (low + levels[static_cast<size_t>(i + 1)]) / 2;
        end = static_cast<size_t>(
            std::lower_bound(side.x.begin() + static_cast<std::ptrdiff_t>(begin), side.x.end(), threshold) -
            side.x.begin());
      }
      if (end > begin)
        visit(i, side.w[end] - side.w[begin], side.wx[end] - side.wx[begin], side.wxx[end] - side.wxx[begin]);
      begin = end;
    }
  }
}

double FitData::squared_error(std::span<const double> levels, int negative_levels, int positive_levels) const {
  double error = 0;
  for_each_segment(levels, negative_levels, positive_levels, [&](int i, double w, double wx, double wxx) {
    const double level = i < 0 ? 0.0 : levels[static_cast<size_t>(i)];
    error += std::max(0.0, wxx - 2 * level * wx + level * level * w);
  });
  return error;
}

double FitData::squared_error(const TensorCode& code) const {
  const Encoder encoder(code);
  double error = 0;
  for (int s = 0; s < 2; ++s) {
    const Side& side = sides_[s];
    for (size_t i = 0; i < side.x.size(); ++i) {
      const auto x = static_cast<float>(s == 1 ? -side.x[i] : side.x[i]);
      const double difference = static_cast<double>(x) - static_cast<double>(encoder.decode(encoder.encode(x)));
      error += (side.w[i + 1] - side.w[i]) * difference * difference;
    }
  }
  return error;
}

double FitData::absolute_error(const TensorCode& code) const {
  const Encoder encoder(code);
  double error = 0;
  for (int s = 0; s < 2; ++s) {
    const Side& side = sides_[s];
    for (size_t i = 0; i < side.x.size(); ++i) {
      const auto x = static_cast<float>(s == 1 ? -side.x[i] : side.x[i]);
      error += (side.w[i + 1] - side.w[i]) *
               std::fabs(static_cast<double>(x) - static_cast<double>(encoder.decode(encoder.encode(x))));
    }
  }
  return error;
}

void FitData::assign(std::span<const double> levels, int negative_levels, int positive_levels, std::span<double> weight,
                     std::span<double> sum) const {
  std::fill(weight.begin(), weight.end(), 0.0);
  std::fill(sum.begin(), sum.end(), 0.0);
  for_each_segment(levels, negative_levels, positive_levels, [&](int i, double w, double wx, double) {
    if (i < 0) return;
    weight[static_cast<size_t>(i)] += w;
    sum[static_cast<size_t>(i)] += wx;
  });
}

FitResult fit_uniform(const FitData& data, const TensorCode& request, int largest_level) {
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
  // The base is searched through the curve's total bend, log(base) * (levels - 1): comparable at every level count.
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
  for (const double bend : {0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 3.6, 4.3, 5.2}) try_bend(bend);
  for (double width = 0.3; width > 0.03; width /= 2) {
    const double center = best_bend;
    try_bend(std::max(0.0, center - width));
    try_bend(center + width);
  }
  FitResult result = snap(data, request, best, largest_level);
  if (request.family == Family::kFree || request.family == Family::kSharedBase) {
    const FitResult uniform = snap(data, request, best_uniform(data, request), largest_level);
    if (uniform.relative_error < result.relative_error) result = uniform;
  }
  return result;
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
  for (int step = 1; step <= 900; ++step) {
    const FitResult trial = paper_with_base(data, request, 1.0 + step / 100.0);
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
