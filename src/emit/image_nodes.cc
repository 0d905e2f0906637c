#include "emit/image_nodes.h"

#include <algorithm>
#include <openvino/opsets/opset13.hpp>

namespace dnateq {
namespace {

namespace op = ov::opset13;

template <typename Convolution>
std::optional<ops::LevelWindows> windows_of_convolution(const Convolution& convolution,
                                                        const std::vector<int64_t>& weight_shape) {
  const ov::PartialShape& in = convolution.get_input_partial_shape(0);
  const ov::PartialShape& out = convolution.get_output_partial_shape(0);
  const size_t axes = convolution.get_strides().size();
  if ((axes != 1 && axes != 2) || in.rank().is_dynamic() || out.rank().is_dynamic()) return std::nullopt;
  ops::LevelWindows windows = {signed_sizes(convolution.get_strides()), signed_sizes(convolution.get_dilations()),
                               signed_sizes(convolution.get_pads_begin()), signed_sizes(convolution.get_pads_end())};
  if (convolution.get_auto_pad() == ov::op::PadType::VALID)
    windows.pads_begin = windows.pads_end = std::vector<int64_t>(axes, 0);
  const bool same_size = convolution.get_auto_pad() == ov::op::PadType::SAME_UPPER ||
                         convolution.get_auto_pad() == ov::op::PadType::SAME_LOWER;
  for (size_t i = 0; i < axes; ++i) {
    if (windows.pads_begin[i] < 0 || windows.pads_end[i] < 0) return std::nullopt;
    if (same_size && in[2 + i].is_dynamic()) return std::nullopt;
    if (!windows_agree(in[2 + i], out[2 + i], weight_shape[weight_shape.size() - axes + i], windows, i))
      return std::nullopt;
  }
  return windows;
}

}  // namespace

std::vector<int64_t> signed_sizes(const ov::Strides& values) { return {values.begin(), values.end()}; }
std::vector<int64_t> signed_sizes(const ov::CoordinateDiff& values) { return {values.begin(), values.end()}; }

bool windows_agree(const ov::Dimension& in, const ov::Dimension& out, int64_t kernel, const ops::LevelWindows& windows,
                   size_t axis) {
  if (in.is_dynamic() || out.is_dynamic()) return true;
  const int64_t padded = in.get_length() + windows.pads_begin[axis] + windows.pads_end[axis];
  const int64_t span = (kernel - 1) * windows.dilations[axis] + 1;
  return padded >= span && out.get_length() == (padded - span) / windows.strides[axis] + 1;
}

std::optional<ops::LevelWindows> windows_of(const ov::Node& node, const std::vector<int64_t>& weight_shape) {
  if (const auto* convolution = ov::as_type<const op::Convolution>(&node))
    return windows_of_convolution(*convolution, weight_shape);
  if (const auto* grouped = ov::as_type<const op::GroupConvolution>(&node))
    return windows_of_convolution(*grouped, weight_shape);
  return std::nullopt;
}

std::optional<ImageMeanNode> image_mean_of(const ov::Node& node) {
  const ov::PartialShape& in =
      node.get_input_size() > 0 ? node.get_input_partial_shape(0) : ov::PartialShape::dynamic();
  if (in.rank().is_dynamic() || in.size() != 4) return std::nullopt;
  if (const auto* mean = ov::as_type<const op::ReduceMean>(&node)) {
    if (!mean->reduction_axes_constant()) return std::nullopt;
    const ov::AxisSet axes = mean->get_reduction_axes();
    if (axes != ov::AxisSet{2, 3}) return std::nullopt;
    return ImageMeanNode{node.input_value(0), mean->get_keep_dims()};
  }
  const auto* pool = ov::as_type<const op::AvgPool>(&node);
  if (pool == nullptr || in[2].is_dynamic() || in[3].is_dynamic()) return std::nullopt;
  const ov::Shape image = {static_cast<size_t>(in[2].get_length()), static_cast<size_t>(in[3].get_length())};
  const auto no_pads = [](const ov::Shape& pads) {
    return std::all_of(pads.begin(), pads.end(), [](size_t pad) { return pad == 0; });
  };
  const bool whole = pool->get_kernel() == image && no_pads(pool->get_pads_begin()) && no_pads(pool->get_pads_end());
  return whole ? std::optional(ImageMeanNode{node.input_value(0), true}) : std::nullopt;
}

ov::Output<ov::Node> turned(const ov::Output<ov::Node>& x, bool to_channels_last) {
  const auto rank = static_cast<size_t>(x.get_partial_shape().rank().get_length());
  std::vector<int64_t> order(rank);
  for (size_t i = 0; i < rank; ++i) order[i] = static_cast<int64_t>(i);
  if (to_channels_last)
    std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  else
    std::rotate(order.begin() + 1, order.end() - 1, order.end());
  return std::make_shared<op::Transpose>(x, op::Constant::create(ov::element::i64, ov::Shape{rank}, order));
}

}  // namespace dnateq
