// One quantizable layer of a network.
#pragma once

#include <cstdint>
#include <memory>
#include <openvino/op/constant.hpp>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/pair_sums.h"

namespace dnateq {

enum class LayerKind { kConvolution, kGroupConvolution, kMatMul, kEmbedding };

// Weights are seen as a matrix: `rows` output channels by `columns` inputs per channel,
// row-major (Convolution: [O][I*kh*kw]; GroupConvolution: [G*O/G][I/G*kh*kw]; MatMul: [N][K]; embedding:
// [vocabulary][width]).
struct Layer {
  std::string name;
  LayerKind kind = LayerKind::kConvolution;
  std::shared_ptr<ov::Node> node;
  size_t weight_port = 1;
  size_t activation_port = 0;       // meaningless for embeddings
  bool weights_transposed = false;  // the Constant holds [columns][rows] (MatMul without transpose_b)
  int64_t rows = 0, columns = 0, groups = 1;
  std::optional<size_t> shares_weights_with;  // an earlier layer, whose Constant holds the same values
  bool had_own_copy = false;                  // shared now, but the file held these weights a second time
  bool centered = false;  // its input has lost its channel means, its output has got them back (center.h)

  std::shared_ptr<ov::op::v0::Constant> weights() const;
  std::vector<float> weight_matrix() const;  // rows x columns
  // Columns of a row whose products OpenVINO's 8-bit kernels may add in 16 bits (core/pair_sums.h); none for
  // embeddings and depthwise convolutions.
  std::vector<ColumnPair> added_pairs() const;
  // Of one value per output channel, to be added to the layer's output: broadcasts from the last axis on.
  ov::Shape bias_shape() const;
  size_t axes_behind_channels() const;  // of the output
  // The Constant's layout again, from a rows x columns matrix.
  template <typename T>
  std::vector<T> to_model_layout(const std::vector<T>& matrix) const;
};

template <typename T>
std::vector<T> Layer::to_model_layout(const std::vector<T>& matrix) const {
  if (!weights_transposed) return matrix;
  std::vector<T> out(matrix.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c * rows + r)] = matrix[static_cast<size_t>(r * columns + c)];
  return out;
}

}  // namespace dnateq
