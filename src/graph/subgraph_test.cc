#include "graph/subgraph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::ElementsAre;

NodePtr find(const ModelPtr& model, const std::string& name) {
  for (const auto& node : model->get_ordered_ops())
    if (node->get_friendly_name() == name) return node;
  return nullptr;
}

TEST(Subgraph, FromInputsToAnInnerTensorComputesThatTensor) {
  ov::Core core;
  const ModelPtr model = residual_cnn();
  const ov::Output<ov::Node> inner = find(model, "block2/b")->output(0);
  const auto& input = model->get_parameters()[0];
  const Subgraph part = extract_subgraph({input->output(0)}, {input->get_partial_shape()}, {inner});
  EXPECT_THAT(part.inputs, ElementsAre(0U));
  const ov::Tensor x = random_tensor({2, 3, 12, 12}, 1);
  const auto whole = std::make_shared<ov::Model>(ov::OutputVector{inner}, model->get_parameters());
  expect_near(infer(core, part.model, {x}), infer(core, whole, {x}));
}

TEST(Subgraph, TwoPartsInARowComputeTheWhole) {
  ov::Core core;
  const ModelPtr model = residual_cnn();
  const auto& input = model->get_parameters()[0];
  // Both tensors that cross the middle of the second block.
  const Outputs middle = {find(model, "block2/a")->output(0), find(model, "block2/skip")->output(0)};
  const Subgraph first = extract_subgraph({input->output(0)}, {input->get_partial_shape()}, middle);
  const Subgraph second = extract_subgraph(middle, {ov::PartialShape::dynamic(4), ov::PartialShape::dynamic(4)},
                                           {find(model, "classifier/bias")->output(0)});
  const ov::Tensor x = random_tensor({2, 3, 12, 12}, 2);
  auto request =
      core.compile_model(first.model, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  request.set_input_tensor(x);
  request.infer();
  std::vector<ov::Tensor> inputs;
  for (const size_t i : second.inputs) inputs.push_back(request.get_output_tensor(i));
  expect_near(infer(core, second.model, inputs), infer(core, model, {x}));
}

TEST(Subgraph, TakesOnlyTheCutTensorsThatItNeedsAndSaysWhich) {
  const ModelPtr model = residual_cnn();
  const Outputs cut = {model->get_parameters()[0]->output(0), find(model, "block1/a")->output(0),
                       find(model, "block2/skip")->output(0), find(model, "block2/b")->output(0)};
  const std::vector<ov::PartialShape> shapes(4, ov::PartialShape::dynamic(4));
  const Subgraph part = extract_subgraph(cut, shapes, {find(model, "classifier")->output(0)});
  EXPECT_THAT(part.inputs, ::testing::UnorderedElementsAre(2U, 3U));
  ASSERT_EQ(part.model->inputs().size(), 2U);
}

TEST(Subgraph, AWantedTensorOfTheCutIsPassedThroughAndMayBeWantedTwice) {
  ov::Core core;
  const auto x = parameter("x", {-1, 4});
  const auto y = std::make_shared<op::Relu>(x);
  const Subgraph part =
      extract_subgraph({x->output(0)}, {ov::PartialShape{-1, 4}}, {x->output(0), y->output(0), y->output(0)});
  ASSERT_EQ(part.model->outputs().size(), 3U);
  const ov::Tensor values = random_tensor({3, 4}, 3);
  const std::vector<float> out = infer(core, part.model, {values});
  const std::vector<float> in = floats_of(values);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(out[i], in[i]);
    EXPECT_EQ(out[12 + i], std::max(0.0F, in[i]));
    EXPECT_EQ(out[24 + i], std::max(0.0F, in[i]));
  }
}

