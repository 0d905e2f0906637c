#include "graph/layer.h"

#include <openvino/opsets/opset13.hpp>

#include "graph/disk_constants.h"

namespace dnateq {

namespace op = ov::opset13;

std::shared_ptr<op::Constant> Layer::weights() const {
  return ov::as_type_ptr<op::Constant>(node->get_input_node_shared_ptr(weight_port));
}

std::vector<ColumnPair> Layer::added_pairs() const {
  if (kind == LayerKind::kEmbedding) return {};
  std::vector<int64_t> taps;
  if (kind != LayerKind::kMatMul) {
    const ov::Shape shape = weights()->get_shape();
    taps.assign(shape.begin() + (kind == LayerKind::kGroupConvolution ? 3 : 2), shape.end());
    int64_t count = 1;
    for (const int64_t extent : taps) count *= extent;
    if (kind == LayerKind::kGroupConvolution && columns == count && rows == groups) return {};
  }
  return dnateq::added_pairs(columns, taps);
}

std::vector<float> Layer::weight_matrix() const {
  const auto constant = weights();
  const std::vector<float> values = constant->cast_vector<float>();
  leave_memory(*constant);
  if (!weights_transposed) return values;
  std::vector<float> matrix(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      matrix[static_cast<size_t>(r * columns + c)] = values[static_cast<size_t>(c * rows + r)];
  return matrix;
}

ov::Shape Layer::bias_shape() const {
  const auto channels = static_cast<size_t>(rows);
  if (kind == LayerKind::kMatMul) return weight_port == 0 ? ov::Shape{channels, 1} : ov::Shape{channels};
  const size_t weight_rank = node->get_input_shape(weight_port).size();
  ov::Shape shape(kind == LayerKind::kGroupConvolution ? weight_rank - 1 : weight_rank, 1);
  shape[1] = channels;
  return shape;
}

size_t Layer::axes_behind_channels() const {
  const ov::Shape shape = bias_shape();
  return kind == LayerKind::kMatMul ? shape.size() - 1 : shape.size() - 2;
}

}  // namespace dnateq
