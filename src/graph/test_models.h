// Small networks and samples made in code, for the tests of what knows OpenVINO.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <openvino/openvino.hpp>
#include <openvino/opsets/opset13.hpp>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/samples.h"
#include "data/test_files.h"
#include "dnateq/error.h"
#include "graph/import.h"

namespace dnateq::testing {

namespace op = ov::opset13;
using NodePtr = std::shared_ptr<ov::Node>;
using ModelPtr = std::shared_ptr<ov::Model>;

inline std::vector<float> random_values(size_t count, unsigned seed, float sigma = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, sigma);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

template <typename T>
Array array_of(DataType type, const std::vector<int64_t>& shape, const std::vector<T>& values) {
  Array array;
  array.type = type;
  array.shape = shape;
  array.bytes = bytes_of(values);
  return array;
}

inline Array floats(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  return array_of(DataType::kFloat32, shape, values);
}

// Samples held in memory, one call each.
class VectorSamples : public Samples {
 public:
  VectorSamples(std::vector<std::string> inputs, std::vector<std::vector<Array>> calls, bool is_stackable = true)
      : inputs_(std::move(inputs)), calls_(std::move(calls)), stackable_(is_stackable) {}

  int64_t size() const override { return static_cast<int64_t>(calls_.size()); }
  std::vector<NamedArray> call(int64_t index) const override {
    std::vector<NamedArray> arrays;
    for (size_t i = 0; i < inputs_.size(); ++i)
      arrays.push_back({inputs_[i], calls_.at(static_cast<size_t>(index)).at(i)});
    return arrays;
  }
  std::vector<std::string> inputs() const override { return inputs_; }
  bool stackable() const override { return stackable_; }
  std::string source() const override { return "samples.npz"; }
  std::string fingerprint() const override { return "0123456789abcdef"; }

