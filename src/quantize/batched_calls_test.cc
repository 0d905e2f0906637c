// Data that comes in calls of many samples: a network is measured, searched and judged sample by sample all the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calibrate/measure.h"
#include "graph/batch_axis.h"
#include "graph/evaluate.h"
#include "graph/test_models.h"
#include "quantize/quantize.h"

namespace dnateq::testing {
namespace {

std::shared_ptr<const Samples> found(ov::Core& core, const ModelPtr& model, std::shared_ptr<const Samples> data) {
  return as_samples(core, model, std::move(data), std::nullopt);
}

TEST(BatchedCalls, Of64GiveTheRecipeOfTheSameSamplesOneByOne) {
  ov::Core core;
  const ModelPtr model = transformer_block(Norm::kMvn);
  const TempFolder folder;
  ov::save_model(model, (folder / "model.xml").string(), false);
  const PreparedModel prepared = import_model(core, folder / "model.xml", {});
  const auto single = std::make_shared<VectorSamples>(random_samples("tokens", 128, {5, 16}, 1));
  const auto recipe_of = [&](const std::shared_ptr<const Samples>& data, const std::string& name) {
    QuantizeOptions options;
    options.target_weight_bits = 6;
    options.target_activation_bits = 5;
    options.threads = 2;
    const NetworkInput input{"", &prepared, data.get(), folder / "model.xml", folder / name};
    Recipe recipe = quantize(core, {input}, nullptr, {}, options).front().recipe;
    recipe.data_fingerprint.clear();
    return to_json(recipe);
  };
  const std::string one_by_one = recipe_of(single, "single");
  EXPECT_EQ(recipe_of(found(core, prepared.model, in_calls_of(*single, 64)), "calls"), one_by_one);
  const Recipe recipe = recipe_from_json(one_by_one, "recipe");
  EXPECT_EQ(recipe.layers.front().activations->elements, 5 * 16);
  EXPECT_EQ(recipe.layers.front().macs, 5 * 16 * 16);
  ASSERT_TRUE(recipe.split.has_value());
  EXPECT_EQ(recipe.split->judge, 16);
  EXPECT_EQ(recipe.split->solve, 112);
}

TEST(BatchedCalls, AFixedBatchIsMeasuredAndScoredBySample) {
  ov::Core core;
  const auto x = parameter("image", {8, 16});
  const ModelPtr fixed = model_of(linear("head", x, 10, 16, 5), {x});
  const auto y = parameter("image", {-1, 16});
  const ModelPtr open = model_of(linear("head", y, 10, 16, 5), {y});
  const auto single = std::make_shared<VectorSamples>(random_samples("image", 64, {16}, 1));
  const auto calls = found(core, fixed, in_calls_of(*single, 8));
  const PreparedModel prepared = save_and_import(core, fixed), prepared_open = save_and_import(core, open);
  const ActivationHistograms by_call = measure_activations(core, prepared, Calls(*calls, *prepared.model), 1, {});
  const ActivationHistograms by_sample =
      measure_activations(core, prepared_open, Calls(*single, *prepared_open.model), 1, {});
  EXPECT_EQ(by_call.tensors[0].values, 16);
  EXPECT_EQ(by_call.tensors[0].shape, by_sample.tensors[0].shape);
  EXPECT_EQ(by_call.tensors[0].histogram.count(), by_sample.tensors[0].histogram.count());
  const OutputValues a = run_output(core, fixed, Calls(*calls, *fixed), 0, 1, {}, ""),
                     b = run_output(core, open, Calls(*single, *open), 0, 1, {}, "");
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 64; ++i) labels.push_back(i % 10);
  EXPECT_EQ(score(Metric::kTop1, a, a, labels), score(Metric::kTop1, b, b, labels));
}

}  // namespace
}  // namespace dnateq::testing
