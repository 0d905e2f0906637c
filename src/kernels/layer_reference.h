// What a layer on levels computes: the definition of the `exact` emission, in plain code.
//
// Sums of products of integer levels, exact in INT32; then, in float32 with every operation rounded once, the epilogue
// of epilogue.h in its order (finish_block_scalar); then whatever takes the values, an encoder for instance
// (encode_scalar). Every kernel of every instruction set gives the same bits, at any number of threads: the tests hold
// whole networks against this. A MatMul is the convolution of a map of height 1 by one tap.
//
// Source: ours. Non-goals: speed, packed codes (convolution.h has both).
#pragma once

#include <span>

#include "kernels/convolution.h"
#include "kernels/epilogue.h"

namespace dnateq::kernels {

// `weights`: levels, outputs x kernel height x kernel width x (channels / groups). `x`: dense NHWC levels. Throws Error
// on a shape that is none, on weights of another size and where a sum leaves INT32.
void convolve_reference(const ConvolutionShape& shape, std::span<const int> weights, const Levels& x,
                        const Epilogue& epilogue);

}  // namespace dnateq::kernels
