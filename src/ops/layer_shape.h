// Shapes of a layer's weights as the kernels take them, from its blob and windows.
#pragma once

#include <openvino/core/except.hpp>
#include <openvino/core/node.hpp>
#include <span>
#include <vector>

#include "core/blob.h"
#include "kernels/convolution.h"
#include "ops/ops.h"

namespace dnateq::ops {

// Rows of I, taps ... -> taps ..., I.
inline std::vector<uint8_t> channels_last(std::span<const uint8_t> codes, size_t rows, size_t inputs, size_t taps) {
  std::vector<uint8_t> turned(codes.size());
  for (size_t row = 0; row < rows; ++row) {
    const size_t first = row * inputs * taps;
    for (size_t input = 0; input < inputs; ++input)
      for (size_t tap = 0; tap < taps; ++tap) turned[first + tap * inputs + input] = codes[first + input * taps + tap];
  }
  return turned;
}

// All but batch, height and width. `windows`: null of a MatMul.
inline kernels::ConvolutionShape window_of_layer(const LevelWindows* windows, const BlobHeader& weights,
                                                 size_t groups) {
  kernels::ConvolutionShape shape;
  shape.outputs = static_cast<size_t>(weights.rows), shape.groups = groups;
  shape.channels = static_cast<size_t>(weights.columns) * groups;
  if (windows == nullptr) return shape;
  const size_t axes = windows->strides.size(), w = axes - 1;
  const auto at = [](const std::vector<int64_t>& values, size_t axis) { return static_cast<size_t>(values[axis]); };
  const size_t kernel = weights.shape.size() - axes;
  shape.kernel_width = at(weights.shape, kernel + w), shape.stride_width = at(windows->strides, w);
  shape.dilation_width = at(windows->dilations, w);
  shape.pad_left = at(windows->pads_begin, w), shape.pad_right = at(windows->pads_end, w);
  if (axes == 2) {
    shape.kernel_height = at(weights.shape, kernel), shape.stride_height = at(windows->strides, 0);
    shape.dilation_height = at(windows->dilations, 0);
    shape.pad_top = at(windows->pads_begin, 0), shape.pad_bottom = at(windows->pads_end, 0);
  }
  shape.channels /= shape.taps();
  return shape;
}

// Channels of the tensor that such a layer reads, all groups together.
inline int64_t inputs_of_layer(const ov::Node& node, const BlobHeader& weights, const LevelWindows* windows,
                               int64_t groups) {
  const std::string& name = node.get_friendly_name();
  OPENVINO_ASSERT(groups > 0 && weights.rows % groups == 0, "'", name, "': ", weights.rows,
                  " channels do not split into ", groups, " groups.");
  if (windows == nullptr) return weights.columns;
  int64_t taps = 1;
  const size_t axes = windows->strides.size();
  OPENVINO_ASSERT(weights.shape.size() >= axes + 2, "'", name, "': the weights are none of a convolution.");
  for (size_t i = 0; i < axes; ++i) taps *= weights.shape[weights.shape.size() - 1 - i];
  OPENVINO_ASSERT(taps > 0 && weights.columns % taps == 0, "'", name,
                  "': the weights' shape is none of a convolution.");
  return weights.columns / taps * groups;
}

}  // namespace dnateq::ops
