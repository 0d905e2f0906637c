#include "inspect/accelerator_workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/test_error.h"
#include "emit/emit.h"
#include "graph/test_models.h"
#include "ops/ops.h"
#include "search/solve.h"

namespace dnateq::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AcceleratorWorkload : public ::testing::Test {
 protected:
  const accelerator::Layer& layer(const accelerator::Workload& workload, const std::string& name) const {
    for (const accelerator::Layer& one : workload.layers)
      if (one.name == name) return one;
    throw Error("no layer " + name);
  }

  PreparedModel closed(const ModelPtr& model, int64_t batch = 1,
                       const std::map<std::string, std::vector<int64_t>>& shapes = {}) {
    PreparedModel prepared = save_and_import(core_, model);
    close_shapes(prepared, batch, shapes);
    return prepared;
  }

  std::string producer(const accelerator::Workload& workload, const std::string& name) const {
    const int index = layer(workload, name).producer;
    return index < 0 ? "memory" : workload.layers[static_cast<size_t>(index)].name;
  }

  ov::Core core_;
};

TEST_F(AcceleratorWorkload, ConvolutionsHaveTheirGeometryAtTheBatch) {
  const accelerator::Workload workload = workload_of(closed(residual_cnn(), 2), 2).coded;
  ASSERT_EQ(workload.layers.size(), 7U);
  const accelerator::Layer& stem = layer(workload, "stem");
  EXPECT_EQ(stem.kind, accelerator::LayerKind::kConvolution);
  EXPECT_EQ((std::vector<int64_t>{stem.groups, stem.rows, stem.inputs, stem.outputs}),
            (std::vector<int64_t>{1, 2 * 144, 27, 8}));
  EXPECT_EQ((std::vector<int64_t>{stem.input_elements, stem.weight_elements, stem.output_elements}),
            (std::vector<int64_t>{2 * 3 * 144, 216, 2 * 8 * 144}));
  EXPECT_EQ(stem.geometry.kernel_height, 3);
  EXPECT_EQ(stem.geometry.output_width, 12);
  const accelerator::Layer& skip = layer(workload, "block2/skip");  // 1 x 1, stride 2: a quarter of the image
  EXPECT_EQ(skip.input_elements, 2 * 8 * 36);
  EXPECT_EQ(skip.rows, 2 * 36);
  EXPECT_EQ(layer(workload, "classifier").rows, 2);
}

TEST_F(AcceleratorWorkload, ProducersAreFoundThroughElementwiseOperationsAlone) {
  const accelerator::Workload workload = workload_of(closed(residual_cnn()), 1).coded;
  EXPECT_EQ(producer(workload, "stem"), "memory");
  EXPECT_EQ(producer(workload, "block1/a"), "stem");
  EXPECT_EQ(producer(workload, "block1/b"), "block1/a");
  EXPECT_EQ(producer(workload, "block2/a"), "block1/b");  // of a sum, the branch that is computed last
  EXPECT_EQ(producer(workload, "classifier"), "memory");  // behind a mean
  for (size_t i = 0; i < workload.layers.size(); ++i) EXPECT_LT(workload.layers[i].producer, static_cast<int>(i));
}

TEST_F(AcceleratorWorkload, DepthwiseAndOneDimensionalConvolutions) {
  const auto x = parameter("signal", {-1, 6, 20});
  const auto depthwise = named<op::GroupConvolution>("depthwise", x, random_constant({6, 1, 1, 5}, 1), ov::Strides{2},
                                                     ov::CoordinateDiff{0}, ov::CoordinateDiff{0}, ov::Strides{2});
  const auto pointwise = named<op::Convolution>("pointwise", depthwise, random_constant({10, 6, 1}, 2), ov::Strides{1},
                                                ov::CoordinateDiff{0}, ov::CoordinateDiff{0}, ov::Strides{1});
  const accelerator::Workload workload = workload_of(closed(model_of(pointwise, {x}), 3), 3).coded;
  const accelerator::Layer& first = layer(workload, "depthwise");  // dilation 2: a window reaches over 9 positions
  EXPECT_EQ((std::vector<int64_t>{first.groups, first.rows, first.inputs, first.outputs}),
            (std::vector<int64_t>{6, 3 * 6, 5, 1}));
  EXPECT_EQ(first.macs(), 6 * 18 * 5);
  EXPECT_EQ(first.input_elements, 3 * 6 * 10);  // even positions alone, 0 ... 18
  EXPECT_EQ(first.geometry.kernel_width, 9);
  EXPECT_EQ(first.geometry.kernel_height, 1);
  EXPECT_EQ(layer(workload, "pointwise").producer, 0);
}

