#include "graph/batch_axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/calls.h"
#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;

class BatchAxis : public ::testing::Test {
 protected:
  std::shared_ptr<const Samples> found(const ModelPtr& model, std::shared_ptr<const Samples> data,
                                       std::optional<int64_t> asked = std::nullopt) {
    return as_samples(core_, model, std::move(data), asked);
  }
  ov::Core core_;
};

TEST_F(BatchAxis, OfATransformerIsTheFirstAndItsCallsAreCut) {
  const VectorSamples single = random_samples("tokens", 70, {5, 16}, 1);
  const auto samples = found(transformer_block(Norm::kMvn), in_calls_of(single, 64));
  ASSERT_EQ(samples->size(), 70);
  EXPECT_TRUE(samples->stackable());
  for (const int64_t i : {0, 63, 64, 69})
    EXPECT_EQ(samples->call(i)[0].array.bytes, single.call(i)[0].array.bytes) << i;
}

TEST_F(BatchAxis, SamplesOfDifferentLengthsAreCutAndFedOneByOne) {
  const auto ragged =
      std::make_shared<VectorSamples>(std::vector<std::string>{"tokens"},
                                      std::vector<std::vector<Array>>{{floats({3, 4, 16}, random_values(192, 1))},
                                                                      {floats({2, 7, 16}, random_values(224, 2))}},
                                      false);
  const ModelPtr model = transformer_block(Norm::kMvn);
  const auto samples = found(model, ragged);
  ASSERT_EQ(samples->size(), 5);
  EXPECT_FALSE(samples->stackable());
  EXPECT_EQ(Calls(*samples, *model).size(), 5U);
}

TEST_F(BatchAxis, IsNoneWhereSamplesWouldSeeEachOther) {
  // Attention over the first axis, which is time: no call may be cut.
  const auto x = parameter("frames", {-1, 8});
  const auto scores = std::make_shared<op::MatMul>(x, x, false, true);
  const ModelPtr attention = model_of(std::make_shared<op::MatMul>(std::make_shared<op::Softmax>(scores, 1), x), {x});
  // A running sum: the first row is its own alone, the last is not.
  const auto y = parameter("frames", {-1, 8});
  const ModelPtr causal = model_of(std::make_shared<op::CumSum>(y, constant(std::vector<int64_t>{0})->output(0)), {y});
  for (const ModelPtr& model : {attention, causal}) {
    const auto calls = in_calls_of(random_samples("frames", 12, {8}, 3), 6);
    EXPECT_EQ(found(model, calls), calls);
  }
}

TEST_F(BatchAxis, OfOneFixedSizeMakesCallsCountForThatMany) {
  const auto x = parameter("image", {4, 8});
  const ModelPtr model = model_of(linear("head", x, 3, 8, 5), {x});
  const auto samples = found(model, in_calls_of(random_samples("image", 12, {8}, 3), 4));
  ASSERT_EQ(samples->size(), 3);
  EXPECT_EQ(samples->samples_in(1), 4);
  const Calls calls(*samples, *model);
  EXPECT_EQ(calls.size(), 3U);
  EXPECT_EQ(calls.samples(), 12);
}

TEST_F(BatchAxis, IsNoneWhereInputsDifferInNumber) {
  const auto a = parameter("a", {-1, 2}), b = parameter("b", {-1, 2});
  const ModelPtr model = model_of(std::make_shared<op::Concat>(ov::OutputVector{a, b}, 0), {a, b});
  const auto calls = std::make_shared<VectorSamples>(
      std::vector<std::string>{"a", "b"},
      std::vector<std::vector<Array>>{{floats({2, 2}, {1, 2, 3, 4}), floats({3, 2}, {1, 2, 3, 4, 5, 6})}}, false);
  EXPECT_EQ(found(model, calls), calls);
  EXPECT_THAT(error_of([&] { found(model, calls, 0); }), HasSubstr("batch_axis"));
}

TEST_F(BatchAxis, ThatIsAskedForMayBeAnother) {
  // [time, batch, features], as recurrent networks have it.
  const auto x = parameter("frames", {-1, -1, 8});
  const ModelPtr model = model_of(linear("head", x, 3, 8, 5), {x});
  VectorSamples single({"frames"}, {});
  std::vector<std::vector<Array>> calls;
  for (unsigned s = 0; s < 6; ++s) calls.push_back({floats({5, 1, 8}, random_values(40, s))});
  single = VectorSamples({"frames"}, std::move(calls));
  const auto samples = found(model, in_calls_of(single, 3, 1), 1);
  ASSERT_EQ(samples->size(), 6);
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(samples->call(i)[0].array.bytes, single.call(i)[0].array.bytes) << i;
  EXPECT_THAT(error_of([&] { found(model, in_calls_of(single, 3, 1), 2); }), HasSubstr("is fixed"));
  EXPECT_THAT(error_of([&] { found(model, std::make_shared<VectorSamples>(single), 1); }),
              HasSubstr("counts samples along its first axis"));
}

}  // namespace
}  // namespace dnateq::testing
