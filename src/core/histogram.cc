#include "core/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr int kKeyShift = 16;
constexpr uint32_t kExponentMask = 0x7f80;  // of a key; all zeros: zero or denormal, all ones: infinity or NaN
constexpr uint32_t kSmallestKey = 0x0080, kLargestKey = 0x7f7f;  // of positive normal numbers
constexpr uint32_t kSignKey = 0x8000;

uint32_t key_of(float value) { return std::bit_cast<uint32_t>(value) >> kKeyShift; }
bool is_zero_key(uint32_t key) { return (key & kExponentMask) == 0; }
bool is_finite_key(uint32_t key) { return (key & kExponentMask) != kExponentMask; }

// Empties the counters of the keys [first, last) and of their negatives; returns what they held.
uint64_t take_keys(std::span<uint64_t> counts, uint32_t first, uint32_t last) {
  uint64_t taken = 0;
  for (const uint32_t sign : {uint32_t{0}, kSignKey})
    for (uint32_t key = first; key < last; ++key) taken += std::exchange(counts[sign | key], 0);
  return taken;
}

float edge(uint32_t key) { return std::bit_cast<float>(key << kKeyShift); }

Histogram::Bin make_bin(uint32_t key, uint64_t count) {
  const float low = edge(key);
  float high = edge(key + 1);
  // The last bin's upper edge would be an infinity, and its middle too.
  if (!is_finite_key(key + 1)) high = std::copysign(std::numeric_limits<float>::max(), low);
  const double center = (static_cast<double>(low) + static_cast<double>(high)) / 2;
  return {low, high, static_cast<float>(center), count};
}

}  // namespace

void Histogram::add(std::span<const float> values) {
  if (values.empty()) return;
  counts_.resize(kBins);
  // Zeros and non-finite values are counted like others, then moved out of their counters: a branch for them would
  // mispredict at every other value behind a ReLU, which triples the time of the loop.
  for (const float value : values) ++counts_[key_of(value)];
  const uint64_t zeros = take_keys(counts_, 0, kSmallestKey);
  const uint64_t non_finite = take_keys(counts_, kLargestKey + 1, kSignKey);
  zeros_ += zeros;
  non_finite_ += non_finite;

  float minimum = count_ > 0 ? minimum_ : std::numeric_limits<float>::infinity();
  float maximum = count_ > 0 ? maximum_ : -std::numeric_limits<float>::infinity();
  for (const float value : values) {
    const bool finite = is_finite_key(key_of(value));
    minimum = std::min(minimum, finite ? value : minimum);
    maximum = std::max(maximum, finite ? value : maximum);
  }
  count_ += values.size() - non_finite;
  if (count_ == 0) return;
  minimum_ = minimum + 0.0F;  // -0 becomes +0, or the result would depend on the order of values
  maximum_ = maximum + 0.0F;
}

void Histogram::merge(const Histogram& other) {
  non_finite_ += other.non_finite_;
  if (other.count_ == 0) return;
  counts_.resize(kBins);
  for (size_t key = 0; key < other.counts_.size(); ++key) counts_[key] += other.counts_[key];
  minimum_ = count_ > 0 ? std::min(minimum_, other.minimum_) : other.minimum_;
  maximum_ = count_ > 0 ? std::max(maximum_, other.maximum_) : other.maximum_;
  zeros_ += other.zeros_;
  count_ += other.count_;
}

std::vector<Histogram::Bin> Histogram::bins() const {
  std::vector<Bin> bins;
  if (counts_.empty()) return bins;
  const auto append = [&](uint32_t key) {
    if (counts_[key] > 0) bins.push_back(make_bin(key, counts_[key]));
  };
  for (uint32_t key = kLargestKey; key >= kSmallestKey; --key) append(kSignKey | key);
  for (uint32_t key = kSmallestKey; key <= kLargestKey; ++key) append(key);
  return bins;
}

std::vector<Histogram::Entry> Histogram::entries() const {
  std::vector<Entry> entries;
  for (uint32_t key = 0; key < counts_.size(); ++key)
    if (counts_[key] > 0) entries.push_back({static_cast<uint16_t>(key), counts_[key]});
  return entries;
}

Histogram Histogram::from_entries(std::span<const Entry> entries, uint64_t zeros, float minimum, float maximum) {
  Histogram histogram;
  histogram.zeros_ = histogram.count_ = zeros;
  histogram.minimum_ = minimum;
  histogram.maximum_ = maximum;
  if (!entries.empty()) histogram.counts_.resize(kBins);
  for (const Entry& entry : entries) {
    if (is_zero_key(entry.key) || !is_finite_key(entry.key))
      throw Error(
          fmt::format("a stored histogram counts values in bin {:#06x}, which holds no normal number; measure "
                      "the calibration data again",
                      entry.key));
    histogram.counts_[entry.key] += entry.count;
    histogram.count_ += entry.count;
  }
  return histogram;
}

}  // namespace dnateq