TEST_F(AcceleratorWorkload, AttentionIsProductsOfActivations) {
  const accelerator::Workload workload =
      workload_of(closed(transformer_block(Norm::kMvn), 1, {{"tokens", {2, 5, 16}}}), 2).coded;
  std::vector<const accelerator::Layer*> products;
  for (const accelerator::Layer& one : workload.layers)
    if (one.weights_are_activations) products.push_back(&one);
  ASSERT_EQ(products.size(), 2U);
  for (const accelerator::Layer* one : products) EXPECT_EQ(one->groups, 2 * 2);
  const accelerator::Layer& scores = *products[0];
  EXPECT_EQ((std::vector<int64_t>{scores.rows, scores.inputs, scores.outputs}), (std::vector<int64_t>{5, 8, 5}));
  EXPECT_EQ(scores.weight_elements, 2 * 5 * 16);
  const accelerator::Layer& mix = layer(workload, "mix");
  EXPECT_EQ((std::vector<int64_t>{mix.rows, mix.inputs, mix.outputs}), (std::vector<int64_t>{5, 5, 8}));
  const auto name_of = [&](int index) { return workload.layers.at(static_cast<size_t>(index)).name; };
  EXPECT_EQ(name_of(mix.weight_producer), "value");
  EXPECT_EQ(name_of(mix.producer), scores.name);
  EXPECT_EQ(producer(workload, "ffn/out"), "ffn/in");
  EXPECT_EQ(producer(workload, "head"), "ffn/out");  // through a layer norm
}

TEST_F(AcceleratorWorkload, OpenShapesAreAskedFor) {
  PreparedModel prepared = save_and_import(core_, transformer_block(Norm::kMvn));
  EXPECT_THAT(error_of([&] { close_shapes(prepared, 1, {}); }), HasSubstr("tokens"));
  EXPECT_THAT(error_of([&] { close_shapes(prepared, 1, {{"ids", {1, 2}}}); }), HasSubstr("ids"));
  EXPECT_THAT(error_of([&] { close_shapes(prepared, 1, {{"tokens", {1, 2, 17}}}); }), HasSubstr("shapes"));
  EXPECT_THAT(error_of([&] { close_shapes(prepared, 1, {{"ids*", {1, 2}}}); }), HasSubstr("'ids*'"));
}

TEST_F(AcceleratorWorkload, OneShapeForInputsWhoseNamesBeginAlike) {
  PreparedModel prepared = save_and_import(core_, transformer_block(Norm::kMvn));
  const ov::PartialShape open = prepared.model->input(0).get_partial_shape();
  std::vector<int64_t> whole, other;
  for (const auto& dimension : open) {
    whole.push_back(dimension.is_static() ? dimension.get_length() : 3);
    other.push_back(dimension.is_static() ? dimension.get_length() : 5);
  }
  close_shapes(prepared, 1, {{"tok*", whole}});
  EXPECT_EQ(prepared.model->input(0).get_partial_shape(),
            ov::PartialShape(std::vector<ov::Dimension>(whole.begin(), whole.end())));
  prepared = save_and_import(core_, transformer_block(Norm::kMvn));
  close_shapes(prepared, 1, {{"tok*", whole}, {"tokens", other}});  // its own name comes first
  EXPECT_EQ(prepared.model->input(0).get_partial_shape(),
            ov::PartialShape(std::vector<ov::Dimension>(other.begin(), other.end())));
}

TEST_F(AcceleratorWorkload, CodesAreCountedByMagnitude) {
  TensorCode code;
  code = with_level_counts(code, 3);  // 4 positive levels, 3 negative ones
  const std::vector<uint8_t> codes = {0, 0, 0, 0, 1, 1, 5, 4, 7, 3};
  const accelerator::Operand operand = operand_of(code, count_codes(code, codes), "test");
  EXPECT_EQ(operand.stored_bits, 3);
  EXPECT_EQ(operand.exponent_bits, 2);
  EXPECT_DOUBLE_EQ(operand.zero_fraction, 0.4);
  ASSERT_EQ(operand.exponent_share.size(), 4U);
  EXPECT_DOUBLE_EQ(operand.exponent_share[0], 3.0 / 6);  // +L(0) twice, -L(0) once
  EXPECT_DOUBLE_EQ(operand.exponent_share[2], 2.0 / 6);
  EXPECT_DOUBLE_EQ(operand.exponent_share[3], 1.0 / 6);
  const accelerator::Operand unsigned_one = operand_of(with_level_counts({}, 4, 0), std::nullopt, "");
  EXPECT_EQ(unsigned_one.exponent_bits, 4);
  EXPECT_TRUE(unsigned_one.exponent_share.empty());
}

