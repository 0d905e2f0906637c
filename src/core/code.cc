#include "dnateq/code.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000;

int magnitude_count(const TensorCode& code) { return std::max(code.negative_levels, code.positive_levels); }

int grid_limit(const TensorCode& code) { return code.negative_levels == 0 ? 255 : 127; }

// alpha * base^i + beta, written so that base -> 1 (alpha and beta large and opposite) keeps its digits.
double curve(const TensorCode& code, int i) {
  return code.alpha * std::expm1(i * std::log(code.base)) + (code.alpha + code.beta);
}

// How many levels a magnitude reaches: 0 is the zero code, n is level n - 1. Monotone in `magnitude`.
int levels_reached_reference(const TensorCode& code, std::span<const float> levels, float magnitude) {
  if (levels.empty()) return 0;
  const double x = magnitude;
  if (has_zero(code) && x < static_cast<double>(levels[0]) / 2) return 0;
  int reached = 1;
  if (code.rounding == Rounding::kLogarithmic) {
    const double ratio = (x - code.beta) / code.alpha;
    const double i = ratio > 0 ? std::round(std::log(ratio) / std::log(code.base)) : 0.0;
    return 1 + static_cast<int>(std::clamp(i, 0.0, static_cast<double>(levels.size() - 1)));
  }
  for (size_t i = 1; i < levels.size(); ++i)
    if (x >= (static_cast<double>(levels[i - 1]) + static_cast<double>(levels[i])) / 2)
      reached = static_cast<int>(i) + 1;
  return reached;
}

// Smallest bit pattern whose magnitude reaches each level: the reference is monotone in the pattern.
std::vector<uint32_t> thresholds(const TensorCode& code, std::span<const float> levels) {
  std::vector<uint32_t> found;
  uint32_t low = 0;
  for (int level = 1; level <= static_cast<int>(levels.size()); ++level) {
    uint32_t high = kInfinityBits;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (levels_reached_reference(code, levels, std::bit_cast<float>(middle)) >= level)
        high = middle;
      else
        low = middle + 1;
    }
    found.push_back(low);
  }
  return found;
}

}  // namespace

TensorCode with_level_counts(TensorCode code, int stored_bits, int negatives) {
  code.stored_bits = stored_bits;
  const int codes = (1 << stored_bits) - 1;
  code.negative_levels = negatives < 0 ? codes / 2 : negatives;
  code.positive_levels = codes - code.negative_levels;
  if (code.arithmetic == Arithmetic::kInt8Grid) code.positive_levels = std::min(code.positive_levels, grid_limit(code));
  if (code.family == Family::kPow2) {  // levels 2^(i/q): more of them would leave float32's range
    const int most = 96 * std::max(code.pow2_q, 1);
    code.positive_levels = std::min(code.positive_levels, most);
    code.negative_levels = std::min(code.negative_levels, most);
  }
  return code;
}

TensorCode mirrored(TensorCode code, int stored_bits) {
  code.stored_bits = stored_bits;
  code.negative_levels = code.positive_levels = 1 << (stored_bits - 1);
  return code;
}

void validate(const TensorCode& code, const std::string& tensor) {
  const auto fail = [&](const std::string& what) {
    throw Error(fmt::format("the code of tensor '{}' is invalid: {}; quantize the model again", tensor, what));
  };
  for (const char* name : {to_string(code.family), to_string(code.arithmetic), to_string(code.rounding)})
    if (*name == '?') fail("unknown family, arithmetic or rounding");
  if (code.stored_bits < kMinStoredBits || code.stored_bits > kMaxStoredBits)
    fail(fmt::format("{} stored bits, {} to {} are supported", code.stored_bits, kMinStoredBits, kMaxStoredBits));
  if (code.negative_levels < 0 || code.positive_levels < 0 || magnitude_count(code) == 0)
    fail("it needs at least one level and no negative level counts");
  if (!has_zero(code) && code != mirrored(code, code.stored_bits))
    fail(fmt::format("{} levels and zero do not fit {} bits", code.negative_levels + code.positive_levels,
                     code.stored_bits));
  if (!std::isfinite(code.base) || !std::isfinite(code.alpha) || !std::isfinite(code.beta) || !(code.base > 1))
    fail("base must be above 1, and alpha and beta finite");
  if (!(code.alpha > 0)) fail("alpha must be above 0");
  for (int i = 0; i < magnitude_count(code); ++i)
    if (!std::isfinite(curve(code, i))) fail("its levels overflow");
  if (code.arithmetic == Arithmetic::kInt8Grid) {
    if (!(code.grid > 0) || !std::isfinite(code.grid)) fail("the grid scale must be positive");
    if (magnitude_count(code) > grid_limit(code)) fail("more levels than the int8 grid has integers");
  }
  const std::vector<float> levels = magnitudes(code);
  float previous = 0;
  for (const float level : levels) {
    if (!(level > previous) || !std::isfinite(level)) fail("its levels do not ascend above zero");
    previous = level;
  }
}

