// Networks of every kind of layer that runs on levels, with random codes.
#pragma once

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "core/pack.h"
#include "emit/emit.h"
#include "graph/test_models.h"

namespace dnateq::testing {

// Levels up to `highest`; `negatives` as in with_level_counts().
inline TensorCode grid_code(int bits, double highest, int negatives = -1) {
  TensorCode code = with_level_counts(TensorCode{}, bits, negatives);
  const double integers = negatives == 0 ? 255 : 127;
  code.base = bits > 5 ? 1.0001 : 1.3;
  code.grid = integers / highest;
  const double top = std::pow(code.base, std::max(code.positive_levels, code.negative_levels) - 1);
  const double lowest = (bits > 6 ? 1.0 : 3.0) / code.grid;
  code.alpha = (highest - lowest) / (top - 1.0);
  code.beta = lowest - code.alpha;
  return code;
}

// Random codes for every layer; inputs behind a ReLU have no negative level. `spread`: layers that read one tensor
// differ in their codes of it.
inline std::vector<LayerCodes> random_codes(const PreparedModel& prepared, bool spread = false) {
  std::vector<LayerCodes> all;
  for (size_t i = 0; i < prepared.layers.size(); ++i) {
    const Layer& layer = prepared.layers[i];
    LayerCodes codes;
    const int bits = 3 + static_cast<int>(i % 3);
    codes.code = grid_code(bits, 1.2);
    std::mt19937 random(static_cast<unsigned>(40 + i));
    for (int64_t k = 0; k < layer.rows * layer.columns; ++k)
      codes.codes.push_back(static_cast<uint8_t>(random() % (1U << bits)));
    const auto fan_in = static_cast<float>(layer.columns);
    for (const float gamma : random_values(static_cast<size_t>(layer.rows), static_cast<unsigned>(70 + i), 0.3F))
      codes.gamma.push_back(to_float16((1.5F + gamma) / std::sqrt(fan_in)));
    codes.bias = random_values(static_cast<size_t>(layer.rows), static_cast<unsigned>(90 + i), 0.2F);
    const auto source = layer.node->get_input_node_shared_ptr(layer.activation_port);
    const bool unsigned_input = ov::is_type<op::Relu>(source) || ov::is_type<op::MaxPool>(source);
    codes.activations =
        grid_code(spread ? 3 + static_cast<int>(i % 4) : 4, unsigned_input ? 4.0 : 3.0, unsigned_input ? 0 : -1);
    all.push_back(codes);
  }
  return all;
}

// Real levels up to `highest`, of n exponent bits.
inline TensorCode real_code(int exponent_bits, bool is_signed, double base, double highest, bool beta_is_zero) {
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.family = beta_is_zero ? Family::kBeta0 : Family::kSharedBase;
  code.stored_bits = exponent_bits + (is_signed ? 1 : 0);
  code.positive_levels = (1 << exponent_bits) - 1;
  code.negative_levels = is_signed ? code.positive_levels : 0;
  code.base = base;
  const double beta_by_alpha = beta_is_zero ? 0 : -0.6;
  code.alpha = highest / (std::pow(base, code.positive_levels - 1) + beta_by_alpha);
  code.beta = beta_by_alpha * code.alpha;
  return code;
}

// As random_codes, in the exponent domain: each layer's two codes share a base.
inline std::vector<LayerCodes> random_exponents(const PreparedModel& prepared, bool beta_is_zero = false) {
  std::vector<LayerCodes> all = random_codes(prepared);
  for (size_t i = 0; i < all.size(); ++i) {
    const int bits = 2 + static_cast<int>(i % 4);
    const double base = 1.1 + 0.9 / (1 << bits);
    all[i].code = real_code(bits, true, base, 1.2, beta_is_zero);
    std::mt19937 random(static_cast<unsigned>(140 + i));
    for (uint8_t& code : all[i].codes)
      code = static_cast<uint8_t>(random() % static_cast<unsigned>(1 + 2 * all[i].code.positive_levels));
    all[i].activations = real_code(bits, all[i].activations->negative_levels > 0, base, 3.0, beta_is_zero);
  }
  return all;
}

inline size_t count_of(const ModelPtr& model, const std::string& type) {
  size_t found = 0;
  for (const auto& node : model->get_ordered_ops()) found += node->get_type_name() == type;
  return found;
}

struct NetworkCase {
  std::string name;
  ModelPtr model;
  ov::Shape input;
  size_t transposes = 0, encodes = 1;  // in the fused network
  bool leaves_floats = false;          // to OpenVINO (float_operations.h)
};

inline std::shared_ptr<op::Convolution> windowed(const std::string& name, const ov::Output<ov::Node>& x,
                                                 const ov::Shape& w, unsigned seed, const ov::Strides& strides,
                                                 const ov::Strides& dilations, const ov::CoordinateDiff& begin,
                                                 const ov::CoordinateDiff& end) {
  return named<op::Convolution>(name, x, random_constant(w, seed, 0.3F), strides, begin, end, dilations);
}

inline NodePtr grouped(const std::string& name, const ov::Output<ov::Node>& x, const ov::Shape& w, unsigned seed) {
  const size_t axes = w.size() - 3;
  return named<op::GroupConvolution>(name, x, random_constant(w, seed, 0.3F), ov::Strides(axes, 1),
                                     ov::CoordinateDiff(axes, 1), ov::CoordinateDiff(axes, 1), ov::Strides(axes, 1));
}

inline NodePtr max_pool(const ov::Output<ov::Node>& x, const ov::Shape& kernel, size_t stride, size_t pad,
                        ov::op::RoundingType rounding = ov::op::RoundingType::FLOOR) {
  const size_t axes = kernel.size();
  return std::make_shared<op::MaxPool>(x, ov::Strides(axes, stride), ov::Strides(axes, 1), ov::Shape(axes, pad),
                                       ov::Shape(axes, pad), kernel, rounding);
}

inline ModelPtr mobile_block() {
  const auto x = parameter("image", {-1, 3, 11, 9});
  const auto wide = std::make_shared<op::Clamp>(convolution("expand", x, {40, 3, 1, 1}, 1, 1, 0), 0, 6);
  const auto deep = std::make_shared<op::Clamp>(grouped("depthwise", wide, {40, 1, 1, 3, 3}, 2), 0, 2);
  const auto narrow = convolution("project", deep, {3, 40, 1, 1}, 3, 1, 0);
  return model_of(std::make_shared<op::Add>(x, narrow), {x});
}

inline ModelPtr windows_of_every_kind() {
  const auto x = parameter("image", {-1, 5, 17, 14});
  const auto a = std::make_shared<op::Relu>(windowed("a", x, {12, 5, 3, 5}, 1, {2, 1}, {1, 2}, {0, 3}, {2, 1}));
  const auto b = std::make_shared<op::Relu>(grouped("b", a, {3, 6, 4, 3, 3}, 2));
  const auto same = std::make_shared<op::Convolution>(b, random_constant({70, 18, 4, 4}, 3, 0.1F), ov::Strides{3, 2},
                                                      ov::CoordinateDiff{}, ov::CoordinateDiff{}, ov::Strides{1, 1},
                                                      ov::op::PadType::SAME_UPPER);
  return model_of(same, {x});
}

inline ModelPtr one_dimensional() {
  const auto x = parameter("signal", {-1, 4, 33});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {10, 4, 5}, 1, 2, 2));
  const auto pooled = max_pool(a, {3}, 2, 1);
  const auto b = std::make_shared<op::Relu>(convolution("b", pooled, {10, 10, 3}, 2));
  return model_of(std::make_shared<op::Add>(convolution("c", b, {10, 10, 3}, 3), pooled), {x});
}

