// The values of one tensor in the form that fits read: sorted magnitudes with prefix sums, so that one error evaluation
// costs O(levels) however many values the tensor has.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/histogram.h"
#include "dnateq/code.h"

namespace dnateq {

// Weighted values, split by sign.
class FitData {
 public:
  FitData() = default;
  static FitData from_histogram(const Histogram& histogram);
  // values and weights of equal length; weights empty = 1. Values are pooled, see ValuePool.
  static FitData from_values(std::span<const float> values, std::span<const float> weights = {});

  bool empty() const { return sides_[0].x.empty() && sides_[1].x.empty(); }
  double largest(bool negative) const { return sides_[negative].x.empty() ? 0.0 : sides_[negative].x.back(); }
  double power() const { return power_; }          // sum w x^2
  double magnitude() const { return magnitude_; }  // sum w |x|
  double weight() const { return weight_; }        // sum w, zeros included

  // sum w (x - x^)^2 for nearest-level rounding to `levels`, of which `counts` says how many each side has, and whether
  // there is a zero.
  double squared_error(std::span<const double> levels, const TensorCode& counts) const;
  double absolute_error(const TensorCode& code) const;
  double squared_error(const TensorCode& code) const;

  // Per level: weight and weighted sum of the magnitudes that nearest rounding assigns to it, both signs together.
  // Returns squared_error of the same levels.
  double assign(std::span<const double> levels, const TensorCode& counts, std::span<double> weight,
                std::span<double> sum) const;

 private:
  friend class ValuePool;
  struct Sums {
    double w = 0, wx = 0, wxx = 0;
  };
  struct Side {
    std::vector<double> x;        // ascending magnitudes
    std::vector<Sums> up_to;      // sums over all magnitudes before the one of this index; one longer than x
    std::vector<uint32_t> guide;  // where magnitudes of a key begin: keys from that of x.front() on, and one more
    uint32_t most_of_key = 0;     // magnitudes that have the same key
    size_t first_at_least(double threshold) const;
  };
  void build(std::vector<std::pair<double, double>> (&points)[2]);
  template <typename Visit>
  void for_each_segment(std::span<const double> levels, const TensorCode& counts, Visit visit) const;

  Side sides_[2];
  double power_ = 0, magnitude_ = 0, weight_ = 0, zero_weight_ = 0;
};

// Gathers weighted values in relative steps of 2^-9, in memory that does not grow with them.
class ValuePool {
 public:
  ValuePool();
  void add(float value, double weight);
  void merge(const ValuePool& other);
  FitData data() const;

 private:
  struct Bucket {
    double w = 0, wx = 0;
  };
  std::vector<Bucket> buckets_;  // by sign, exponent and nine bits of mantissa
  double zero_weight_ = 0;
};

}  // namespace dnateq
