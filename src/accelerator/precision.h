// Bits of the built-in lists, for which there is no recipe: a mean width, whole bits a layer.
#pragma once

#include <cstdint>
#include <string>

#include "accelerator/workload.h"

namespace dnateq::accelerator {

// What the paper's mean bits count. Its text was not at hand: both readings are simulated.
enum class BitsAre { kStored, kExponent };  // with the sign, or exponent bits alone, to which the sign comes on top
const char* to_string(BitsAre reading);     // "stored", "exponent"

struct Precision {
  double weight_bits = 0, activation_bits = 0;  // mean over layers
  BitsAre bits_are = BitsAre::kStored;
  double weight_zeros = 0, activation_zeros = 0;  // shares of values
  std::string origin = {};
};

// DNA-TEQ's averages as its summary states them: 4.83 over AlexNet, ResNet-50 and Transformer (40 % below 8), 3.05 for
// the Transformer; the 5.72 of the other two is what that leaves for them. The 40 % say that the sign is counted, so
// they are read as stored bits; whoever reads them otherwise sets `bits_are`.
Precision paper_precision(const std::string& built_in);

// Every layer gets the whole number of bits below or above the mean, so that the running mean over layers stays within
// half a bit of it; a code has a sign and stored bits - 1 exponent bits; a layer has one base, that of set_precision()
// for its wider operand. Throws Error for bits outside 2 ... 8 stored ones and shares outside 0 ... 1.
void set_mean_precision(Workload& workload, const Precision& precision);

// The narrowest processing element; codes of fewer exponent bits run on it.
inline constexpr int kNarrowestExponentBits = 2;

// Codes of two bases have no common exponent to add.
bool same_base(const Layer& layer);
// Both operands in a base 2^(1/q) with the same whole q.
bool has_shift_base(const Layer& layer);

// The same bits as if the codes were of the shift design's family: every layer whose operands do not share a base
// 2^(1/q) with a whole q gets the one of set_precision() for its wider operand. What that costs in accuracy is not said
// here: `dnateq quantize --family pow2:q` measures it.
void set_shift_bases(Workload& workload);

// `coded` with every layer that its codes' exponential lanes do not run as in `int8`, which has the same layers: those
// without codes (int8_lanes) and those with more exponent bits than `most`. Their operands are 8 bits in memory, too.
Workload with_int8_layers(const Workload& coded, const Workload& int8, int64_t most);

}  // namespace dnateq::accelerator
