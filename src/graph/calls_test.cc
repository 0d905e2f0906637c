#include "graph/calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;

ModelPtr model_taking(const ov::PartialShape& shape, const ov::element::Type& type = ov::element::f32,
                      const std::string& name = "image") {
  const auto x = parameter(name, shape, type);
  return model_of(std::make_shared<op::Convert>(x, ov::element::f32), {x});
}

TEST(Calls, StackSixteenSamplesWhereTheFirstAxisIsDynamic) {
  const VectorSamples samples = random_samples("image", 35, {3, 2}, 1);
  const ModelPtr model = model_taking({-1, 3, 2});
  const Calls calls(samples, *model);
  ASSERT_EQ(calls.size(), 3U);
  EXPECT_EQ(calls.samples(), 35);
  std::vector<float> all, expected;
  for (size_t c = 0; c < calls.size(); ++c) {
    EXPECT_EQ(calls.sample_count(c), c < 2 ? 16 : 3);
    const ov::Tensor tensor = calls.tensors(c).at(0);
    EXPECT_EQ(tensor.get_shape(), (ov::Shape{c < 2 ? 16U : 3U, 3, 2}));
    for (const float value : floats_of(tensor)) all.push_back(value);
  }
  for (int64_t i = 0; i < 35; ++i)
    for (const float value : values_of<float>(samples.call(i)[0].array)) expected.push_back(value);
  EXPECT_EQ(all, expected);
}

TEST(Calls, LargeSamplesAreStackedByFour) {
  EXPECT_EQ(Calls(random_samples("image", 8, {200, 200}, 1), *model_taking({-1, 200, 200})).size(), 2U);
}

TEST(Calls, AStaticFirstAxisAndUnstackableSamplesAreFedOneByOne) {
  EXPECT_EQ(Calls(random_samples("image", 5, {3, 2}, 1), *model_taking({1, 3, 2})).size(), 5U);
  const VectorSamples single({"image"}, {{floats({2, 3}, random_values(6, 1))}, {floats({4, 3}, random_values(12, 2))}},
                             false);
  const Calls calls(single, *model_taking({-1, 3}));
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls.tensors(1)[0].get_shape(), (ov::Shape{4, 3}));
  EXPECT_EQ(calls.sample_count(1), 1);
}

TEST(Calls, AreTheChosenSamplesInTheirOrder) {
  const VectorSamples samples = random_samples("image", 40, {2}, 1);
  const ModelPtr model = model_taking({-1, 2});
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < 20; ++i) chosen.push_back((7 * i + 5) % 40);
  const Calls calls(samples, *model, chosen);
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls.samples(), 20);
  EXPECT_EQ(calls.sample_count(1), 4);
  std::vector<float> all, expected;
  for (size_t c = 0; c < 2; ++c)
    for (const float value : floats_of(calls.tensors(c)[0])) all.push_back(value);
  for (const int64_t i : chosen)
    for (const float value : values_of<float>(samples.call(i)[0].array)) expected.push_back(value);
  EXPECT_EQ(all, expected);
  EXPECT_NE(calls.digest(), Calls(samples, *model).digest());
  EXPECT_EQ(calls.digest(), Calls(samples, *model, chosen).digest());
}

TEST(Calls, MatchInputsByNameInTheModelsOrder) {
  const auto a = parameter("a", {-1, 2}), b = parameter("b", {-1, 2});
  const ModelPtr model = model_of(std::make_shared<op::Subtract>(a, b), {a, b});
  const VectorSamples samples({"unused", "b", "a"},
                              {{floats({1, 2}, {9, 9}), floats({1, 2}, {1, 2}), floats({1, 2}, {3, 4})}});
  const std::vector<ov::Tensor> tensors = Calls(samples, *model).tensors(0);
  ASSERT_EQ(tensors.size(), 2U);
  EXPECT_EQ(floats_of(tensors[0]), (std::vector<float>{3, 4}));
  EXPECT_EQ(floats_of(tensors[1]), (std::vector<float>{1, 2}));
}

TEST(Calls, ANamelessArrayFeedsAnOnlyInput) {
  const VectorSamples samples({""}, {{floats({1, 2}, {1, 2})}});
  EXPECT_EQ(floats_of(Calls(samples, *model_taking({-1, 2})).tensors(0)[0]), (std::vector<float>{1, 2}));
  const auto a = parameter("a", {-1, 2}), b = parameter("b", {-1, 2});
  EXPECT_THROW(Calls(samples, *model_of(std::make_shared<op::Add>(a, b), {a, b})), Error);
}