TEST(Subgraph, EachOutputOfANodeIsATensorOfItsOwn) {
  ov::Core core;
  const auto x = parameter("x", {2, 6});
  const auto split = std::make_shared<op::Split>(x, op::Constant::create(ov::element::i64, {}, {1}), 3);
  const auto sum = std::make_shared<op::Subtract>(split->output(2), split->output(0));
  const Subgraph part = extract_subgraph({split->output(0), split->output(2)},
                                         {ov::PartialShape{2, 2}, ov::PartialShape{2, 2}}, {sum->output(0)});
  ASSERT_EQ(part.inputs.size(), 2U);
  const std::vector<ov::Tensor> cut = {float_tensor({2, 2}, {1, 2, 3, 4}), float_tensor({2, 2}, {10, 20, 30, 40})};
  EXPECT_EQ(infer(core, part.model, {cut[part.inputs[0]], cut[part.inputs[1]]}), (std::vector<float>{9, 18, 27, 36}));
}

TEST(Subgraph, AnInputThatTheCutDoesNotHoldIsAnError) {
  const ModelPtr model = residual_cnn();
  EXPECT_THROW(extract_subgraph({find(model, "block2/b")->output(0)}, {ov::PartialShape::dynamic(4)},
                                {find(model, "classifier")->output(0)}),
               Error);
}

TEST(Subgraph, LeavesTheOriginalAsItWas) {
  ov::Core core;
  const ModelPtr model = residual_cnn();
  const ov::Tensor x = random_tensor({1, 3, 12, 12}, 4);
  const std::vector<float> before = infer(core, model, {x});
  const size_t readers = find(model, "stem")->output(0).get_target_inputs().size();
  {
    const Subgraph part = extract_subgraph({find(model, "stem")->output(0)}, {ov::PartialShape{-1, 8, 12, 12}},
                                           {find(model, "classifier")->output(0)});
  }
  EXPECT_EQ(find(model, "stem")->output(0).get_target_inputs().size(), readers);
  EXPECT_EQ(infer(core, model, {x}), before);
}

TEST(CopyModel, MapsEveryNodeToACopyOfItsKindAndIsIndependent) {
  ov::Core core;
  for (const ModelPtr& model : {residual_cnn(), transformer_block(Norm::kDecomposed)}) {
    const ModelCopy copy = copy_model(model);
    for (const auto& node : model->get_ordered_ops()) {
      const auto& twin = copy.copy_of.at(node.get());
      EXPECT_NE(twin, node);
      EXPECT_EQ(twin->get_type_info(), node->get_type_info());
      for (size_t i = 0; i < node->get_input_size(); ++i)
        EXPECT_EQ(twin->get_input_node_shared_ptr(i), copy.copy_of.at(node->get_input_node_ptr(i)));
    }
  }
  const ModelPtr model = residual_cnn();
  const ov::Tensor x = random_tensor({1, 3, 12, 12}, 5);
  const std::vector<float> before = infer(core, model, {x});
  const ModelCopy copy = copy_model(model);
  EXPECT_EQ(infer(core, copy.model, {x}), before);
  copy.copy_of.at(find(model, "stem").get())->input(1).replace_source_output(random_constant({8, 3, 3, 3}, 77));
  EXPECT_NE(infer(core, copy.model, {x}), before);
  EXPECT_EQ(infer(core, model, {x}), before);
}

TEST(CopyModel, NodesOfOneNameAreToldApart) {
  const auto x = parameter("x", {-1, 4});
  const auto a = named<op::MatMul>("same", x, random_constant({4, 4}, 1));
  const auto b = named<op::MatMul>("same", std::make_shared<op::Relu>(a), random_constant({4, 4}, 2));
  const ModelPtr model = model_of(b, {x});
  const ModelCopy copy = copy_model(model);
  EXPECT_NE(copy.copy_of.at(a.get()), copy.copy_of.at(b.get()));
  const auto weights = ov::as_type_ptr<op::Constant>(copy.copy_of.at(b.get())->get_input_node_shared_ptr(1));
  EXPECT_EQ(weights->cast_vector<float>(), random_values(16, 2));
}

}  // namespace
}  // namespace dnateq::testing