TEST_F(AcceleratorWorkload, HistogramAndCodesAgree) {
  const std::vector<float> values = random_values(5000, 3);
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.base = 1.5;
  code.alpha = 0.1;
  code = with_level_counts(code, 4);
  Histogram histogram;
  histogram.add(values);
  std::vector<uint8_t> codes(values.size());
  Encoder(code).encode(values, codes);
  const CodeCounts exact = count_codes(code, codes), binned = count_codes(code, histogram);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(binned[i], exact[i], 0.02 * 5000) << i;
}

TEST_F(AcceleratorWorkload, RecipeGivesBitsAndEmittedCodes) {
  const PreparedModel prepared = closed(residual_cnn());
  Recipe recipe;
  std::vector<LayerCodes> emitted;
  for (const Layer& one : prepared.layers) {
    const LayerSolution solution =
        quantize_rows(one.weight_matrix(), {one.rows, one.columns, one.groups}, with_level_counts({}, 4));
    static_cast<WeightCodes&>(emitted.emplace_back()) = solution;
    if (one.name == "block2/b") continue;  // left in FP32
    LayerRecipe entry;
    entry.name = one.name;
    const ov::Shape shape = one.weights()->get_shape();
    entry.weight_shape.assign(shape.begin(), shape.end());
    entry.weights.code = solution.code;
    entry.activations.emplace();
    TensorCode code;
    code.arithmetic = Arithmetic::kExponential;
    code.alpha = 0.1;
    code.base = 1.2;
    entry.activations->code = with_level_counts(code, 5, 0);
    recipe.layers.push_back(entry);
  }
  const TempFolder folder;
  save_model_files(emit_exact(prepared, emitted), folder.path());
  core_.add_extension(ops::operation_extensions());
  RecipeStatistics statistics;
  statistics.weight_counts = emitted_code_counts(core_, folder / "model.xml");
  Histogram half_zero;
  half_zero.add(std::vector<float>{0, 0, 1, 1});
  statistics.activations["stem"] = half_zero;
  ModelWorkload workload = workload_of(prepared, 1);
  apply_recipe(workload, prepared, recipe, "r.json", statistics);

  const accelerator::Layer& stem = layer(workload.coded, "stem");
  EXPECT_EQ(stem.weights.stored_bits, 4);
  EXPECT_EQ(stem.weights.exponent_bits, 3);
  EXPECT_EQ(stem.weights.origin, "recipe, emitted codes");
  EXPECT_NEAR(std::accumulate(stem.weights.exponent_share.begin(), stem.weights.exponent_share.end(), 0.0), 1, 1e-12);
  const auto zeros = std::count(emitted[0].codes.begin(), emitted[0].codes.end(), uint8_t{0});
  EXPECT_DOUBLE_EQ(stem.weights.zero_fraction,
                   static_cast<double>(zeros) / static_cast<double>(emitted[0].codes.size()));
  EXPECT_EQ(stem.activations.stored_bits, 5);
  EXPECT_DOUBLE_EQ(stem.activations.zero_fraction, 0.5);
  EXPECT_TRUE(layer(workload.coded, "block1/a").activations.exponent_share.empty());
  EXPECT_THAT(layer(workload.coded, "block1/a").activations.origin, HasSubstr("not measured"));
  const accelerator::Layer& left = layer(workload.coded, "block2/b");
  EXPECT_EQ(left.weights.stored_bits, 8);
  EXPECT_THAT(left.weights.origin, HasSubstr("FP32"));
  EXPECT_TRUE(left.int8_lanes);
  EXPECT_FALSE(stem.int8_lanes);
  // 8-bit grids leave fewer zeros than 4-bit codes.
  EXPECT_LT(layer(workload.int8, "stem").weights.zero_fraction, stem.weights.zero_fraction);
  EXPECT_EQ(layer(workload.int8, "stem").weights.stored_bits, 8);

  recipe.layers[0].weight_shape[0] = 9;
  EXPECT_THAT(error_of([&] { apply_recipe(workload, prepared, recipe, "r.json", {}); }), HasSubstr("another model"));
  recipe.layers[0].name = "absent";
  EXPECT_THAT(error_of([&] { apply_recipe(workload, prepared, recipe, "r.json", {}); }), HasSubstr("absent"));
}

