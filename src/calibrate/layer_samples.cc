#include "calibrate/layer_samples.h"

#include <algorithm>
#include <cmath>
#include <openvino/op/convolution.hpp>
#include <openvino/op/group_conv.hpp>
#include <random>

#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr uint64_t kCallSeedStep =
    1000003;                             // a prime beyond all calls, so that no two layers' choices are one another's
constexpr float kLeastVariance = 1e-6F;  // as layer normalizations add to it

using Eigen::Index;

bool is_convolution(const Layer& layer) {
  return layer.kind == LayerKind::kConvolution || layer.kind == LayerKind::kGroupConvolution;
}

// One position in each of n equal strata, n = share of all, at least one.
std::vector<int64_t> choose(int64_t positions, double share, uint64_t seed) {
  const auto wanted = std::clamp<int64_t>(std::llround(static_cast<double>(positions) * share), 1, positions);
  std::vector<int64_t> chosen(static_cast<size_t>(wanted));
  std::mt19937_64 random(seed);
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t begin = positions * i / wanted, end = positions * (i + 1) / wanted;
    chosen[static_cast<size_t>(i)] = begin + static_cast<int64_t>(random() % static_cast<uint64_t>(end - begin));
  }
  return chosen;
}

struct Window {  // of a convolution, spatial axes padded to three on the left
  std::array<int64_t, 3> kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0};
};

template <typename Convolution>
Window window_of(const Convolution& convolution, const ov::Shape& kernel_shape, size_t spatial) {
  Window window;
  const size_t first = 3 - spatial, kernel_at = kernel_shape.size() - spatial;
  for (size_t i = 0; i < spatial; ++i) {
    window.kernel[first + i] = static_cast<int64_t>(kernel_shape[kernel_at + i]);
    window.stride[first + i] = static_cast<int64_t>(convolution.get_strides()[i]);
    window.dilation[first + i] = static_cast<int64_t>(convolution.get_dilations()[i]);
    window.pad[first + i] = convolution.get_pads_begin()[i];
  }
  return window;
}

template <typename Convolution>
void same_pads(const Convolution& convolution, const std::array<int64_t, 3>& in, const std::array<int64_t, 3>& out,
               Window& window) {
  const auto type = convolution.get_auto_pad();
  if (type != ov::op::PadType::SAME_UPPER && type != ov::op::PadType::SAME_LOWER) return;
  for (size_t a = 0; a < 3; ++a) {
    const int64_t reach = window.dilation[a] * (window.kernel[a] - 1) + 1;
    const int64_t total = std::max<int64_t>(0, (out[a] - 1) * window.stride[a] + reach - in[a]);
    window.pad[a] = type == ov::op::PadType::SAME_UPPER ? total / 2 : (total + 1) / 2;
  }
}

std::array<int64_t, 3> spatial_of(const ov::Shape& shape) {
  std::array<int64_t, 3> spatial{1, 1, 1};
  for (size_t i = 2; i < shape.size(); ++i) spatial[3 - (shape.size() - i)] = static_cast<int64_t>(shape[i]);
  return spatial;
}

// Rows of `width` values that begin at data + chosen[i] * width. Some at a time, so that what is written of a column
// fills whole cache lines.
void copy_rows(const float* data, int64_t width, const std::vector<int64_t>& chosen, Eigen::MatrixXf& rows) {
  constexpr size_t kTogether = 16;
  for (size_t first = 0; first < chosen.size(); first += kTogether) {
    const size_t count = std::min(kTogether, chosen.size() - first);
    const float* from[kTogether];
    for (size_t i = 0; i < count; ++i) from[i] = data + chosen[first + i] * width;
    for (int64_t c = 0; c < width; ++c) {
      float* to = &rows(static_cast<Index>(first), c);
      for (size_t i = 0; i < count; ++i) to[i] = from[i][c];
    }
  }
}

// Values at the chosen positions of a tensor shaped as the layer's output, one row a position.
Eigen::MatrixXf output_rows(const Layer& layer, const ov::Tensor& tensor, const std::vector<int64_t>& chosen) {
  const float* data = tensor.data<float>();
  const ov::Shape& shape = tensor.get_shape();
  Eigen::MatrixXf rows(static_cast<Index>(chosen.size()), layer.rows);
  if (!is_convolution(layer)) {
    copy_rows(data, layer.rows, chosen, rows);
    return rows;
  }
  const int64_t area = static_cast<int64_t>(ov::shape_size(shape)) / static_cast<int64_t>(shape[0] * shape[1]);
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int64_t n = chosen[i] / area, at = chosen[i] % area;
    for (int64_t c = 0; c < layer.rows; ++c) rows(static_cast<Index>(i), c) = data[(n * layer.rows + c) * area + at];
  }
  return rows;
}

}  // namespace

LayerSampler::LayerSampler(const Layer& layer, const Encoder* encoder, double share, uint64_t seed)
    : layer_(layer), encoder_(encoder), share_(share), seed_(seed) {}

