// The Hadamard transform, in blocks: orthogonal, its own inverse, and made of additions alone. It spreads a block's
// outliers over all of it, which codes with one scale like.
#pragma once

#include <cstddef>
#include <span>

namespace dnateq {

// The largest block that a row of so many values is cut into: a power of 2, at most 512.
size_t hadamard_block(size_t width);

// Each block of `values`, whose number is a multiple of `block`, times H / sqrt(block), H[i][j] = -1 to the number of
// ones in i & j. Every CPU gives the same bits.
void hadamard(std::span<float> values, size_t block);

}  // namespace dnateq
