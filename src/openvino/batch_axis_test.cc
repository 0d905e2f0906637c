#include "openvino/batch_axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openvino/calls.h"
#include "openvino/measure.h"
#include "openvino/quantize.h"
#include "openvino/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;

// The samples of `single`, `count` of them a call, stacked along `axis`.
std::shared_ptr<VectorSamples> in_calls_of(const VectorSamples& single, int64_t count, size_t axis = 0) {
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
  EXPECT_THAT(error_of([&] { found(model, calls, 0); }), HasSubstr("--batch-axis"));
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

TEST_F(BatchAxis, CallsOf64GiveTheRecipeOfTheSameSamplesOneByOne) {
  const ModelPtr model = transformer_block(Norm::kMvn);
  const TempFolder folder;
  ov::save_model(model, (folder / "model.xml").string(), false);
  const PreparedModel prepared = import_model(core_, folder / "model.xml", {});
  const auto single = std::make_shared<VectorSamples>(random_samples("tokens", 128, {5, 16}, 1));
  const auto recipe_of = [&](const std::shared_ptr<const Samples>& data, const std::string& name) {
    QuantizeOptions options;
    options.target_weight_bits = 6;
    options.target_activation_bits = 5;
    options.threads = 2;
    const NetworkInput input{"", &prepared, data.get(), folder / "model.xml", folder / name};
    Recipe recipe = quantize(core_, {input}, nullptr, {}, options).front().recipe;
    recipe.data_fingerprint.clear();
    return to_json(recipe);
  };
  const std::string one_by_one = recipe_of(single, "single");
  EXPECT_EQ(recipe_of(found(prepared.model, in_calls_of(*single, 64)), "calls"), one_by_one);
  const Recipe recipe = recipe_from_json(one_by_one, "recipe");
  EXPECT_EQ(recipe.layers.front().activations->elements, 5 * 16);
  EXPECT_EQ(recipe.layers.front().macs, 5 * 16 * 16);
  ASSERT_TRUE(recipe.split.has_value());
  EXPECT_EQ(recipe.split->judge, 16);
  EXPECT_EQ(recipe.split->solve, 112);
}

TEST_F(BatchAxis, AFixedBatchIsMeasuredAndScoredBySample) {
  const auto x = parameter("image", {8, 16});
  const ModelPtr fixed = model_of(linear("head", x, 10, 16, 5), {x});
  const auto y = parameter("image", {-1, 16});
  const ModelPtr open = model_of(linear("head", y, 10, 16, 5), {y});
  const auto single = std::make_shared<VectorSamples>(random_samples("image", 64, {16}, 1));
  const auto calls = found(fixed, in_calls_of(*single, 8));
  const PreparedModel prepared = save_and_import(core_, fixed), prepared_open = save_and_import(core_, open);
  const ActivationHistograms by_call = measure_activations(core_, prepared, Calls(*calls, *prepared.model), 1, {});
  const ActivationHistograms by_sample =
      measure_activations(core_, prepared_open, Calls(*single, *prepared_open.model), 1, {});
  EXPECT_EQ(by_call.tensors[0].values, 16);
  EXPECT_EQ(by_call.tensors[0].shape, by_sample.tensors[0].shape);
  EXPECT_EQ(by_call.tensors[0].histogram.count(), by_sample.tensors[0].histogram.count());
  const OutputValues a = run_output(core_, fixed, Calls(*calls, *fixed), 0, 1, {}, ""),
                     b = run_output(core_, open, Calls(*single, *open), 0, 1, {}, "");
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 64; ++i) labels.push_back(i % 10);
  EXPECT_EQ(score(Metric::kTop1, a, a, labels), score(Metric::kTop1, b, b, labels));
}

}  // namespace
}  // namespace dnateq::testing