std::vector<int> grid_magnitudes(const TensorCode& code) {
  const int count = magnitude_count(code);
  const int limit = grid_limit(code);
  std::vector<int> q(static_cast<size_t>(count));
  int previous = 0;
  for (int i = 0; i < count; ++i) {  // ascending, and room left for the levels above
    const double wanted = std::round(code.grid * curve(code, i));
    const double exact = std::isfinite(wanted) ? std::clamp(wanted, 0.0, 1e6) : 0.0;
    const int at_least = std::max(static_cast<int>(exact), previous + 1);
    previous = std::min(at_least, limit - (count - 1 - i));
    q[static_cast<size_t>(i)] = previous;
  }
  return q;
}

std::vector<float> magnitudes(const TensorCode& code) {
  std::vector<float> levels;
  levels.reserve(static_cast<size_t>(magnitude_count(code)));
  if (code.arithmetic == Arithmetic::kInt8Grid) {
    for (const int q : grid_magnitudes(code)) levels.push_back(static_cast<float>(q / code.grid));
  } else {
    for (int i = 0; i < magnitude_count(code); ++i) levels.push_back(static_cast<float>(curve(code, i)));
  }
  return levels;
}

std::vector<float> level_table(const TensorCode& code) {
  const std::vector<float> levels = magnitudes(code);
  std::vector<float> table(size_t{1} << code.stored_bits, 0.0F);
  const auto first = static_cast<size_t>(first_level_code(code)), positives = static_cast<size_t>(code.positive_levels);
  for (size_t i = 0; i < positives; ++i) table[first + i] = levels[i];
  for (size_t i = 0; i < static_cast<size_t>(code.negative_levels); ++i) table[first + positives + i] = -levels[i];
  return table;
}

std::vector<int8_t> int8_level_table(const TensorCode& code) {
  const std::vector<int> q = grid_magnitudes(code);
  if (q.empty() || q.back() > 127) throw Error("the levels of this code do not fit signed 8-bit integers");
  std::vector<int8_t> table(size_t{1} << code.stored_bits, 0);
  const auto first = static_cast<size_t>(first_level_code(code)), positives = static_cast<size_t>(code.positive_levels);
  for (size_t i = 0; i < positives; ++i) table[first + i] = static_cast<int8_t>(q[i]);
  for (size_t i = 0; i < static_cast<size_t>(code.negative_levels); ++i)
    table[first + positives + i] = static_cast<int8_t>(-q[i]);
  return table;
}

int reference_code(const TensorCode& code, float value) {
  if (std::isnan(value)) return 0;
  const std::vector<float> levels = magnitudes(code);
  const bool negative = std::signbit(value);
  const auto count = static_cast<size_t>(negative ? code.negative_levels : code.positive_levels);
  const int reached = levels_reached_reference(code, std::span(levels).first(count), std::fabs(value));
  if (reached == 0) return 0;
  return first_level_code(code) - 1 + (negative ? code.positive_levels : 0) + reached;
}

Encoder::Encoder(const TensorCode& code)
    : positive_levels_(static_cast<size_t>(code.positive_levels)),
      negative_levels_(static_cast<size_t>(code.negative_levels)),
      first_place_(size_t{1} << (32 - kBucketShift)),
      levels_(level_table(code)) {
  const std::vector<float> all = magnitudes(code);
  const auto first_code = static_cast<size_t>(first_level_code(code));
  for (const bool negative : {false, true}) {
    const size_t count = negative ? negative_levels_ : positive_levels_;
    const size_t first = upper_end_.size();  // this side's zero
    const std::vector<uint32_t> ends = thresholds(code, std::span(all).first(count));
    upper_end_.insert(upper_end_.end(), ends.begin(), ends.end());
    upper_end_.push_back(0xffffffffU);
    code_of_.push_back(0);
    for (size_t i = 0; i < count; ++i)
      code_of_.push_back(static_cast<uint8_t>(first_code + (negative ? positive_levels_ : 0) + i));

    const size_t buckets = first_place_.size() / 2;
    size_t at = first;
    for (size_t bucket = 0; bucket < buckets; ++bucket) {
      const auto start = static_cast<uint32_t>(bucket << kBucketShift);
      const auto next = static_cast<uint32_t>((bucket + 1) << kBucketShift);
      while (start >= upper_end_[at]) ++at;
      first_place_[(negative ? buckets : 0) + bucket] = static_cast<uint16_t>(at);
      if (upper_end_[at] < next && upper_end_[at + 1] < next) one_step_ = false;
    }
  }
  for (const uint8_t c : code_of_) level_of_.push_back(levels_[c]);
}

