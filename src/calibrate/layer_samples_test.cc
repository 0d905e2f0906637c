#include "calibrate/layer_samples.h"

#include <gtest/gtest.h>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using Eigen::Index;
using Eigen::MatrixXf;

// A layer, an input for it, and the output that OpenVINO computes.
struct Case {
  std::string name;
  Layer layer;
  ov::Tensor x, y;
};

Case make_case(const std::string& name, const NodePtr& node, const std::shared_ptr<op::Parameter>& x,
               const ov::Shape& input, LayerKind kind, int64_t groups = 1, bool weights_transposed = false) {
  Case c;
  c.name = name;
  c.layer.name = name;
  c.layer.node = node;
  c.layer.kind = kind;
  c.layer.groups = groups;
  c.layer.weights_transposed = weights_transposed;
  const ov::Shape w = c.layer.weights()->get_shape();
  c.layer.rows =
      static_cast<int64_t>(kind == LayerKind::kGroupConvolution ? w[0] * w[1] : w[weights_transposed ? 1 : 0]);
  c.layer.columns = static_cast<int64_t>(ov::shape_size(w)) / c.layer.rows;
  c.x = random_tensor(input, 3);
  ov::Core core;
  auto request = core.compile_model(model_of(node, {x}), "CPU", ov::hint::inference_precision(ov::element::f32))
                     .create_infer_request();
  request.set_input_tensor(c.x);
  request.infer();
  c.y = ov::Tensor(ov::element::f32, request.get_output_tensor().get_shape());
  request.get_output_tensor().copy_to(c.y);
  return c;
}

Case convolution_case(const std::string& name, const ov::Shape& weights, const ov::Shape& input,
                      const ov::Strides& strides, const ov::CoordinateDiff& begin, const ov::CoordinateDiff& end,
                      const ov::Strides& dilations, ov::op::PadType pad = ov::op::PadType::EXPLICIT) {
  const auto x = parameter("x", ov::PartialShape::dynamic(static_cast<int64_t>(input.size())));
  const auto w = random_constant(weights, 1);
  if (weights.size() == input.size())
    return make_case(name, std::make_shared<op::Convolution>(x, w, strides, begin, end, dilations, pad), x, input,
                     LayerKind::kConvolution);
  return make_case(name, std::make_shared<op::GroupConvolution>(x, w, strides, begin, end, dilations, pad), x, input,
                   LayerKind::kGroupConvolution, static_cast<int64_t>(weights[0]));
}

std::vector<Case> all_cases() {
  using ov::op::PadType;
  std::vector<Case> cases;
  cases.push_back(convolution_case("plain", {6, 3, 3, 3}, {2, 3, 9, 7}, {1, 1}, {1, 1}, {1, 1}, {1, 1}));
  cases.push_back(convolution_case("strided, uneven pads", {6, 3, 3, 2}, {2, 3, 9, 7}, {2, 3}, {0, 2}, {1, 0}, {1, 1}));
  cases.push_back(convolution_case("dilated", {4, 3, 3, 3}, {1, 3, 11, 12}, {1, 1}, {2, 1}, {2, 1}, {2, 3}));
  for (const PadType pad : {PadType::SAME_UPPER, PadType::SAME_LOWER, PadType::VALID})
    for (const size_t stride : {1U, 2U})
      cases.push_back(convolution_case("pad type " + std::to_string(static_cast<int>(pad)), {4, 3, 4, 3}, {2, 3, 8, 9},
                                       {stride, stride}, {0, 0}, {0, 0}, {1, 1}, pad));
  cases.push_back(convolution_case("grouped", {2, 4, 3, 3, 3}, {2, 6, 8, 8}, {1, 1}, {1, 1}, {1, 1}, {1, 1}));
  cases.push_back(convolution_case("depthwise", {5, 1, 1, 3, 3}, {2, 5, 8, 8}, {2, 2}, {1, 1}, {1, 1}, {1, 1}));
  cases.push_back(convolution_case("depthwise, same", {5, 1, 1, 3, 3}, {2, 5, 7, 8}, {2, 2}, {0, 0}, {0, 0}, {1, 1},
                                   PadType::SAME_UPPER));
  cases.push_back(convolution_case("1-D", {6, 3, 4}, {2, 3, 17}, {2}, {1}, {2}, {1}));
  cases.push_back(convolution_case("1-D grouped", {3, 2, 1, 3}, {2, 3, 10}, {1}, {1}, {1}, {2}));
  cases.push_back(
      convolution_case("3-D", {4, 2, 2, 3, 3}, {2, 2, 5, 6, 7}, {1, 2, 1}, {0, 1, 1}, {1, 1, 0}, {1, 1, 2}));
  for (const bool transposed : {true, false}) {
    const auto x = parameter("x", ov::PartialShape::dynamic(3));
    const auto w = random_constant(transposed ? ov::Shape{7, 5} : ov::Shape{5, 7}, 1);
    cases.push_back(make_case("matmul", std::make_shared<op::MatMul>(x, w, false, !transposed), x, {2, 4, 7},
                              LayerKind::kMatMul, 1, transposed));
  }
  return cases;
}

// What the rows of inputs give when multiplied by the weights' matrix, group by group.
MatrixXf product(const Layer& layer, const MatrixXf& inputs) {
  const std::vector<float> weights = layer.weight_matrix();
  const Index rows = layer.rows / layer.groups;
  MatrixXf out(inputs.rows(), layer.rows);
  for (Index r = 0; r < layer.rows; ++r)
    out.col(r) = inputs.middleCols((r / rows) * layer.columns, layer.columns) *
                 Eigen::Map<const Eigen::VectorXf>(weights.data() + r * layer.columns, layer.columns);
  return out;
}