 private:
  std::vector<std::string> inputs_;
  std::vector<std::vector<Array>> calls_;
  bool stackable_;
};

// `count` samples of one float input, shape without the axis of samples.
inline VectorSamples random_samples(const std::string& input, size_t count, std::vector<int64_t> shape, unsigned seed) {
  shape.insert(shape.begin(), 1);
  int64_t elements = 1;
  for (const int64_t d : shape) elements *= d;
  std::vector<std::vector<Array>> calls;
  for (size_t i = 0; i < count; ++i)
    calls.push_back({floats(shape, random_values(static_cast<size_t>(elements), seed + static_cast<unsigned>(i)))});
  return {{input}, std::move(calls)};
}

inline std::shared_ptr<op::Parameter> parameter(const std::string& name, const ov::PartialShape& shape,
                                                const ov::element::Type& type = ov::element::f32) {
  auto node = std::make_shared<op::Parameter>(type, shape);
  node->set_friendly_name(name);
  node->output(0).set_names({name});
  return node;
}

inline std::shared_ptr<op::Constant> constant(const ov::Shape& shape, const std::vector<float>& values) {
  return op::Constant::create(ov::element::f32, shape, values);
}
inline std::shared_ptr<op::Constant> constant(const std::vector<int64_t>& values) {
  return op::Constant::create(ov::element::i64, {values.size()}, values);
}
inline std::shared_ptr<op::Constant> random_constant(const ov::Shape& shape, unsigned seed, float sigma = 1.0F) {
  return constant(shape, random_values(ov::shape_size(shape), seed, sigma));
}

template <typename Op, typename... Arguments>
std::shared_ptr<Op> named(const std::string& name, Arguments&&... arguments) {
  auto node = std::make_shared<Op>(std::forward<Arguments>(arguments)...);
  node->set_friendly_name(name);
  return node;
}

// Weights of the usual size for their fan-in, stride and padding the same on every axis.
inline NodePtr convolution(const std::string& name, const ov::Output<ov::Node>& x, const ov::Shape& weights,
                           unsigned seed, size_t stride = 1, std::ptrdiff_t pad = 1) {
  const size_t spatial = weights.size() - 2;
  const float sigma = std::sqrt(2.0F * static_cast<float>(weights[0]) / static_cast<float>(ov::shape_size(weights)));
  return named<op::Convolution>(name, x, random_constant(weights, seed, sigma), ov::Strides(spatial, stride),
                                ov::CoordinateDiff(spatial, pad), ov::CoordinateDiff(spatial, pad),
                                ov::Strides(spatial, 1));
}

// x [.., K] times weights [N, K] plus a bias.
inline NodePtr linear(const std::string& name, const ov::Output<ov::Node>& x, size_t n, size_t k, unsigned seed) {
  const auto product =
      named<op::MatMul>(name, x, random_constant({n, k}, seed, 1.0F / std::sqrt(static_cast<float>(k))), false, true);
  return named<op::Add>(name + "/bias", product, random_constant({n}, seed + 1, 0.1F));
}

inline ModelPtr model_of(const ov::Output<ov::Node>& output, const ov::ParameterVector& parameters) {
  ov::Output<ov::Node> named_output = output;
  named_output.add_names({"output"});
  return std::make_shared<ov::Model>(ov::OutputVector{named_output}, parameters);
}

// conv-relu-conv-add-relu, twice, with a projection on the second skip path; then pool and classifier.
inline ModelPtr residual_cnn() {
  const auto x = parameter("image", {-1, 3, 12, 12});
  const auto stem = std::make_shared<op::Relu>(convolution("stem", x, {8, 3, 3, 3}, 1));
  const auto a1 = std::make_shared<op::Relu>(convolution("block1/a", stem, {8, 8, 3, 3}, 2));
  const auto b1 = std::make_shared<op::Add>(convolution("block1/b", a1, {8, 8, 3, 3}, 3), stem);
  const auto out1 = std::make_shared<op::Relu>(b1);
  const auto a2 = std::make_shared<op::Relu>(convolution("block2/a", out1, {12, 8, 3, 3}, 4, 2));
  const auto b2 = convolution("block2/b", a2, {12, 12, 3, 3}, 5);
  const auto skip = convolution("block2/skip", out1, {12, 8, 1, 1}, 6, 2, 0);
  const auto out2 = std::make_shared<op::Relu>(std::make_shared<op::Add>(b2, skip));
  const auto pooled = std::make_shared<op::ReduceMean>(out2, constant({2, 3}), false);
  return model_of(linear("classifier", pooled, 10, 12, 7), {x});
}

enum class Norm { kMvn, kDecomposed };

inline NodePtr layer_norm(const ov::Output<ov::Node>& x, size_t width, unsigned seed, Norm norm) {
  const auto axes = constant({-1});
  NodePtr normalized;
  if (norm == Norm::kMvn) {
    normalized = std::make_shared<op::MVN>(x, axes, true, 1e-5F, ov::op::MVNEpsMode::INSIDE_SQRT);
  } else {
    const auto centred = std::make_shared<op::Subtract>(x, std::make_shared<op::ReduceMean>(x, axes, true));
    const auto variance =
        std::make_shared<op::ReduceMean>(std::make_shared<op::Multiply>(centred, centred), axes, true);
    const auto deviation =
        std::make_shared<op::Sqrt>(std::make_shared<op::Add>(variance, constant(ov::Shape{}, {1e-5F})));
    normalized = std::make_shared<op::Divide>(centred, deviation);
  }
  std::vector<float> gain = random_values(width, seed, 0.1F);
  for (float& g : gain) g += 1.0F;
  const auto scaled = std::make_shared<op::Multiply>(normalized, constant({width}, gain));
  return std::make_shared<op::Add>(scaled, random_constant({width}, seed + 1, 0.1F));
}

// A post-norm encoder block over [batch, length, 16]: two heads of attention, a GELU feed-forward part, layer norms.
inline ModelPtr transformer_block(Norm norm) {
  constexpr int64_t kWidth = 16, kHeads = 2;
  const auto x = parameter("tokens", {-1, -1, kWidth});
  const auto heads = [&](const ov::Output<ov::Node>& y) {
    const auto split = std::make_shared<op::Reshape>(y, constant({0, 0, kHeads, kWidth / kHeads}), true);
    return std::make_shared<op::Transpose>(split, constant({0, 2, 1, 3}));
  };
  const auto q = heads(linear("query", x, kWidth, kWidth, 20)), k = heads(linear("key", x, kWidth, kWidth, 22));
  const auto v = heads(linear("value", x, kWidth, kWidth, 24));
  const auto scores =
      std::make_shared<op::Multiply>(std::make_shared<op::MatMul>(q, k, false, true), constant(ov::Shape{}, {0.35F}));
  const auto mixed = named<op::MatMul>("mix", std::make_shared<op::Softmax>(scores, 3), v);
  const auto joined = std::make_shared<op::Reshape>(std::make_shared<op::Transpose>(mixed, constant({0, 2, 1, 3})),
                                                    constant({0, 0, kWidth}), true);
  const auto attended =
      layer_norm(std::make_shared<op::Add>(linear("attention/out", joined, kWidth, kWidth, 26), x), kWidth, 28, norm);
  const auto hidden = std::make_shared<op::Gelu>(linear("ffn/in", attended, 48, kWidth, 30));
  const auto fed = std::make_shared<op::Add>(linear("ffn/out", hidden, kWidth, 48, 32), attended);
  return model_of(linear("head", layer_norm(fed, kWidth, 34, norm), 6, kWidth, 36), {x});
}

inline ov::Tensor float_tensor(const ov::Shape& shape, const std::vector<float>& values) {
  ov::Tensor tensor(ov::element::f32, shape);
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

inline ov::Tensor random_tensor(const ov::Shape& shape, unsigned seed) {
  return float_tensor(shape, random_values(ov::shape_size(shape), seed));
}

inline std::vector<float> floats_of(const ov::Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.get_size()};
}

// All float outputs of all calls, one after the other, computed in float32.
inline std::vector<float> infer_calls(ov::Core& core, const ModelPtr& model,
                                      const std::vector<std::vector<ov::Tensor>>& calls) {
  auto request =
      core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  std::vector<float> values;
  for (const std::vector<ov::Tensor>& inputs : calls) {
    for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
    request.infer();
    for (size_t i = 0; i < model->outputs().size(); ++i) {
      const std::vector<float> one = floats_of(request.get_output_tensor(i));
      values.insert(values.end(), one.begin(), one.end());
    }
  }
  return values;
}
inline std::vector<float> infer(ov::Core& core, const ModelPtr& model, const std::vector<ov::Tensor>& inputs) {
  return infer_calls(core, model, {inputs});
}

inline void expect_near(const std::vector<float>& got, const std::vector<float>& expected, float tolerance = 1e-5F) {
  ASSERT_EQ(got.size(), expected.size());
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance * largest + 1e-6F) << "at " << i << " of " << got.size();
}