int64_t LayerSampler::positions(const Layer& layer, const ov::Shape& output) {
  return static_cast<int64_t>(ov::shape_size(output)) / layer.rows;
}

void LayerSampler::patch_rows(const ov::Tensor& x, const ov::Shape& out, const std::vector<int64_t>& chosen,
                              Eigen::MatrixXf& rows) const {
  const ov::Shape& in = x.get_shape();
  const float* data = x.data<float>();
  const std::array<int64_t, 3> in_size = spatial_of(in), out_size = spatial_of(out);
  const ov::Shape kernel = layer_.weights()->get_shape();
  Window window;
  if (const auto grouped = ov::as_type_ptr<ov::op::v1::GroupConvolution>(layer_.node)) {
    window = window_of(*grouped, kernel, in.size() - 2);
    same_pads(*grouped, in_size, out_size, window);
  } else {
    const auto dense = ov::as_type_ptr<ov::op::v1::Convolution>(layer_.node);
    window = window_of(*dense, kernel, in.size() - 2);
    same_pads(*dense, in_size, out_size, window);
  }
  const auto channels = static_cast<int64_t>(in[1]);
  const int64_t area_in = in_size[0] * in_size[1] * in_size[2], area_out = out_size[0] * out_size[1] * out_size[2];
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int64_t n = chosen[i] / area_out, at = chosen[i] % area_out;
    const std::array<int64_t, 3> o = {at / (out_size[1] * out_size[2]), at / out_size[2] % out_size[1],
                                      at % out_size[2]};
    Index column = 0;
    for (int64_t c = 0; c < channels; ++c) {
      const float* plane = data + (n * channels + c) * area_in;
      for (int64_t d = 0; d < window.kernel[0]; ++d)
        for (int64_t h = 0; h < window.kernel[1]; ++h)
          for (int64_t w = 0; w < window.kernel[2]; ++w) {
            const int64_t z = o[0] * window.stride[0] - window.pad[0] + d * window.dilation[0];
            const int64_t y = o[1] * window.stride[1] - window.pad[1] + h * window.dilation[1];
            const int64_t v = o[2] * window.stride[2] - window.pad[2] + w * window.dilation[2];
            const bool inside = z >= 0 && z < in_size[0] && y >= 0 && y < in_size[1] && v >= 0 && v < in_size[2];
            rows(static_cast<Index>(i), column++) = inside ? plane[(z * in_size[1] + y) * in_size[2] + v] : 0.0F;
          }
    }
  }
}

std::vector<int64_t> LayerSampler::chosen(size_t call, const ov::Shape& output) const {
  return choose(positions(layer_, output), share_, seed_ * kCallSeedStep + call);
}

Eigen::MatrixXf LayerSampler::inputs(size_t call, const ov::Tensor& x, const ov::Shape& output) const {
  const std::vector<int64_t> at = chosen(call, output);
  Eigen::MatrixXf rows(static_cast<Index>(at.size()), layer_.groups * layer_.columns);
  if (is_convolution(layer_)) {
    patch_rows(x, output, at, rows);
  } else {
    copy_rows(x.data<float>(), layer_.columns, at, rows);
  }
  if (encoder_ != nullptr) {
    const auto size = static_cast<size_t>(rows.size());
    encoder_->quantize({rows.data(), size}, {rows.data(), size});
  }
  return rows;
}

Eigen::MatrixXf LayerSampler::outputs(size_t call, const ov::Tensor& tensor) const {
  return output_rows(layer_, tensor, chosen(call, tensor.get_shape()));
}

Eigen::VectorXf LayerSampler::norm_weights(size_t call, const ov::Tensor& norm_input, bool is_centred) const {
  const Eigen::MatrixXf rows = outputs(call, norm_input);
  Eigen::VectorXf mean = Eigen::VectorXf::Zero(rows.rows());
  if (is_centred) mean = rows.rowwise().mean();
  const Eigen::VectorXf variance = (rows.colwise() - mean).rowwise().squaredNorm() / static_cast<float>(rows.cols());
  return (variance.array() + kLeastVariance).inverse();
}

LayerSamples join(std::vector<LayerSamples>&& parts) {
  Index rows = 0;
  bool weighted = true;
  for (const LayerSamples& part : parts) {
    rows += part.targets.rows();
    weighted = weighted && part.weights.size() > 0;
  }
  LayerSamples all;
  const bool inputs = parts.at(0).inputs.cols() > 0;
  if (inputs) all.inputs.resize(rows, parts[0].inputs.cols());
  all.targets.resize(rows, parts[0].targets.cols());
  if (weighted) all.weights.resize(rows);
  Index at = 0;
  for (LayerSamples& part : parts) {
    const Index count = part.targets.rows();
    if (inputs) all.inputs.middleRows(at, count) = part.inputs;
    all.targets.middleRows(at, count) = part.targets;
    if (weighted) all.weights.segment(at, count) = part.weights;
    at += count;
    part = LayerSamples();
  }
  return all;
}

}  // namespace dnateq
