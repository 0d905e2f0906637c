#include "search/fit_data.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace dnateq {
namespace {

constexpr int kBucketShift = 14;  // of a pool: nine mantissa bits survive
constexpr size_t kBuckets = size_t{1} << (32 - kBucketShift);

// Of the guide to magnitudes: exponent and eight mantissa bits, whose order is that of positive numbers. A key has two
// magnitudes of a pool at most, which are passed without a branch: where a threshold lies among them, no branch
// predictor knows.
constexpr int kGuideShift = 44;
uint64_t guide_key(double x) { return std::bit_cast<uint64_t>(x) >> kGuideShift; }

double segment_error(double level, double w, double wx, double wxx) {
  return std::max(0.0, wxx - 2 * level * wx + level * level * w);
}

}  // namespace

FitData FitData::from_histogram(const Histogram& histogram) {
  FitData data;
  std::vector<std::pair<double, double>> points[2];
  for (const Histogram::Bin& bin : histogram.bins())
    points[bin.center < 0].emplace_back(std::fabs(static_cast<double>(bin.center)), static_cast<double>(bin.count));
  data.build(points);
  data.zero_weight_ = static_cast<double>(histogram.zeros());
  data.weight_ += data.zero_weight_;
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
  data.zero_weight_ = zero_weight_;
  data.weight_ += zero_weight_;
  return data;
}

void FitData::build(std::vector<std::pair<double, double>> (&points)[2]) {
  for (int s = 0; s < 2; ++s) {
    std::sort(points[s].begin(), points[s].end());
    Side& side = sides_[s];
    side.up_to = {Sums{}};
    for (const auto& [x, w] : points[s]) {
      const uint64_t key = guide_key(x) - guide_key(points[s].front().first);
      while (side.guide.size() <= key) side.guide.push_back(static_cast<uint32_t>(side.x.size()));
      const Sums before = side.up_to.back();
      side.x.push_back(x);
      side.up_to.push_back({before.w + w, before.wx + w * x, before.wxx + w * x * x});
    }
    side.guide.push_back(static_cast<uint32_t>(side.x.size()));
    for (size_t key = 1; key < side.guide.size(); ++key)
      side.most_of_key = std::max(side.most_of_key, side.guide[key] - side.guide[key - 1]);
    weight_ += side.up_to.back().w;
    magnitude_ += side.up_to.back().wx;
    power_ += side.up_to.back().wxx;
  }
}

size_t FitData::Side::first_at_least(double threshold) const {
  if (!(threshold > x.front())) return 0;
  if (threshold > x.back()) return x.size();
  const uint64_t key = guide_key(threshold) - guide_key(x.front());
  size_t at = guide[key];  // the last magnitude is not below the threshold, so that `at` stays within
  for (uint32_t i = 0; i < most_of_key; ++i) at += static_cast<size_t>(x[at] < threshold);
  return at;
}

// visit(level index or -1 for zero, weight, sum of magnitudes, sum of squares), once a side and level.
template <typename Visit>
void FitData::for_each_segment(std::span<const double> levels, const TensorCode& counts, Visit visit) const {
  const int lowest = has_zero(counts) ? -1 : 0;
  if (lowest == 0 && zero_weight_ > 0) visit(0, zero_weight_, 0.0, 0.0);
  for (int s = 0; s < 2; ++s) {
    const Side& side = sides_[s];
    if (side.x.empty()) continue;
    const int count = s == 1 ? counts.negative_levels : counts.positive_levels;
    size_t begin = 0;
    for (int i = lowest; i < count; ++i) {
      size_t end = side.x.size();
      if (i + 1 < count) {
        const double low = i < 0 ? 0.0 : levels[static_cast<size_t>(i)];
        const double threshold = (low + levels[static_cast<size_t>(i + 1)]) / 2;
        end = std::max(begin, side.first_at_least(threshold));
      }
      const Sums &before = side.up_to[begin], &after = side.up_to[end];
      if (end > begin) visit(i, after.w - before.w, after.wx - before.wx, after.wxx - before.wxx);
      begin = end;
    }
  }
}

double FitData::squared_error(std::span<const double> levels, const TensorCode& counts) const {
  double error = 0;
  for_each_segment(levels, counts, [&](int i, double w, double wx, double wxx) {
    error += segment_error(i < 0 ? 0.0 : levels[static_cast<size_t>(i)], w, wx, wxx);
  });
  return error;
}

double FitData::squared_error(const TensorCode& code) const {
  const Encoder encoder(code);
  const double of_zero = encoder.decode(encoder.encode(0.0F));
  double error = zero_weight_ * of_zero * of_zero;
  for (int s = 0; s < 2; ++s) {
    const Side& side = sides_[s];
    for (size_t i = 0; i < side.x.size(); ++i) {
      const auto x = static_cast<float>(s == 1 ? -side.x[i] : side.x[i]);
      const double difference = static_cast<double>(x) - static_cast<double>(encoder.decode(encoder.encode(x)));
      error += (side.up_to[i + 1].w - side.up_to[i].w) * difference * difference;
    }
  }
  return error;
}

double FitData::absolute_error(const TensorCode& code) const {
  const Encoder encoder(code);
  double error = zero_weight_ * std::fabs(static_cast<double>(encoder.decode(encoder.encode(0.0F))));
  for (int s = 0; s < 2; ++s) {
    const Side& side = sides_[s];
    for (size_t i = 0; i < side.x.size(); ++i) {
      const auto x = static_cast<float>(s == 1 ? -side.x[i] : side.x[i]);
      error += (side.up_to[i + 1].w - side.up_to[i].w) *
               std::fabs(static_cast<double>(x) - static_cast<double>(encoder.decode(encoder.encode(x))));
    }
  }
  return error;
}

double FitData::assign(std::span<const double> levels, const TensorCode& counts, std::span<double> weight,
                       std::span<double> sum) const {
  std::fill(weight.begin(), weight.end(), 0.0);
  std::fill(sum.begin(), sum.end(), 0.0);
  double error = 0;
  for_each_segment(levels, counts, [&](int i, double w, double wx, double wxx) {
    error += segment_error(i < 0 ? 0.0 : levels[static_cast<size_t>(i)], w, wx, wxx);
    if (i < 0) return;
    weight[static_cast<size_t>(i)] += w;
    sum[static_cast<size_t>(i)] += wx;
  });
  return error;
}

}  // namespace dnateq