TEST(LayerSampler, InputRowsTimesWeightsAreTheLayersOutputRows) {
  for (const Case& c : all_cases())
    for (const double share : {1.0, 0.3}) {
      SCOPED_TRACE(c.name);
      const LayerSampler sampler(c.layer, nullptr, share, 7);
      const MatrixXf inputs = sampler.inputs(2, c.x, c.y.get_shape()), outputs = sampler.outputs(2, c.y);
      ASSERT_EQ(inputs.rows(), outputs.rows());
      ASSERT_EQ(inputs.cols(), c.layer.groups * c.layer.columns);
      ASSERT_EQ(outputs.cols(), c.layer.rows);
      EXPECT_LT((product(c.layer, inputs) - outputs).cwiseAbs().maxCoeff(),
                1e-4F * (1 + outputs.cwiseAbs().maxCoeff()));
    }
}

TEST(LayerSampler, TakesTheShareOfThePositionsAndAtLeastOne) {
  const Case c = all_cases()[0];
  const int64_t all = LayerSampler::positions(c.layer, c.y.get_shape());
  EXPECT_EQ(all, 2 * 9 * 7);
  EXPECT_EQ(LayerSampler(c.layer, nullptr, 1.0, 1).outputs(0, c.y).rows(), all);
  EXPECT_EQ(LayerSampler(c.layer, nullptr, 0.5, 1).outputs(0, c.y).rows(), all / 2);
  EXPECT_EQ(LayerSampler(c.layer, nullptr, 1e-9, 1).outputs(0, c.y).rows(), 1);
}

TEST(LayerSampler, TheChoiceFollowsSeedAndCall) {
  const Case c = all_cases()[0];
  const LayerSampler sampler(c.layer, nullptr, 0.3, 1);
  const MatrixXf first = sampler.outputs(0, c.y);
  EXPECT_EQ(sampler.outputs(0, c.y), first);
  EXPECT_NE(sampler.outputs(1, c.y), first);
  EXPECT_NE(LayerSampler(c.layer, nullptr, 0.3, 2).outputs(0, c.y), first);
  const MatrixXf all = LayerSampler(c.layer, nullptr, 1.0, 1).outputs(0, c.y);
  for (Index p = 0, at = 0; p < first.rows(); ++p) {  // each position once, in order
    while (at < all.rows() && all.row(at) != first.row(p)) ++at;
    ASSERT_LT(at, all.rows());
    ++at;
  }
}

TEST(LayerSampler, InputsAreRoundedByTheEncoderAndPaddingStaysZero) {
  TensorCode code = with_level_counts(TensorCode{}, 3);
  code.arithmetic = Arithmetic::kExponential;
  code.base = 1.5;
  code.alpha = 0.4;
  const Encoder encoder(code);
  for (const Case& c : all_cases()) {
    const MatrixXf plain = LayerSampler(c.layer, nullptr, 1, 7).inputs(0, c.x, c.y.get_shape());
    const MatrixXf rounded = LayerSampler(c.layer, &encoder, 1, 7).inputs(0, c.x, c.y.get_shape());
    for (Index i = 0; i < plain.size(); ++i)
      ASSERT_EQ(rounded.data()[i], encoder.decode(encoder.encode(plain.data()[i]))) << c.name;
  }
}

TEST(LayerSampler, NormWeightsAreOneOverTheVarianceOfTheSamePositions) {
  const Case c = all_cases().back();
  const LayerSampler sampler(c.layer, nullptr, 0.5, 7);
  const MatrixXf rows = sampler.outputs(3, c.y);
  const Eigen::VectorXf weights = sampler.norm_weights(3, c.y);
  ASSERT_EQ(weights.size(), rows.rows());
  for (Index p = 0; p < rows.rows(); ++p) {
    const float mean = rows.row(p).mean();
    EXPECT_NEAR(weights[p], 1.0F / ((rows.row(p).array() - mean).square().mean() + 1e-6F), 1e-3F * weights[p]);
  }
  const ov::Tensor flat = float_tensor(c.y.get_shape(), std::vector<float>(c.y.get_size(), 2.0F));
  EXPECT_TRUE(sampler.norm_weights(3, flat).allFinite());
}

TEST(Join, KeepsTheOrderOfTheCalls) {
  std::vector<LayerSamples> parts(3);
  for (Index i = 0; i < 3; ++i) {
    LayerSamples& part = parts[static_cast<size_t>(i)];
    part.inputs = MatrixXf::Constant(i + 1, 2, static_cast<float>(i));
    part.targets = MatrixXf::Constant(i + 1, 3, static_cast<float>(10 * i));
    part.weights = Eigen::VectorXf::Constant(i + 1, static_cast<float>(i + 1));
  }
  std::vector<LayerSamples> unweighted = parts;
  const LayerSamples all = join(std::move(parts));
  ASSERT_EQ(all.inputs.rows(), 6);
  ASSERT_EQ(all.targets.cols(), 3);
  for (Index p = 0; p < 6; ++p) {
    const float call = p < 1 ? 0.0F : p < 3 ? 1.0F : 2.0F;
    EXPECT_EQ(all.inputs(p, 1), call);
    EXPECT_EQ(all.targets(p, 2), 10 * call);
    EXPECT_EQ(all.weights[p], call + 1);
  }
  for (LayerSamples& part : unweighted) part.weights.resize(0);
  EXPECT_EQ(join(std::move(unweighted)).weights.size(), 0);
}

}  // namespace
}  // namespace dnateq::testing
