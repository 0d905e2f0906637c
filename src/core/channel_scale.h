// Channel scales of weights: a float16 for each row of a tensor, times a power of two that its rows share.
//
// The power is 2^0 where float16's normal numbers hold every row's scale, as they do in nearly all networks. Else it
// puts the largest scale near the end of float16: rows down to 2^-27 of the largest keep 11 bits of their scale, those
// down to 2^-37 fewer and fewer, and the values of rows below that are rounded as if their scale were 2^-37: most to
// zero. That is what such rows are worth: batch normalisation is folded in before, so that a channel of such weights
// adds nothing that its neighbours' rounding does not exceed; trained networks have them where weight decay killed a
// channel.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "core/pack.h"

namespace dnateq {

// Every float16 times 2^exponent is a normal float32.
inline constexpr int kLeastScaleExponent = -100, kMostScaleExponent = 100;

inline float channel_scale(uint16_t float16, int exponent) { return std::ldexp(from_float16(float16), exponent); }

// The exponent for weights of that many rows, by the root mean square of each: 0 where none is needed.
int scale_exponent_of(std::span<const float> weights, int64_t rows);

}  // namespace dnateq