TEST(Calls, ConvertEveryNumberTypeToTheInputs) {
  const ov::PartialShape shape{-1, 2};
  const auto fed = [&](const Array& array, const ov::element::Type& type) {
    return Calls(VectorSamples({"image"}, {{array}}), *model_taking(shape, type)).tensors(0)[0];
  };
  const std::vector<int64_t> at = {1, 2};
  EXPECT_EQ(floats_of(fed(array_of<double>(DataType::kFloat64, at, {0.5, -2}), ov::element::f32)),
            (std::vector<float>{0.5F, -2}));
  EXPECT_EQ(floats_of(fed(array_of<uint16_t>(DataType::kFloat16, at, {0x3800, 0xc000}), ov::element::f32)),
            (std::vector<float>{0.5F, -2}));
  EXPECT_EQ(floats_of(fed(array_of<uint8_t>(DataType::kUint8, at, {0, 255}), ov::element::f32)),
            (std::vector<float>{0, 255}));
  EXPECT_EQ(floats_of(fed(array_of<int8_t>(DataType::kInt8, at, {-128, 127}), ov::element::f32)),
            (std::vector<float>{-128, 127}));
  EXPECT_EQ(floats_of(fed(array_of<int16_t>(DataType::kInt16, at, {-300, 300}), ov::element::f32)),
            (std::vector<float>{-300, 300}));
  EXPECT_EQ(floats_of(fed(array_of<uint32_t>(DataType::kUint32, at, {7, 70000}), ov::element::f32)),
            (std::vector<float>{7, 70000}));
  const ov::Tensor wide = fed(array_of<int32_t>(DataType::kInt32, at, {-1, 7}), ov::element::i64);
  EXPECT_EQ(wide.data<int64_t>()[0], -1);
  EXPECT_EQ(wide.data<int64_t>()[1], 7);
  const ov::Tensor narrow = fed(array_of<int64_t>(DataType::kInt64, at, {-1, 7}), ov::element::i32);
  EXPECT_EQ(narrow.data<int32_t>()[0], -1);
  EXPECT_EQ(narrow.data<int32_t>()[1], 7);
  const ov::Tensor flags = fed(array_of<uint8_t>(DataType::kBool, at, {1, 0}), ov::element::boolean);
  EXPECT_EQ(flags.get_element_type(), ov::element::boolean);
  EXPECT_EQ(static_cast<const uint8_t*>(flags.data())[0], 1);
  EXPECT_EQ(static_cast<const uint8_t*>(flags.data())[1], 0);
}

TEST(Calls, WhatDoesNotFitIsNamed) {
  const auto refusal = [](const VectorSamples& samples, const ModelPtr& model) {
    return error_of([&] {
      const Calls calls(samples, *model);
      for (size_t c = 0; c < calls.size(); ++c) calls.tensors(c);
    });
  };
  const VectorSamples other({"picture"}, {{floats({1, 2}, {1, 2})}});
  EXPECT_THAT(
      refusal(other, model_taking({-1, 2})),
      ::testing::AllOf(HasSubstr("'samples.npz' holds no array for model input 'image'"), HasSubstr("picture")));
  const VectorSamples two({"image"}, {{floats({1, 2}, {1, 2})}});
  EXPECT_THAT(refusal(two, model_taking({-1, 3})),
              ::testing::AllOf(HasSubstr("sample 0"), HasSubstr("[1,2]"), HasSubstr("'image'")));
  EXPECT_THAT(refusal(two, model_taking({-1, 2, 1})), HasSubstr("[1,2]"));
  EXPECT_THAT(refusal(two, model_taking({-1, 2}, ov::element::i64)),
              HasSubstr("gives float32 for model input 'image', which takes i64"));
  const VectorSamples integers({"image"}, {{array_of<int64_t>(DataType::kInt64, {1, 2}, {1, 2})}});
  EXPECT_THAT(refusal(integers, model_taking({-1, 2}, ov::element::i16)),
              HasSubstr("model inputs of type i16 are not supported"));
  const VectorSamples ragged({"image"}, {{floats({1, 2}, {1, 2})}, {floats({1, 3}, {1, 2, 3})}});
  EXPECT_THAT(refusal(ragged, model_taking({-1, -1})), HasSubstr("differ in shape"));
  EXPECT_THAT(refusal(VectorSamples({"image"}, {}), model_taking({-1, 2})), HasSubstr("holds no samples"));
}

TEST(Calls, TheFirstWrongSampleOfTheSourceIsNamed) {
  const Array fits = floats({1, 2}, {1, 2}), wrong = floats({1, 3}, {1, 2, 3});
  const VectorSamples samples({"image"}, {{fits}, {wrong}, {fits}, {wrong}});
  EXPECT_THAT(error_of([&] { Calls(samples, *model_taking({-1, 2}), {3, 0, 1}); }), HasSubstr("sample 1 of"));
}

TEST(Calls, AHintIsGivenWhereTheCauseOfAWrongShapeIsPlain) {
  const auto refusal = [](const std::vector<int64_t>& shape, size_t count, const ov::PartialShape& wanted) {
    const auto values = random_values(static_cast<size_t>(ov::shape_size(ov::Shape(shape.begin(), shape.end()))), 1);
    const VectorSamples samples({"image"}, std::vector<std::vector<Array>>(count, {floats(shape, values)}));
    return error_of([&] { Calls(samples, *model_taking(wanted)); });
  };
  EXPECT_THAT(refusal({1, 8, 9, 3}, 2, {-1, 3, 8, 9}), HasSubstr("look like NHWC, transpose them to NCHW"));
  EXPECT_THAT(refusal({1, 3, 8, 9}, 2, {-1, 8, 9, 3}), HasSubstr("look like NCHW, transpose them to NHWC"));
  EXPECT_THAT(refusal({3, 8, 9}, 2, {-1, 3, 8, 9}), HasSubstr("the batch axis is missing"));
  EXPECT_THAT(refusal({1, 8, 9}, 3, {-1, 3, 8, 9}), HasSubstr("put that of samples first"));
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1, 1, 8, 9}, {1, 8, 9}, {1, 216}})
    EXPECT_THAT(refusal(shape, 2, {-1, 3, 8, 9}), ::testing::EndsWith("which takes [?,3,8,9]"));
}

}  // namespace
}  // namespace dnateq::testing
