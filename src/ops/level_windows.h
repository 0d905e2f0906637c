// Attributes and shapes of windows over images, channels last.
#pragma once

#include <openvino/core/attribute_visitor.hpp>
#include <openvino/core/except.hpp>
#include <openvino/core/partial_shape.hpp>
#include <vector>

#include "ops/ops.h"

namespace dnateq::ops {

inline void visit_windows(ov::AttributeVisitor& visitor, LevelWindows& windows) {
  visitor.on_attribute("strides", windows.strides);
  visitor.on_attribute("dilations", windows.dilations);
  visitor.on_attribute("pads_begin", windows.pads_begin);
  visitor.on_attribute("pads_end", windows.pads_end);
}

inline void check_windows(const ov::Node& node, const LevelWindows& windows) {
  const size_t axes = windows.strides.size();
  bool sound = (axes == 1 || axes == 2) && windows.dilations.size() == axes && windows.pads_begin.size() == axes &&
               windows.pads_end.size() == axes;
  for (size_t i = 0; sound && i < axes; ++i)
    sound =
        windows.strides[i] > 0 && windows.dilations[i] > 0 && windows.pads_begin[i] >= 0 && windows.pads_end[i] >= 0;
  OPENVINO_ASSERT(sound, "'", node.get_friendly_name(), "': strides, dilations or pads are none of one or two axes.");
}

// [N, spatial ..., C] -> [N, spatial ..., channels]. `kernel`: sizes of the spatial axes; empty: not known yet.
inline ov::PartialShape windows_shape(const ov::Node& node, const ov::PartialShape& x, const LevelWindows& windows,
                                      const int64_t* kernel, const ov::Dimension& channels) {
  const size_t axes = windows.strides.size();
  if (x.rank().is_dynamic()) {
    ov::PartialShape shape = ov::PartialShape::dynamic(static_cast<int64_t>(axes) + 2);
    shape[axes + 1] = channels;
    return shape;
  }
  OPENVINO_ASSERT(x.size() == axes + 2, "'", node.get_friendly_name(), "': the levels are ", x, ", windows have ", axes,
                  " axes.");
  ov::PartialShape shape = x;
  shape[axes + 1] = channels;
  for (size_t i = 0; i < axes; ++i) {
    const ov::Dimension size = x[i + 1];
    shape[i + 1] = ov::Dimension::dynamic();
    if (kernel == nullptr || size.is_dynamic()) continue;
    const int64_t padded = size.get_length() + windows.pads_begin[i] + windows.pads_end[i];
    const int64_t span = (kernel[i] - 1) * windows.dilations[i] + 1;
    OPENVINO_ASSERT(padded >= span, "'", node.get_friendly_name(), "': a kernel of ", kernel[i],
                    " does not fit an image of ", x, " with its padding.");
    shape[i + 1] = (padded - span) / windows.strides[i] + 1;
  }
  return shape;
}

}  // namespace dnateq::ops