std::vector<uint32_t> Encoder::positive_thresholds() const {
  return {upper_end_.begin(), upper_end_.begin() + static_cast<std::ptrdiff_t>(positive_levels_)};
}

std::vector<uint32_t> Encoder::negative_thresholds() const {
  const auto begin = upper_end_.begin() + static_cast<std::ptrdiff_t>(positive_levels_ + 1);
  return {begin, begin + static_cast<std::ptrdiff_t>(negative_levels_)};
}

size_t Encoder::place(float value) const {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > kInfinityBits) return 0;  // NaN
  size_t at = first_place_[bits >> kBucketShift];
  while (magnitude >= upper_end_[at]) ++at;
  return at;
}

// Free of branches: the data decide them, and a misprediction costs more than all of this.
size_t Encoder::place_in_one_step(uint32_t bits) const {
  const uint32_t magnitude = bits & 0x7fffffffU;
  size_t at = first_place_[bits >> kBucketShift];
  at += static_cast<size_t>(magnitude >= upper_end_[at]);
  return magnitude > kInfinityBits ? 0 : at;
}

void Encoder::encode(std::span<const float> values, std::span<uint8_t> codes) const {
  if (one_step_)
    for (size_t i = 0; i < values.size(); ++i)
      codes[i] = code_of_[place_in_one_step(std::bit_cast<uint32_t>(values[i]))];
  else
    for (size_t i = 0; i < values.size(); ++i) codes[i] = encode(values[i]);
}

void Encoder::quantize(std::span<const float> values, std::span<float> levels) const {
  if (one_step_)
    for (size_t i = 0; i < values.size(); ++i)
      levels[i] = level_of_[place_in_one_step(std::bit_cast<uint32_t>(values[i]))];
  else
    for (size_t i = 0; i < values.size(); ++i) levels[i] = level_of_[place(values[i])];
}

const char* to_string(Family family) {
  switch (family) {
    case Family::kFree:
      return "free";
    case Family::kSharedBase:
      return "shared-base";
    case Family::kBeta0:
      return "beta0";
    case Family::kPow2:
      return "pow2";
  }
  return "?";
}

const char* to_string(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::kExponential ? "exponential" : "int8-grid";
}

const char* to_string(Rounding rounding) { return rounding == Rounding::kNearest ? "nearest" : "logarithmic"; }

Family family_from_string(const std::string& text, int* pow2_q) {
  if (pow2_q != nullptr) *pow2_q = 0;
  if (text == "free") return Family::kFree;
  if (text == "shared-base") return Family::kSharedBase;
  if (text == "beta0") return Family::kBeta0;
  if (text.starts_with("pow2")) {
    int q = 0;
    const char* end = text.data() + text.size();
    const bool given = text.size() > 5 && text[4] == ':';
    const auto parsed = given ? std::from_chars(text.data() + 5, end, q) : std::from_chars_result{end, std::errc()};
    if (text == "pow2") q = 1;
    if (parsed.ec == std::errc() && parsed.ptr == end && q >= 1 && q <= 16) {
      if (pow2_q != nullptr) *pow2_q = q;
      return Family::kPow2;
    }
  }
  throw Error(fmt::format("unknown family '{}'; use free, shared-base, beta0 or pow2:Q with Q from 1 to 16", text));
}

Arithmetic arithmetic_from_string(const std::string& text) {
  if (text == "exponential") return Arithmetic::kExponential;
  if (text == "int8-grid") return Arithmetic::kInt8Grid;
  throw Error(fmt::format("unknown arithmetic '{}'; use exponential or int8-grid", text));
}

Rounding rounding_from_string(const std::string& text) {
  if (text == "nearest") return Rounding::kNearest;
  if (text == "logarithmic") return Rounding::kLogarithmic;
  throw Error(fmt::format("unknown rounding '{}'; use nearest or logarithmic", text));
}

}  // namespace dnateq