TEST_F(AcceleratorWorkload, AttentionRunsInEightBitsSinceNoRecipeHasCodesForIt) {
  const PreparedModel prepared = closed(transformer_block(Norm::kMvn), 1, {{"tokens", {1, 5, 16}}});
  Recipe recipe;
  for (const Layer& one : prepared.layers) {
    LayerRecipe entry;
    entry.name = one.name;
    const ov::Shape shape = one.weights()->get_shape();
    entry.weight_shape.assign(shape.begin(), shape.end());
    entry.weights.code = with_level_counts({}, 3);
    if (one.kind != LayerKind::kEmbedding) entry.activations.emplace().code = with_level_counts({}, 4);
    recipe.layers.push_back(entry);
  }
  ModelWorkload workload = workload_of(prepared, 1);
  apply_recipe(workload, prepared, recipe, "r.json", {});
  int products = 0;
  for (const accelerator::Layer& one : workload.coded.layers) {
    if (!one.weights_are_activations) {
      EXPECT_FALSE(one.int8_lanes) << one.name;
      EXPECT_EQ(one.weights.stored_bits, 3);
      EXPECT_EQ(one.activations.stored_bits, 4);
      continue;
    }
    ++products;
    EXPECT_TRUE(one.int8_lanes) << one.name;
    for (const accelerator::Operand& operand : {one.weights, one.activations}) {
      EXPECT_EQ(operand.stored_bits, 8);
      EXPECT_THAT(operand.origin, HasSubstr("no codes for products of two activations"));
    }
  }
  EXPECT_EQ(products, 2);
}

TEST_F(AcceleratorWorkload, OperandsKnowTheFamilyOfTheirCodes) {
  TensorCode code = with_level_counts({}, 4);
  code.arithmetic = Arithmetic::kExponential;
  code.base = 1.5;
  code.beta = -0.1;
  accelerator::Operand operand = operand_of(code, std::nullopt, "");
  EXPECT_EQ(operand.levels, accelerator::Levels::kReal);
  EXPECT_FALSE(operand.beta_is_zero);
  code.beta = 0;
  code.arithmetic = Arithmetic::kInt8Grid;
  operand = operand_of(code, std::nullopt, "");
  EXPECT_EQ(operand.levels, accelerator::Levels::kInt8Grid);
  EXPECT_TRUE(operand.beta_is_zero);
}

TEST_F(AcceleratorWorkload, WidthsWithoutARecipe) {
  PreparedModel prepared = save_and_import(core_, residual_cnn());
  const VectorSamples samples = random_samples("image", 4, {3, 12, 12}, 5);
  const Calls calls(samples, *prepared.model);
  const auto activations = measure_activations(core_, prepared, calls, 1, {});
  EXPECT_EQ(shapes_of(calls, prepared, 1).at("image"), (std::vector<int64_t>{1, 3, 12, 12}));
  close_shapes(prepared, 1, {});
  ModelWorkload workload = workload_of(prepared, 1);
  apply_bits(workload, prepared, 3, 4, activations, {});
  const accelerator::Layer& a = layer(workload.coded, "block1/a");  // reads what a ReLU leaves
  EXPECT_EQ(a.weights.stored_bits, 3);
  EXPECT_EQ(a.weights.exponent_share.size(), 4U);
  EXPECT_EQ(a.activations.stored_bits, 4);
  EXPECT_EQ(a.activations.exponent_bits, 4);  // no negative level
  EXPECT_GT(a.activations.zero_fraction, 0.2);
  EXPECT_LE(layer(workload.int8, "block1/a").activations.zero_fraction, a.activations.zero_fraction);
  apply_bits(workload, prepared, 3, 4, std::nullopt, {});
  EXPECT_EQ(layer(workload.coded, "block1/a").activations.zero_fraction, 0);
  EXPECT_EQ(layer(workload.coded, "block1/a").activations.exponent_bits, 4);
  EXPECT_EQ(layer(workload.coded, "stem").activations.exponent_bits, 3);
}

}  // namespace
}  // namespace dnateq::testing
