// Putting an exact network on integer levels.
//
// An exact network, as emission first writes it, is OpenVINO's float32 layers between ExponentialQuantize and decoded
// ExponentialWeights, which stay where a layer has no integers. Here every convolution and MatMul whose two codes are
// int8 grids becomes one operation on levels (ops/ops.h) that takes with it the constant added to its output, a
// residual sum, and ReLU or Clamp. Such layers hand each other levels, through max pooling and concatenated channels
// too, as the encoder is monotone, and residual sums their float32 values, all channels last; other consumers get those
// turned back, and global means are taken of them directly. A result that nobody reads as float32 is never written as
// such.
//
// What the layers then compute is defined by scalar code: exact sums of levels, one epilogue in a fixed order of
// float32 operations, encoding by thresholds (kernels/layer_reference.h). Kernels of every instruction set give its
// bits. The float32 layers give the same but for the rounding of their sums, by which a value on a threshold may change
// its level.
#pragma once

#include <memory>
#include <openvino/openvino.hpp>

namespace dnateq {

// Changes the model in place; names and shapes of its inputs and outputs stay.
void fuse_levels(const std::shared_ptr<ov::Model>& model);

}  // namespace dnateq
