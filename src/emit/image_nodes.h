// What convolutions and means over images are, as emissions that replace them need to know it.
#pragma once

#include <cstdint>
#include <openvino/openvino.hpp>
#include <optional>
#include <vector>

#include "ops/ops.h"

namespace dnateq {

std::vector<int64_t> signed_sizes(const ov::Strides& values);
std::vector<int64_t> signed_sizes(const ov::CoordinateDiff& values);

// Whether one axis has the output size that our operations compute; true where sizes are open.
bool windows_agree(const ov::Dimension& in, const ov::Dimension& out, int64_t kernel, const ops::LevelWindows& windows,
                   size_t axis);

// Of a Convolution or GroupConvolution over one or two axes whose windows are known before it runs; else nothing.
std::optional<ops::LevelWindows> windows_of(const ov::Node& convolution, const std::vector<int64_t>& weight_shape);

// A mean over the whole image, channels first: of the axes 2 and 3, or a pooling of the image's size.
struct ImageMeanNode {
  ov::Output<ov::Node> x;
  bool keeps_axes;
};
std::optional<ImageMeanNode> image_mean_of(const ov::Node& node);

// The tensor with its channels moved to the end, or back to axis 1.
ov::Output<ov::Node> turned(const ov::Output<ov::Node>& x, bool to_channels_last);

}  // namespace dnateq
