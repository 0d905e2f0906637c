#include "openvino/summand.h"

#include <gtest/gtest.h>

#include "openvino/emit.h"
#include "openvino/test_models.h"

namespace dnateq::testing {
namespace {

NodePtr node(const ov::Model& model, const std::string& name) {
  for (const auto& candidate : model.get_ops())
    if (candidate->get_friendly_name() == name) return candidate;
  return nullptr;
}

// x -> conv "a" [-> bias] -> + x -> relu -> max pooling -> conv "b".
ModelPtr pooled_residual(bool bias) {
  const auto x = parameter("x", {-1, 8, 12, 12});
  NodePtr branch = convolution("a", x, {8, 8, 3, 3}, 1);
  if (bias) branch = named<op::Add>("a/bias", branch, random_constant({1, 8, 1, 1}, 2));
  const auto sum = named<op::Relu>("relu", named<op::Add>("sum", branch, x));
  const auto pool = named<op::MaxPool>("pool", sum, ov::Strides{2, 2}, ov::Strides{1, 1}, ov::Shape{0, 0},
                                       ov::Shape{0, 0}, ov::Shape{2, 2});
  return model_of(named<op::Relu>("result", convolution("b", pool, {8, 8, 3, 3}, 3)), {x});
}

// Codes that only have to be valid: 4 bits, every weight the same.
std::vector<LayerCodes> codes_of(const PreparedModel& prepared, float summand_limit) {
  std::vector<LayerCodes> all;
  for (const Layer& layer : prepared.layers) {
    LayerCodes codes;
    codes.weight_code.grid = 100;
    codes.weight_code.base = 1.3;
    codes.weight_code.alpha = 0.1;
    codes.weight_code.beta = 0;
    codes.codes.assign(static_cast<size_t>(layer.rows * layer.columns), 3);
    codes.gamma.assign(static_cast<size_t>(layer.rows), 0x2000);
    codes.has_activation_code = true;
    codes.activation_code = codes.weight_code;
    codes.range_high = 2;
    codes.range_low = layer.name == "b" ? 0.0F : -2.0F * 128 / 127;
    codes.summand_limit = summand_limit;
    all.push_back(codes);
  }
  return all;
}

TEST(Summand, IsTheConvolutionThatEntersASumFirst) {
  const ModelPtr model = residual_cnn();
  EXPECT_EQ(summand_of(node(*model, "block1/b")).get_node(), node(*model, "block1/b").get());
  EXPECT_EQ(summand_of(node(*model, "block2/b")).get_node(), node(*model, "block2/b").get());
  for (const char* name : {"stem", "block1/a", "block2/a", "block2/skip", "classifier"})
    EXPECT_EQ(summand_of(node(*model, name)).get_node(), nullptr) << name;
}

TEST(Summand, TakesItsBiasAlong) {
  const ModelPtr model = pooled_residual(true);
  EXPECT_EQ(summand_of(node(*model, "a")).get_node(), node(*model, "a/bias").get());
}

TEST(Summand, IsNotWhatSomethingElseReadsToo) {
  const ModelPtr model = pooled_residual(true);
  const auto result = std::make_shared<op::Result>(node(*model, "a/bias"));
  model->add_results({result});
  EXPECT_EQ(summand_of(node(*model, "a")).get_node(), nullptr);
}

TEST(Summand, IsRoundedTo8BitsInStandardModels) {
  ov::Core core;
  const PreparedModel prepared = save_and_import(core, pooled_residual(true));
  const auto emitted = emit_standard(prepared, codes_of(prepared, 3));
  const NodePtr rounded = node(*emitted, "sum")->get_input_node_shared_ptr(0);
  ASSERT_TRUE(ov::is_type<op::FakeQuantize>(rounded)) << rounded->get_type_name();
  const auto limit = [&](size_t input) {
    return ov::as_type_ptr<op::Constant>(rounded->get_input_node_shared_ptr(input))->cast_vector<float>().at(0);
  };
  EXPECT_EQ(limit(1), -3.0F * 128 / 127);
  EXPECT_EQ(limit(2), 3);
  // The other one is what the convolution reads, 8 bits as well.
  EXPECT_TRUE(ov::is_type<op::FakeQuantize>(node(*emitted, "sum")->get_input_node_ptr(1)));

  const auto without = emit_standard(prepared, codes_of(prepared, 0));
  EXPECT_TRUE(ov::is_type<op::Add>(node(*without, "sum")->get_input_node_ptr(0)));
}

TEST(Summand, RoundingComesBeforeMaxPoolingAndChangesNothing) {
  ov::Core core;
  const PreparedModel prepared = save_and_import(core, pooled_residual(false));
  const auto emitted = emit_standard(prepared, codes_of(prepared, 0));
  EXPECT_TRUE(ov::is_type<op::FakeQuantize>(node(*emitted, "pool")->get_input_node_ptr(0)));
  EXPECT_EQ(node(*emitted, "b")->get_input_node_ptr(0), node(*emitted, "pool").get());

  const auto after = emitted->clone();
  const auto pool = node(*after, "pool");
  const auto rounding = pool->get_input_node_shared_ptr(0);
  pool->input(0).replace_source_output(rounding->input_value(0));
  node(*after, "b")
      ->input(0)
      .replace_source_output(rounding->clone_with_new_inputs({pool, rounding->input_value(1), rounding->input_value(2),
                                                              rounding->input_value(3), rounding->input_value(4)}));
  const ov::Tensor x = random_tensor({2, 8, 12, 12}, 4);
  expect_near(infer(core, emitted, {x}), infer(core, after, {x}), 1e-4F);
}

}  // namespace
}  // namespace dnateq::testing
