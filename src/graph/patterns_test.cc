#include "graph/patterns.h"

#include <gtest/gtest.h>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

TEST(ResidualOperand, IsTheConvolutionThatEntersASumFirst) {
  const ModelPtr model = residual_cnn();
  EXPECT_EQ(residual_operand_of(node(*model, "block1/b")).get_node(), node(*model, "block1/b").get());
  EXPECT_EQ(residual_operand_of(node(*model, "block2/b")).get_node(), node(*model, "block2/b").get());
  for (const char* name : {"stem", "block1/a", "block2/a", "block2/skip", "classifier"})
    EXPECT_EQ(residual_operand_of(node(*model, name)).get_node(), nullptr) << name;
}

TEST(ResidualOperand, TakesItsBiasAlong) {
  const ModelPtr model = pooled_residual(true);
  EXPECT_EQ(residual_operand_of(node(*model, "a")).get_node(), node(*model, "a/bias").get());
}

TEST(ResidualOperand, IsNotWhatSomethingElseReadsToo) {
  const ModelPtr model = pooled_residual(true);
  const auto result = std::make_shared<op::Result>(node(*model, "a/bias"));
  model->add_results({result});
  EXPECT_EQ(residual_operand_of(node(*model, "a")).get_node(), nullptr);
}

TEST(ConstantAdd, IsFoundOnEitherSide) {
  const auto x = parameter("x", {-1, 4});
  const auto values = constant({4}, {1, 2, 3, 4});
  for (const auto& add : {std::make_shared<op::Add>(x, values), std::make_shared<op::Add>(values, x)}) {
    const std::optional<ConstantAdd> found = constant_add(add.get());
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->constant(), values);
    EXPECT_EQ(found->tensor(), x->output(0));
  }
  EXPECT_FALSE(constant_add(std::make_shared<op::Add>(x, x).get()));
  EXPECT_FALSE(constant_add(std::make_shared<op::Multiply>(x, values).get()));
}

TEST(ConstantAdd, FollowsATensorThatNothingElseReads) {
  const auto x = parameter("x", {-1, 4});
  const auto first = std::make_shared<op::Add>(x, constant({4}, {1, 2, 3, 4}));
  const auto second = std::make_shared<op::Add>(constant(ov::Shape{}, {5}), first);
  const auto relu = std::make_shared<op::Relu>(second);
  EXPECT_EQ(after_constant_adds(x), second->output(0));
  EXPECT_EQ(after_constant_adds(relu), relu->output(0));
  const auto other = std::make_shared<op::Relu>(first);
  EXPECT_EQ(after_constant_adds(x), first->output(0)) << "another reads the first sum";
  EXPECT_FALSE(constant_add_after(first));
}

TEST(ConstantAdd, ChangesByWhatFloat32Has) {
  const auto x = parameter("x", {-1, 2});
  const auto values = constant(ov::Shape{}, {1});
  values->set_friendly_name("beta");
  const auto add = std::make_shared<op::Add>(x, values);
  const std::vector<double> changed = constant_add(add.get())->change(std::vector<double>{0.5, 1e-9}, {2});
  EXPECT_EQ(changed, (std::vector<double>{0.5, 0}));
  const auto merged = constant_add(add.get())->constant();
  EXPECT_EQ(merged->cast_vector<float>(), (std::vector<float>{1.5, 1}));
  EXPECT_EQ(merged->get_friendly_name(), "beta");
}

TEST(ConstantAdd, HasOneValueAChannelOrOneForAll) {
  EXPECT_TRUE(is_one_a_channel({1, 8, 1, 1}, 8, 2));
  EXPECT_TRUE(is_one_a_channel({8, 1, 1}, 8, 2));
  EXPECT_FALSE(is_one_a_channel({1, 1, 1, 8}, 8, 2)) << "along the image";
  EXPECT_FALSE(is_one_a_channel({8}, 8, 2));
  EXPECT_TRUE(is_one_a_channel({1, 1, 8}, 8, 0));
  EXPECT_FALSE(is_one_a_channel({2, 8}, 8, 0));
  EXPECT_TRUE(is_one_a_channel({}, 8, 0));
  EXPECT_TRUE(is_one_a_channel({1, 1}, 8, 0));
}

}  // namespace
}  // namespace dnateq::testing
