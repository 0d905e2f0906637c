#include "core/layer_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dnateq {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> shortened(const std::vector<std::string>& names, size_t width = 44) {
  return short_layer_names(names, width);
}

TEST(LayerNames, LeaveTheOperationOutWhereNamesStayDifferent) {
  EXPECT_THAT(shortened({"/layer.0/output/dense/MatMul", "/layer.1/output/dense/MatMul", "conv1/WithoutBiases"}),
              ElementsAre("/layer.0/output/dense", "/layer.1/output/dense", "conv1"));
}

TEST(LayerNames, KeepItWhereItTellsThemApart) {
  EXPECT_THAT(shortened({"/attention/query", "/attention/key", "/attention/value/MatMul"}),
              ElementsAre("/attention/query", "/attention/key", "/attention/value"));
  EXPECT_THAT(shortened({"/conv", "/conv/Conv", "plain"}), ElementsAre("/conv", "/conv/Conv", "plain"));
}

TEST(LayerNames, LoseTheirBeginningWhereTheyAreTooLong) {
  EXPECT_THAT(shortened({"/encoder/layer.0/output/dense/MatMul", "/encoder/layer.1/output/dense/MatMul"}, 16),
              ElementsAre("….0/output/dense", "….1/output/dense"));
  EXPECT_THAT(shortened({"äöüäöü", "äöü"}, 4), ElementsAre("…äöü", "äöü"));
  EXPECT_THAT(shortened({"abcd"}, 4), ElementsAre("abcd"));
}

}  // namespace
}  // namespace dnateq
