#include "graph/summand.h"

#include <gtest/gtest.h>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

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

}  // namespace
}  // namespace dnateq::testing
