// Rows of one layer's inputs and outputs, taken at a seeded choice of positions of each call.
#pragma once

#include <Eigen/Core>
#include <openvino/openvino.hpp>

#include "dnateq/code.h"
#include "graph/import.h"
#include "search/solve.h"

namespace dnateq {

class LayerSampler {
 public:
  // `share` of all positions is taken (1 = all), the choice seeded by `seed` and the call.
  LayerSampler(const Layer& layer, const Encoder* encoder, double share, uint64_t seed);

  // Rows of the layer's input, quantized; `x` is the tensor before quantization, `output` the layer's output shape.
  Eigen::MatrixXf inputs(size_t call, const ov::Tensor& x, const ov::Shape& output) const;
  // Rows of a tensor shaped as the layer's output.
  Eigen::MatrixXf outputs(size_t call, const ov::Tensor& tensor) const;
  // 1 / variance over the channels at each position of the tensor that a layer normalization reads; of an RMS
  // normalization, 1 / mean square.
  Eigen::VectorXf norm_weights(size_t call, const ov::Tensor& norm_input, bool is_centred = true) const;

  // Positions (rows of the implied matrix product) in an output of this shape.
  static int64_t positions(const Layer& layer, const ov::Shape& output);

 private:
  std::vector<int64_t> chosen(size_t call, const ov::Shape& output) const;
  void patch_rows(const ov::Tensor& x, const ov::Shape& out, const std::vector<int64_t>& chosen,
                  Eigen::MatrixXf& rows) const;

  const Layer& layer_;
  const Encoder* encoder_;
  double share_;
  uint64_t seed_;
};

// Joins the calls' rows in call order. Parts without inputs give samples without.
LayerSamples join(std::vector<LayerSamples>&& parts);

}  // namespace dnateq