inline double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
  double error = 0, power = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(static_cast<double>(got.at(i)) - static_cast<double>(expected[i]), 2);
    power += std::pow(static_cast<double>(expected[i]), 2);
  }
  return power > 0 ? error / power : error;
}

// Saved to a temporary folder and read back as a user's model file would be.
inline PreparedModel save_and_import(ov::Core& core, const ModelPtr& model, const ImportOptions& options = {},
                                     bool half_precision = false) {
  const TempFolder folder;
  ov::save_model(model, (folder / "model.xml").string(), half_precision);
  return import_model(core, folder / "model.xml", options);
}

// The samples of `single`, `count` of them a call, stacked along `axis`.
inline std::shared_ptr<VectorSamples> in_calls_of(const VectorSamples& single, int64_t count, size_t axis = 0) {
  std::vector<std::vector<Array>> calls;
  for (int64_t first = 0; first < single.size(); first += count) {
    std::vector<Array> call;
    const int64_t last = std::min(first + count, single.size());
    for (size_t i = 0; i < single.inputs().size(); ++i) {
      Array batch = single.call(first)[i].array;
      size_t outer = 1;
      for (size_t a = 0; a < axis; ++a) outer *= static_cast<size_t>(batch.shape[a]);
      const size_t inner = batch.bytes.size() / outer;
      batch.shape[axis] = last - first;
      batch.bytes.clear();
      for (size_t o = 0; o < outer; ++o)
        for (int64_t s = first; s < last; ++s) {
          const std::vector<std::byte> one = single.call(s)[i].array.bytes;
          const auto begin = one.begin() + static_cast<ptrdiff_t>(o * inner);
          batch.bytes.insert(batch.bytes.end(), begin, begin + static_cast<ptrdiff_t>(inner));
        }
      call.push_back(std::move(batch));
    }
    calls.push_back(std::move(call));
  }
  return std::make_shared<VectorSamples>(single.inputs(), std::move(calls), false);
}

inline NodePtr node(const ov::Model& model, const std::string& name) {
  for (const auto& candidate : model.get_ops())
    if (candidate->get_friendly_name() == name) return candidate;
  return nullptr;
}

// x -> conv "a" [-> bias] -> + x -> relu -> max pooling -> conv "b".
inline ModelPtr pooled_residual(bool bias) {
  const auto x = parameter("x", {-1, 8, 12, 12});
  NodePtr branch = convolution("a", x, {8, 8, 3, 3}, 1);
  if (bias) branch = named<op::Add>("a/bias", branch, random_constant({1, 8, 1, 1}, 2));
  const auto sum = named<op::Relu>("relu", named<op::Add>("sum", branch, x));
  const auto pool = named<op::MaxPool>("pool", sum, ov::Strides{2, 2}, ov::Strides{1, 1}, ov::Shape{0, 0},
                                       ov::Shape{0, 0}, ov::Shape{2, 2});
  return model_of(named<op::Relu>("result", convolution("b", pool, {8, 8, 3, 3}, 3)), {x});
}

}  // namespace dnateq::testing
