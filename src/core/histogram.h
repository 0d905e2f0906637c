// One-pass histogram of float32 values, keyed by the top 16 bits of each float (sign, exponent, seven leading mantissa
// bits): fixed edges, bounded memory (65,536 bins however many values), mergeable, order-independent counts.
//
// Everything that looks at a tensor's distribution reads this: curve fits, distribution fits, report.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dnateq {

class Histogram {
 public:
  static constexpr int kBins = 1 << 16;

  void add(std::span<const float> values);
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }            // all finite values, zeros included
  uint64_t zeros() const { return zeros_; }            // exact zeros and denormals
  uint64_t non_finite() const { return non_finite_; }  // NaN and infinities; in no bin
  float minimum() const { return minimum_; }
  float maximum() const { return maximum_; }

  struct Bin {
    float low, high;  // edges by magnitude order: |low| < |high|, same sign
    float center;     // middle of the edges
    uint64_t count;
  };
  // Non-empty bins without the zeros, ascending by value.
  std::vector<Bin> bins() const;

  // Sparse (key, count) pairs for storage, and back.
  struct Entry {
    uint16_t key;
    uint64_t count;
  };
  std::vector<Entry> entries() const;
  static Histogram from_entries(std::span<const Entry> entries, uint64_t zeros, float minimum, float maximum);

 private:
  std::vector<uint64_t> counts_;  // empty until the first value
  uint64_t count_ = 0, zeros_ = 0, non_finite_ = 0;
  float minimum_ = 0, maximum_ = 0;
};

}  // namespace dnateq
