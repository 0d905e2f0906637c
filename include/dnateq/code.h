// Exponential codes: how one tensor's values become small integers and back.
//
// A tensor's code has k stored bits, m- negative and m+ positive levels and one exact zero, 1 + m- + m+ <= 2^k.
// Level i (i = 0, 1, ...) has the magnitude L(i) = alpha * base^i + beta, ascending, L(0) > 0; the same curve
// serves both signs. Code numbers: 0 is zero, 1 ... m+ are +L(0) ... +L(m+ - 1), m+ + 1 ... m+ + m- are
// -L(0) ... -L(m- - 1). Weights have one more scale per output channel (gamma), kept beside the codes.
//
// A mirrored code gives up zero for one more level: m- = m+ = 2^(k-1), and code numbers are one less. Weights may have
// it, activations not: padding is zero.
//
// Source: DNA-TEQ (arXiv 2306.16430) for the curve; asymmetric level counts, mirrored codes, the int8 grid and the
// threshold encoder are ours. Non-goals: packing (pack.h), searching for parameters (src/search), speed (src/kernels).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dnateq {

inline constexpr int kMinStoredBits = 2;
inline constexpr int kMaxStoredBits = 8;

// What the search may choose: `kFree` base, alpha, beta and bits per tensor; `kSharedBase` one base and one number of
// exponent bits for a layer's weights and inputs (the paper); `kBeta0` beta = 0; `kPow2` beta = 0, base = 2^(1/q).
enum class Family { kFree, kSharedBase, kBeta0, kPow2 };

// `kExponential`: levels are the real numbers alpha * base^i + beta, rounded to float32.
// `kInt8Grid`: levels are q(i) / grid with ascending integers q(i) <= 127 (255 where there is no negative level).
enum class Arithmetic { kExponential, kInt8Grid };

// `kNearest`: nearest level, ties away from zero. `kLogarithmic`: the paper's round(log_base((|x| - beta) / alpha)),
// zero below half the smallest level.
enum class Rounding { kNearest, kLogarithmic };

struct TensorCode {
  int stored_bits = 4;
  int negative_levels = 7;
  int positive_levels = 8;
  double base = 2.0;
  double alpha = 1.0;
  double beta = 0.0;
  double grid = 0.0;  // levels per unit; kInt8Grid only
  Family family = Family::kFree;
  int pow2_q = 0;  // kPow2 only
  Arithmetic arithmetic = Arithmetic::kInt8Grid;
  Rounding rounding = Rounding::kNearest;

  friend bool operator==(const TensorCode&, const TensorCode&) = default;
};

// Level counts of a "filled" code: no code wasted. k = stored bits; `negatives` < 0 asks for the weights' split
// (m+ = 2^(k-1), m- = 2^(k-1) - 1), else that many negative levels and the rest positive.
TensorCode with_level_counts(TensorCode code, int stored_bits, int negatives = -1);

// Of a mirrored code: 2^(k-1) levels of each sign. At most 7 bits, since the int8 grid has 127 levels of a sign.
TensorCode mirrored(TensorCode code, int stored_bits);

// Whether one of the codes stands for zero; it is number 0 then.
inline bool has_zero(const TensorCode& code) {
  return 1 + code.negative_levels + code.positive_levels <= 1 << code.stored_bits;
}
inline int first_level_code(const TensorCode& code) { return has_zero(code) ? 1 : 0; }

// Throws Error naming `tensor` if the parameters break the invariants stated above.
void validate(const TensorCode& code, const std::string& tensor);

// L(0) ... L(max(m-, m+) - 1), float32, strictly ascending, all > 0. This function is the scalar reference.
std::vector<float> magnitudes(const TensorCode& code);

// kInt8Grid only: the integers q(0) ... of the same levels.
std::vector<int> grid_magnitudes(const TensorCode& code);

// Signed level of every code, indexed by code number; 2^k entries, unused codes decode to 0.
std::vector<float> level_table(const TensorCode& code);
std::vector<int8_t> int8_level_table(const TensorCode& code);  // kInt8Grid with q <= 127 only

// Scalar reference: the code of one value. NaN gives code 0, an infinity the largest level of its sign (zero if none).
int reference_code(const TensorCode& code, float value);

// Same codes as reference_code for every float, by integer comparison on the bits of |x|. Thread-safe once built.
class Encoder {
 public:
  Encoder() = default;
  explicit Encoder(const TensorCode& code);

  uint8_t encode(float value) const { return code_of_[place(value)]; }
  float decode(uint8_t code) const { return levels_[code]; }
  void encode(std::span<const float> values, std::span<uint8_t> codes) const;
  void quantize(std::span<const float> values, std::span<float> levels) const;  // may alias

  // Smallest |x|, as float bits, of positive (negative) level i or more.
  std::vector<uint32_t> positive_thresholds() const;
  std::vector<uint32_t> negative_thresholds() const;

 private:
  // A place is one of the code's intervals of the real line: 0 ... m+ on the positive side, m+ + 1 ... m+ + 1 + m- on
  // the negative one, by ascending magnitude; the first of each side is that of zero, empty where no code stands for
  // it. Sign, exponent and six mantissa bits of a value give the first place that it can lie in; comparing with that
  // place's upper end moves it on.
  static constexpr int kBucketShift = 17;
  size_t place(float value) const;
  size_t place_in_one_step(uint32_t bits) const;

  size_t positive_levels_ = 0, negative_levels_ = 0;
  std::vector<uint16_t> first_place_;   // by bucket
  std::vector<uint32_t> upper_end_;     // by place: float bits of the magnitude at which the next place begins
  std::vector<uint8_t> code_of_;        // by place
  std::vector<float> level_of_;         // by place
  std::vector<float> levels_ = {0.0F};  // by code
  bool one_step_ = true;                // no bucket holds two ends
};

const char* to_string(Family family);
const char* to_string(Arithmetic arithmetic);
const char* to_string(Rounding rounding);
Family family_from_string(const std::string& text, int* pow2_q);  // "free", "shared-base", "beta0", "pow2:3"
Arithmetic arithmetic_from_string(const std::string& text);
Rounding rounding_from_string(const std::string& text);

}  // namespace dnateq