inline ModelPtr pooled_twice() {
  const auto x = parameter("image", {-1, 3, 20, 21});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {16, 3, 3, 3}, 1));
  const auto pooled = max_pool(max_pool(a, {3, 3}, 2, 1), {2, 3}, 2, 0, ov::op::RoundingType::CEIL);
  const auto left = std::make_shared<op::Relu>(convolution("left", pooled, {9, 16, 1, 1}, 2, 1, 0));
  const auto right = std::make_shared<op::Relu>(convolution("right", pooled, {9, 16, 3, 3}, 3));
  const auto sum =
      std::make_shared<op::Relu>(std::make_shared<op::Add>(convolution("on", left, {9, 9, 3, 3}, 4), right));
  const auto mean =
      std::make_shared<op::AvgPool>(sum, ov::Strides{1, 1}, ov::Shape{0, 0}, ov::Shape{0, 0}, ov::Shape{5, 5}, true);
  const auto flat = std::make_shared<op::Reshape>(mean, constant({0, -1}), true);
  return model_of(linear("head", std::make_shared<op::Relu>(linear("hidden", flat, 7, 9, 6)), 5, 7, 8), {x});
}

inline ModelPtr read_by_many() {  // levels of three codes, float32 for a residual sum, channels first for a result
  const auto x = parameter("image", {-1, 3, 8, 8});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {8, 3, 3, 3}, 1));
  const auto b = convolution("b", a, {8, 8, 3, 3}, 2), c = convolution("c", a, {8, 8, 1, 1}, 3, 1, 0);
  const auto d = std::make_shared<op::Add>(convolution("d", a, {8, 8, 3, 3}, 4), a);
  const auto all = std::make_shared<op::Concat>(ov::OutputVector{a, b, c, d, std::make_shared<op::Sigmoid>(d)}, 1);
  return model_of(all, {x});
}

