// Convolution on stored codes: NHWC integer activations with packed weights, exact in INT32. Images are maps of height
// 1 for 1-D convolutions; padding is level 0.
//
//   sum[n][oh][ow][o] = sum over kh, kw, c of
//                       x[n][oh * stride_h - pad_top + kh * dilation_h][ow * stride_w - pad_left + kw * dilation_w][c]
//                       * level[o][kh][kw][c]
//
// It is the matmul of epilogue.h: rows m = (n * OH + oh) * OW + ow, columns the output channels. The weights of a group
// are one PackedWeights: channels = its outputs, inputs ordered kh, kw, c (ONNX and OpenVINO store o, c, kh, kw: c goes
// last). Group g reads the g-th block of input channels and writes the g-th block of outputs.
//
// How. 1 x 1 with stride 1 is the matmul itself. Else the output is cut into tiles of rows whose input window stays in
// the second-level cache; the window is copied once with its padding. Where all inputs of a filter line are a multiple
// of 4, the kernel reads its rows out of the window ("windows", matmul_kernel.h); else, and for kernels that cannot,
// the tile's rows are gathered (im2col of a tile). No im2col matrix of the image is ever made.
//
// Depthwise (as many groups as inputs and as outputs) has its own kernels on levels that are decoded once, named after
// the matmul kernel of the same instructions, so that DNATEQ_KERNEL holds for them too.
//
// Threads: tbb::parallel_for over tiles, and over panels of outputs where tiles are few, in the caller's arena. No call
// allocates once its thread has run one of the same size. Source: ours. Non-goals: NCHW, transposed convolution, speed
// with few outputs a group (a panel computes 64: 4 a group reach an eighth of oneDNN's speed).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/epilogue.h"
#include "kernels/packed_weights.h"

namespace dnateq::kernels {

struct ConvolutionShape {
  size_t batch = 1, height = 1, width = 1;
  size_t channels = 1, outputs = 1, groups = 1;  // of all groups together
  size_t kernel_height = 1, kernel_width = 1;
  size_t stride_height = 1, stride_width = 1;
  size_t dilation_height = 1, dilation_width = 1;
  size_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  // 0 where the kernel does not fit the padded image.
  size_t output_height() const;
  size_t output_width() const;
  size_t rows() const { return batch * output_height() * output_width(); }  // of the output
  size_t pads() const { return pad_top + pad_left + pad_bottom + pad_right; }
  size_t taps() const { return kernel_height * kernel_width; }
  size_t inputs() const { return taps() * (channels / groups); }  // of one output: K
};

// Dense NHWC levels, of any alignment.
struct Levels {
  explicit Levels(const int8_t* levels) : data(reinterpret_cast<const uint8_t*>(levels)), is_signed(true) {}
  explicit Levels(const uint8_t* levels) : data(levels), is_signed(false) {}

  const uint8_t* data;
  bool is_signed;
};

// Throws Error if shape and weights do not agree, and wherever matmul() does. An empty batch is no work.
void convolve(const ConvolutionShape& shape, std::span<const PackedWeights> groups, const Levels& x,
              const Epilogue& epilogue);
inline void convolve(const ConvolutionShape& shape, const PackedWeights& weights, const Levels& x,
                     const Epilogue& epilogue) {
  convolve(shape, {&weights, 1}, x, epilogue);
}
// With the matmul kernel of this name; throws Error, with the reason, where it does not take the problem.
void convolve_with(std::string_view kernel, const ConvolutionShape& shape, std::span<const PackedWeights> groups,
                   const Levels& x, const Epilogue& epilogue);

// Throws Error, with the reason, on a shape that is none.
void check(const ConvolutionShape& shape);

}  // namespace dnateq::kernels