inline ModelPtr inception() {
  const auto x = parameter("image", {-1, 3, 9, 9});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {8, 3, 3, 3}, 1));
  const auto b = std::make_shared<op::Relu>(convolution("b", a, {5, 8, 1, 1}, 2, 1, 0));
  const auto c = std::make_shared<op::Relu>(convolution("c", b, {7, 5, 3, 3}, 3));
  const auto joined = std::make_shared<op::Concat>(ov::OutputVector{b, c, max_pool(a, {3, 3}, 1, 1)}, -3);
  const auto all = std::make_shared<op::Concat>(
      ov::OutputVector{max_pool(joined, {3, 3}, 2, 0), convolution("d", joined, {4, 20, 3, 3}, 4, 2, 0)}, 1);
  return model_of(convolution("e", all, {6, 24, 1, 1}, 5, 1, 0), {x});
}

inline ModelPtr flattened() {
  const auto x = parameter("image", {-1, 3, 8, 8});
  const auto a = max_pool(std::make_shared<op::Relu>(convolution("a", x, {6, 3, 3, 3}, 1)), {2, 2}, 2, 0);
  return model_of(linear("head", std::make_shared<op::Reshape>(a, constant({0, -1}), true), 5, 96, 2), {x});
}

inline std::vector<NetworkCase> network_cases() {
  return {{"residual", residual_cnn(), {2, 3, 12, 12}, 0, 2},
          {"attention", transformer_block(Norm::kMvn), {2, 5, 16}, 0, 5, true},
          {"mobile", mobile_block(), {2, 3, 11, 9}, 2, 1},
          {"windows", windows_of_every_kind(), {2, 5, 17, 14}, 1, 1},
          {"1d", one_dimensional(), {3, 4, 33}, 3, 1},
          {"pooled", pooled_twice(), {2, 3, 20, 21}, 0, 2},
          {"many", read_by_many(), {2, 3, 8, 8}, 4, 1, true},
          {"inception", inception(), {2, 3, 9, 9}, 1, 1},
          {"flattened", flattened(), {2, 3, 8, 8}, 1, 2}};
}

// CIFAR-10's ResNet-20 of the shared data; an empty path where there is none.
inline std::filesystem::path resnet20_file() {
  const char* folder = std::getenv("DNATEQ_SHARED_DATA");  // NOLINT(concurrency-mt-unsafe)
  const std::filesystem::path file =
      std::filesystem::path(folder == nullptr ? DNATEQ_SHARED_DATA_FOLDER : folder) / "cifar10" / "resnet20.onnx";
  return std::filesystem::is_regular_file(file) ? file : std::filesystem::path();
}

}  // namespace dnateq::testing
