#include "graph/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <openvino/op/util/variable.hpp>
#include <set>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Import : public ::testing::Test {
 protected:
  // The prepared model, after checking that it computes what the file's own model computes.
  PreparedModel prepared_as_exact_as(const ModelPtr& model, const std::vector<ov::Tensor>& inputs,
                                     const ImportOptions& options = {}, bool half_precision = false) {
    ov::save_model(model, file().string(), half_precision);
    const std::vector<float> expected = infer(core_, core_.read_model(file().string()), inputs);
    PreparedModel prepared = import_model(core_, file(), options);
    expect_near(infer(core_, prepared.model, inputs), expected);
    EXPECT_THAT(prepared.model->output(0).get_names(), ElementsAre("output"));
    EXPECT_EQ(prepared.model->inputs().size(), model->inputs().size());
    for (const Layer& layer : prepared.layers) check(layer);
    return prepared;
  }

  static void check(const Layer& layer) {
    ASSERT_NE(layer.weights(), nullptr) << layer.name;
    EXPECT_EQ(layer.weights()->get_element_type(), ov::element::f32) << layer.name;
    EXPECT_EQ(layer.node->get_friendly_name(), layer.name);
    const std::vector<float> matrix = layer.weight_matrix();
    EXPECT_EQ(matrix.size(), static_cast<size_t>(layer.rows * layer.columns)) << layer.name;
    EXPECT_EQ(layer.to_model_layout(matrix), layer.weights()->cast_vector<float>()) << layer.name;
  }

  std::string refusal(const ModelPtr& model, const ImportOptions& options = {}) {
    ov::save_model(model, file().string(), false);
    return error_of([&] { import_model(core_, file(), options); });
  }

  template <typename Op>
  static size_t count(const PreparedModel& prepared) {
    const auto all = prepared.model->get_ops();
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const auto& n) { return ov::is_type<Op>(n); }));
  }

  static std::vector<std::string> names(const PreparedModel& prepared) {
    std::vector<std::string> all;
    for (const Layer& layer : prepared.layers) all.push_back(layer.name);
    return all;
  }

  std::filesystem::path file() const { return folder_ / "net.xml"; }

  ov::Core core_;
  TempFolder folder_;
};

TEST_F(Import, NetworksKeepTheirOutputsAndListTheirLayersInOrder) {
  const PreparedModel cnn = prepared_as_exact_as(residual_cnn(), {random_tensor({2, 3, 12, 12}, 1)});
  EXPECT_THAT(names(cnn), ::testing::UnorderedElementsAre("stem", "block1/a", "block1/b", "block2/a", "block2/b",
                                                          "block2/skip", "classifier"));
  EXPECT_EQ(names(cnn).front(), "stem");
  EXPECT_EQ(names(cnn).back(), "classifier");
  for (const Norm norm : {Norm::kMvn, Norm::kDecomposed}) {
    const PreparedModel block = prepared_as_exact_as(transformer_block(norm), {random_tensor({2, 5, 16}, 2)});
    EXPECT_EQ(block.layers.size(), 7U);
    EXPECT_EQ(block.unquantized.size(), 2U);
  }
}

TEST_F(Import, ParametersAreAllValuesOfFloatingPointConstantsWhateverReadsThem) {
  const auto x = parameter("x", {2, 6, 4});  // [batch, length, inputs]
  const auto hidden = constant(ov::Shape{2, 1, 5}, std::vector<float>(10));
  const auto lengths = op::Constant::create(ov::element::i64, ov::Shape{2}, std::vector<int64_t>{6, 6});
  const auto lstm = std::make_shared<op::LSTMSequence>(x, hidden, hidden, lengths, random_constant({1, 20, 4}, 1),
                                                       random_constant({1, 20, 5}, 2), random_constant({1, 20}, 3), 5,
                                                       ov::op::RecurrentSequenceDirection::FORWARD);
  const auto last = std::make_shared<op::Squeeze>(lstm->output(1), constant({1}));
  const auto scaled = std::make_shared<op::PRelu>(linear("head", last, 3, 5, 4), random_constant({3}, 5));
  ov::save_model(model_of(scaled, {x}), file().string(), false);
  const PreparedModel prepared = import_model(core_, file());
  ASSERT_EQ(prepared.layers.size(), 1U);                              // 3 x 5 weights
  const int64_t recurrent = 20 * 4 + 20 * 5 + 20, head = 15 + 3 + 3;  // no list has the first, nor the last 3 + 3
  EXPECT_EQ(prepared.parameters, 10 + recurrent + head);              // hidden and cell are one constant
}

TEST_F(Import, ParametersInBodiesOfLoopsCount) {
  const auto x = parameter("x", {4, 8}), y = parameter("y", {1, 8});
  const auto body = std::make_shared<ov::Model>(
      ov::OutputVector{std::make_shared<op::Multiply>(y, random_constant({1, 8}, 1))}, ov::ParameterVector{y});
  const auto loop = std::make_shared<op::TensorIterator>();
  loop->set_function(body);
  loop->set_sliced_input(y, x, 0, 1, 1, -1, 0);
  const auto joined = loop->get_concatenated_slices(body->get_results()[0], 0, 1, 1, -1, 0);
  EXPECT_EQ(count_parameters(*model_of(linear("head", joined, 3, 8, 2), {x})), 8 + 24 + 3);
}

TEST_F(Import, HalfPrecisionConstantsAreWidened) {
  const PreparedModel prepared = prepared_as_exact_as(residual_cnn(), {random_tensor({2, 3, 12, 12}, 3)}, {}, true);
  ASSERT_EQ(prepared.layers.size(), 7U);
  for (const Layer& layer : prepared.layers)
    for (const float w : layer.weight_matrix())
      ASSERT_EQ(w, static_cast<float>(ov::float16(w))) << layer.name;  // what the file holds, not a rounding of it
}

TEST_F(Import, BatchNormAfterAConvolutionMovesIntoItsWeights) {
  for (const bool grouped : {false, true}) {
    const auto x = parameter("x", {-1, 4, 8, 8});
    const NodePtr layer = grouped ? NodePtr(named<op::GroupConvolution>("conv", x, random_constant({2, 3, 2, 3, 3}, 1),
                                                                        ov::Strides{1, 1}, ov::CoordinateDiff{1, 1},
                                                                        ov::CoordinateDiff{1, 1}, ov::Strides{1, 1}))
                                  : convolution("conv", x, {6, 4, 3, 3}, 1);
    std::vector<float> variance = random_values(6, 5);
    for (float& v : variance) v = v * v + 0.1F;
    const auto norm = named<op::BatchNormInference>("norm", layer, random_constant({6}, 2), random_constant({6}, 3),
                                                    random_constant({6}, 4), constant({6}, variance), 1e-3);
    const PreparedModel prepared =
        prepared_as_exact_as(model_of(std::make_shared<op::Relu>(norm), {x}), {random_tensor({2, 4, 8, 8}, 6)});
    ASSERT_EQ(prepared.layers.size(), 1U);
    EXPECT_EQ(prepared.layers[0].rows, 6);
    EXPECT_EQ(count<op::BatchNormInference>(prepared), 0U);
    EXPECT_EQ(count<op::Multiply>(prepared), 0U);
    EXPECT_EQ(count<op::Add>(prepared), 1U);
  }
}

TEST_F(Import, BatchNormBeforeAConvolutionStaysWhereItIs) {
  const auto x = parameter("x", {-1, 4, 8, 8});
  const auto norm =
      named<op::BatchNormInference>("norm", x, random_constant({4}, 2), random_constant({4}, 3),
                                    random_constant({4}, 4), constant({4}, {0.5F, 1.0F, 2.0F, 4.0F}), 1e-3);
  const PreparedModel prepared =
      prepared_as_exact_as(model_of(convolution("conv", norm, {6, 4, 3, 3}, 1), {x}), {random_tensor({1, 4, 8, 8}, 6)});
  EXPECT_EQ(prepared.layers.size(), 1U);
}

TEST_F(Import, ScalesOfAConvolutionsOutputMoveIntoItsWeights) {
  for (const bool first : {false, true})
    for (const ov::Shape& shape : {ov::Shape{1, 6, 1, 1}, ov::Shape{}, ov::Shape{1}, ov::Shape{1, 1, 1, 1}}) {
      const auto x = parameter("x", {-1, 4, 8, 8});
      const auto layer = convolution("conv", x, {6, 4, 3, 3}, 1);
      const auto factor = random_constant(shape, 2);
      const auto scaled =
          first ? std::make_shared<op::Multiply>(factor, layer) : std::make_shared<op::Multiply>(layer, factor);
      const PreparedModel prepared =
          prepared_as_exact_as(model_of(std::make_shared<op::Relu>(scaled), {x}), {random_tensor({1, 4, 8, 8}, 3)});
      EXPECT_EQ(count<op::Multiply>(prepared), 0U) << shape;
      EXPECT_EQ(prepared.layers.size(), 1U);
    }
}

TEST_F(Import, ScalesThatAreNotPerChannelOrHaveOtherReadersStay) {
  const auto x = parameter("x", {-1, 4, 8, 8});
  const auto spatial =
      std::make_shared<op::Multiply>(convolution("conv", x, {6, 4, 3, 3}, 1), random_constant({1, 1, 1, 8}, 2));
  prepared_as_exact_as(model_of(spatial, {x}), {random_tensor({1, 4, 8, 8}, 3)});
  const auto y = parameter("y", {-1, 4, 8, 8});
  const auto shared = convolution("conv", y, {6, 4, 3, 3}, 1);
  const auto both =
      std::make_shared<op::Add>(shared, std::make_shared<op::Multiply>(shared, random_constant({1, 6, 1, 1}, 2)));
  prepared_as_exact_as(model_of(both, {y}), {random_tensor({1, 4, 8, 8}, 3)});
}

TEST_F(Import, AScaleOfSharedWeightsLeavesTheOtherConvolutionAlone) {
  const auto x = parameter("x", {-1, 4, 8, 8});
  const auto weights = random_constant({4, 4, 3, 3}, 1, 0.2F);
  const ov::Strides ones{1, 1};
  const ov::CoordinateDiff pad{1, 1};
  const auto a = named<op::Convolution>("a", x, weights, ones, pad, pad, ones);
  const auto scaled = std::make_shared<op::Multiply>(a, random_constant({1, 4, 1, 1}, 2));
  const auto b = named<op::Convolution>("b", scaled, weights, ones, pad, pad, ones);
  EXPECT_EQ(prepared_as_exact_as(model_of(b, {x}), {random_tensor({1, 4, 8, 8}, 3)}).layers.size(), 2U);
}

TEST_F(Import, EveryTransposedFormOfAMatMulBecomesTheSameOne) {
  for (const bool left : {false, true})
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const size_t rank : {2U, 3U, 4U}) {
          const size_t outputs = 5, inputs = 7, other = 3;
          SCOPED_TRACE(std::string(left ? "left" : "right") + (transpose_a ? " a" : "") + (transpose_b ? " b" : "") +
                       " rank " + std::to_string(rank));
          const bool weights_swapped = left ? transpose_a : transpose_b, x_swapped = left ? transpose_b : transpose_a;
          ov::Shape weights = left ? ov::Shape{outputs, inputs} : ov::Shape{inputs, outputs};
          ov::Shape x = left ? ov::Shape{inputs, other} : ov::Shape{other, inputs};
          if (weights_swapped) std::swap(weights[0], weights[1]);
          if (x_swapped) std::swap(x[0], x[1]);
          while (x.size() < rank) x.insert(x.begin(), 2);
          ov::PartialShape declared = x;
          declared[0] = ov::Dimension::dynamic();
          const auto input = parameter("x", declared);
          const auto w = random_constant(weights, 1);
          const auto product = left ? named<op::MatMul>("product", w, input, transpose_a, transpose_b)
                                    : named<op::MatMul>("product", input, w, transpose_a, transpose_b);
          const PreparedModel prepared = prepared_as_exact_as(model_of(product, {input}), {random_tensor(x, 2)});
          ASSERT_EQ(prepared.layers.size(), 1U);
          const Layer& layer = prepared.layers[0];
          EXPECT_EQ(layer.name, "product");
          EXPECT_EQ(layer.kind, LayerKind::kMatMul);
          EXPECT_EQ(layer.weight_port, 1U);
          EXPECT_EQ(layer.activation_port, 0U);
          EXPECT_EQ(layer.rows, 5);
          EXPECT_EQ(layer.columns, 7);
          const auto values = w->cast_vector<float>();
          const bool by_row = weights[0] == outputs;
          for (size_t r = 0; r < outputs; ++r)
            for (size_t c = 0; c < inputs; ++c)
              EXPECT_EQ(layer.weight_matrix()[r * inputs + c], values[by_row ? r * inputs + c : c * outputs + r]);
        }
}

TEST_F(Import, GemmWithATransposedConstantIsOneLayer) {
  const auto x = parameter("x", {-1, 7});
  const auto turned = std::make_shared<op::Transpose>(random_constant({5, 7}, 1), constant({1, 0}));
  const auto scaled = std::make_shared<op::Multiply>(turned, constant(ov::Shape{}, {0.5F}));
  const auto gemm = std::make_shared<op::Add>(named<op::MatMul>("gemm", x, scaled), random_constant({1, 5}, 2));
  const PreparedModel prepared = prepared_as_exact_as(model_of(gemm, {x}), {random_tensor({3, 7}, 3)});
  ASSERT_EQ(prepared.layers.size(), 1U);
  EXPECT_EQ(prepared.layers[0].rows, 5);
  EXPECT_EQ(prepared.layers[0].columns, 7);
}

TEST_F(Import, FactorsOfOneAreDroppedButWhereTheyWidenATensor) {
  const auto x = parameter("x", {-1, 6});
  const auto one = constant(ov::Shape{}, {1.0F});
  const auto product = named<op::MatMul>("gemm", x, random_constant({6, 4}, 1), false, false);
  const auto bias = std::make_shared<op::Multiply>(one, random_constant({4}, 2));
  const auto sum = std::make_shared<op::Add>(std::make_shared<op::Multiply>(product, one), bias);
  const auto wide = std::make_shared<op::Multiply>(sum, constant({1, 3, 1, 1}, {1.0F, 1.0F, 1.0F}));
  const PreparedModel prepared = prepared_as_exact_as(model_of(wide, {x}), {random_tensor({2, 6}, 3)});
  size_t factors = 0;
  for (const auto& node : prepared.model->get_ops()) factors += ov::is_type<op::Multiply>(node);
  EXPECT_EQ(factors, 1U);
  ASSERT_EQ(prepared.layers.size(), 1U);
  const auto add = prepared.layers[0].node->output(0).get_target_inputs().begin()->get_node();
  EXPECT_TRUE(ov::is_type<op::Constant>(add->get_input_node_ptr(1)));
}

TEST_F(Import, LeadingOnesOfAWeightsShapeAreDropped) {
  for (const bool left : {false, true}) {
    const auto x = parameter("x", {-1, 7, 7});
    const auto w = random_constant(left ? ov::Shape{1, 5, 7} : ov::Shape{1, 7, 5}, 1);
    const auto product = left ? named<op::MatMul>("product", w, x) : named<op::MatMul>("product", x, w);
    const PreparedModel prepared = prepared_as_exact_as(model_of(product, {x}), {random_tensor({2, 7, 7}, 2)});
    ASSERT_EQ(prepared.layers.size(), 1U);
    EXPECT_EQ(prepared.layers[0].rows, 5);
    EXPECT_EQ(prepared.layers[0].weights()->get_shape().size(), 2U);
  }
}

TEST_F(Import, BatchedWeightsAndVectorsAreListedWithTheirReason) {
  const auto x = parameter("x", {2, 3, 7});
  const auto batched = named<op::MatMul>("batched", x, random_constant({2, 7, 5}, 1));
  const auto vector = named<op::MatMul>("vector", batched, random_constant({5}, 2));
  const PreparedModel prepared = prepared_as_exact_as(model_of(vector, {x}), {random_tensor({2, 3, 7}, 2)});
  EXPECT_THAT(prepared.layers, IsEmpty());
  ASSERT_EQ(prepared.unquantized.size(), 2U);
  for (const UnquantizedLayer& layer : prepared.unquantized) EXPECT_THAT(layer.reason, HasSubstr("batched, a vector"));
  EXPECT_EQ(prepared.unquantized[0].weight_elements, 70);
  EXPECT_EQ(prepared.unquantized[1].weight_elements, 5);
}

TEST_F(Import, ConvolutionsOfAnyRankAndGroupingStateTheirMatrix) {
  struct Case {
    ov::Shape weights, input;
    int64_t rows, columns, groups;
    bool grouped;
  };
  for (const Case& c :
       {Case{{8, 5, 3}, {2, 5, 17}, 8, 15, 1, false}, Case{{8, 5, 3, 3}, {2, 5, 9, 9}, 8, 45, 1, false},
        Case{{4, 3, 2, 3, 3}, {1, 3, 5, 6, 7}, 4, 54, 1, false}, Case{{2, 4, 3, 3, 3}, {2, 6, 9, 9}, 8, 27, 2, true},
        Case{{8, 1, 1, 3, 3}, {2, 8, 9, 9}, 8, 9, 8, true}, Case{{2, 4, 3, 3}, {2, 6, 9}, 8, 9, 2, true}}) {
    SCOPED_TRACE(::testing::PrintToString(c.weights));
    ov::PartialShape declared = c.input;
    declared[0] = ov::Dimension::dynamic();
    const auto x = parameter("x", declared);
    const size_t spatial = c.input.size() - 2;
    const ov::Strides ones(spatial, 1);
    const ov::CoordinateDiff pads(spatial, 1);
    const auto w = random_constant(c.weights, 1);
    const NodePtr layer = c.grouped ? NodePtr(named<op::GroupConvolution>("conv", x, w, ones, pads, pads, ones))
                                    : NodePtr(named<op::Convolution>("conv", x, w, ones, pads, pads, ones));
    const PreparedModel prepared = prepared_as_exact_as(model_of(layer, {x}), {random_tensor(c.input, 2)});
    ASSERT_EQ(prepared.layers.size(), 1U);
    EXPECT_EQ(prepared.layers[0].rows, c.rows);
    EXPECT_EQ(prepared.layers[0].columns, c.columns);
    EXPECT_EQ(prepared.layers[0].groups, c.groups);
    EXPECT_EQ(prepared.layers[0].weight_matrix(), w->cast_vector<float>());
  }
}

ModelPtr embedding_model(const ov::Shape& table, int64_t axis, const ov::element::Type& type = ov::element::i64) {
  const auto ids = parameter("ids", {-1, -1}, type);
  const auto gather =
      named<op::Gather>("table", random_constant(table, 1), ids, op::Constant::create(ov::element::i64, {}, {axis}));
  return model_of(gather, {ids});
}

TEST_F(Import, LargeLookupTablesAreEmbeddingsAndSmallOnesAreNot) {
  ov::Tensor ids(ov::element::i64, {2, 3});
  for (int64_t i = 0; i < 6; ++i) ids.data<int64_t>()[i] = i;
  const PreparedModel large = prepared_as_exact_as(embedding_model({512, 16}, 0), {ids});
  ASSERT_EQ(large.layers.size(), 1U);
  EXPECT_EQ(large.layers[0].kind, LayerKind::kEmbedding);
  EXPECT_EQ(large.layers[0].weight_port, 0U);
  EXPECT_EQ(large.layers[0].rows, 512);
  EXPECT_EQ(large.layers[0].columns, 16);
  EXPECT_THAT(prepared_as_exact_as(embedding_model({32, 16}, 0), {ids}).layers, IsEmpty());
  EXPECT_THAT(prepared_as_exact_as(embedding_model({512, 16}, 1), {ids}).layers, IsEmpty());
  EXPECT_THAT(prepared_as_exact_as(embedding_model({64, 8, 16}, 0), {ids}).layers, IsEmpty());
}

// A table and an output layer over the same words; `copies`: the second holds its own, transposed copy, times `factor`.
ModelPtr tied_model(bool copies, float factor = 1) {
  const auto ids = parameter("ids", {-1, -1}, ov::element::i64);
  const auto table = random_constant({512, 16}, 1);
  const auto gather = named<op::Gather>("table", table, ids, op::Constant::create(ov::element::i64, {}, {0}));
  const auto hidden = linear("hidden", gather, 16, 16, 2);
  if (!copies) return model_of(named<op::MatMul>("words", hidden, table, false, true), {ids});
  const std::vector<float> values = table->cast_vector<float>();
  std::vector<float> turned(values.size());
  for (size_t r = 0; r < 512; ++r)
    for (size_t c = 0; c < 16; ++c) turned[c * 512 + r] = factor * values[r * 16 + c];
  return model_of(named<op::MatMul>("words", hidden, constant({16, 512}, turned)), {ids});
}

TEST_F(Import, TiedWeightsBecomeOneConstantWhetherSharedOrCopied) {
  ov::Tensor ids(ov::element::i64, {2, 3});
  for (int64_t i = 0; i < 6; ++i) ids.data<int64_t>()[i] = 80 * i;
  for (const bool copies : {false, true}) {
    const PreparedModel prepared = prepared_as_exact_as(tied_model(copies), {ids});
    ASSERT_THAT(names(prepared), ElementsAre("table", "hidden", "words"));
    EXPECT_EQ(prepared.layers[0].shares_weights_with, std::nullopt);
    EXPECT_EQ(prepared.layers[1].shares_weights_with, std::nullopt);
    EXPECT_EQ(prepared.layers[2].shares_weights_with, 0);
    EXPECT_EQ(prepared.layers[2].weights(), prepared.layers[0].weights());
    EXPECT_EQ(prepared.layers[2].weight_matrix(), prepared.layers[0].weight_matrix());
    EXPECT_EQ(prepared.layers[2].had_own_copy, copies);
  }
}

TEST_F(Import, TiedWeightsOfAnotherScaleAreSharedToo) {
  ov::Tensor ids(ov::element::i64, {2, 3});
  for (int64_t i = 0; i < 6; ++i) ids.data<int64_t>()[i] = 80 * i;
  for (const float factor : {0.0721687836F, -3.0F}) {
    const PreparedModel prepared = prepared_as_exact_as(tied_model(true, factor), {ids});
    ASSERT_THAT(names(prepared), ElementsAre("table", "hidden", "words"));
    EXPECT_EQ(prepared.layers[2].shares_weights_with, 0);
    EXPECT_TRUE(prepared.layers[2].had_own_copy);
    EXPECT_EQ(prepared.layers[2].weights(), prepared.layers[0].weights());
  }
}

TEST_F(Import, NearlyProportionalWeightsAreNotShared) {
  const ModelPtr model = tied_model(true, 2);
  for (const auto& node : model->get_ops())
    if (const auto matmul = ov::as_type_ptr<op::MatMul>(node); matmul && matmul->get_friendly_name() == "words") {
      const auto weights = ov::as_type_ptr<op::Constant>(matmul->get_input_node_shared_ptr(1));
      std::vector<float> values = weights->cast_vector<float>();
      values[77] *= 1.00001F;
      matmul->input(1).replace_source_output(constant({16, 512}, values));
    }
  ov::Tensor ids(ov::element::i64, {1, 2});
  std::fill_n(ids.data<int64_t>(), 2, 7);
  EXPECT_EQ(prepared_as_exact_as(model, {ids}).layers.at(2).shares_weights_with, std::nullopt);
}

TEST_F(Import, UntiedLayersKeepWeightsOfTheirOwn) {
  ov::Tensor ids(ov::element::i64, {1, 2});
  std::fill_n(ids.data<int64_t>(), 2, 7);
  ImportOptions options;
  options.untie = {"^words$"};
  for (const bool copies : {false, true})
    EXPECT_EQ(prepared_as_exact_as(tied_model(copies), {ids}, options).layers.at(2).shares_weights_with, std::nullopt)
        << copies;
  options.untie = {"nothing"};
  EXPECT_THAT(refusal(tied_model(true), options), HasSubstr("untie"));
}

TEST_F(Import, EqualWeightsOfDifferentMeaningAreNotShared) {
  const auto x = parameter("x", {-1, 4, 6, 6});
  const auto weights = random_constant({4, 4, 1, 1}, 1);
  const ov::Strides ones{1, 1};
  const ov::CoordinateDiff none{0, 0};
  const auto a = named<op::Convolution>("a", x, weights, ones, none, none, ones);
  const auto b = named<op::Convolution>("b", a, weights, ones, none, none, ones);
  const auto last = std::make_shared<op::Transpose>(b, constant({0, 2, 3, 1}));
  const auto c = named<op::MatMul>("c", last, constant({4, 4}, weights->cast_vector<float>()), false, true);
  const PreparedModel prepared = prepared_as_exact_as(model_of(c, {x}), {random_tensor({1, 4, 6, 6}, 2)});
  ASSERT_EQ(prepared.layers.size(), 3U);
  for (const Layer& layer : prepared.layers) EXPECT_EQ(layer.shares_weights_with, std::nullopt) << layer.name;
}

TEST_F(Import, ClipsBecomeOneClamp) {
  for (const bool minimum_last : {true, false}) {
    const auto x = parameter("x", {-1, 4, 8, 8});
    const auto layer = convolution("conv", x, {6, 4, 3, 3}, 1);
    const auto low = constant(ov::Shape{}, {0.0F}), high = constant(ov::Shape{}, {0.6F});
    const NodePtr clip = minimum_last
                             ? NodePtr(named<op::Minimum>("clip", named<op::Maximum>("low", layer, low), high))
                             : NodePtr(named<op::Maximum>("clip", named<op::Minimum>("high", layer, high), low));
    const PreparedModel prepared = prepared_as_exact_as(model_of(clip, {x}), {random_tensor({1, 4, 8, 8}, 2)});
    EXPECT_EQ(count<op::Clamp>(prepared), 1U);
    EXPECT_EQ(count<op::Minimum>(prepared) + count<op::Maximum>(prepared), 0U);
  }
}

TEST_F(Import, BoundsThatAreNoClipStay) {
  const auto x = parameter("x", {-1, 4});
  const auto empty = std::make_shared<op::Minimum>(std::make_shared<op::Maximum>(x, constant(ov::Shape{}, {2.0F})),
                                                   constant(ov::Shape{}, {1.0F}));  // everything becomes 1
  EXPECT_EQ(count<op::Clamp>(prepared_as_exact_as(model_of(empty, {x}), {random_tensor({3, 4}, 1)})), 0U);
  const auto y = parameter("y", {-1, 4});
  const auto per_column = std::make_shared<op::Minimum>(std::make_shared<op::Maximum>(y, random_constant({4}, 1)),
                                                        constant(ov::Shape{}, {1.0F}));
  EXPECT_EQ(count<op::Clamp>(prepared_as_exact_as(model_of(per_column, {y}), {random_tensor({3, 4}, 1)})), 0U);
  // Bounds of a higher rank than the values change the result's shape.
  const auto z = parameter("z", {-1, 4});
  const auto wider = std::make_shared<op::Minimum>(
      std::make_shared<op::Maximum>(z, constant(ov::Shape{1, 1, 1}, {-1.0F})), constant(ov::Shape{}, {1.0F}));
  const PreparedModel prepared = prepared_as_exact_as(model_of(wider, {z}), {random_tensor({3, 4}, 1)});
  EXPECT_EQ(prepared.model->output(0).get_partial_shape().rank().get_length(), 3);
}

TEST_F(Import, ProductsOfTwoActivationsAreListedNotQuantized) {
  const PreparedModel prepared = prepared_as_exact_as(transformer_block(Norm::kMvn), {random_tensor({1, 4, 16}, 1)});
  ASSERT_EQ(prepared.unquantized.size(), 2U);
  for (const UnquantizedLayer& layer : prepared.unquantized) {
    EXPECT_EQ(layer.type, "MatMul");
    EXPECT_EQ(layer.reason, "both inputs are activations");
    EXPECT_EQ(layer.weight_elements, 0);
  }
}

TEST_F(Import, LayersWhoseWeightsAreComputedAreListed) {
  const auto x = parameter("x", {-1, 4, 8, 8}), w = parameter("w", {6, 4, 3, 3});
  const ov::Strides ones{1, 1};
  const ov::CoordinateDiff none{0, 0};
  const auto layer = named<op::Convolution>("conv", x, w, ones, none, none, ones);
  const PreparedModel prepared =
      prepared_as_exact_as(model_of(layer, {x, w}), {random_tensor({1, 4, 8, 8}, 1), random_tensor({6, 4, 3, 3}, 2)});
  ASSERT_EQ(prepared.unquantized.size(), 1U);
  EXPECT_EQ(prepared.unquantized[0].reason, "its weights are not constant");
}

TEST_F(Import, UnsupportedOperationsAreCountedWithTheirWeights) {
  const auto x = parameter("x", {-1, 4, 8, 8});
  const auto back =
      named<op::ConvolutionBackpropData>("up", x, random_constant({4, 3, 2, 2}, 1), ov::Strides{2, 2},
                                         ov::CoordinateDiff{0, 0}, ov::CoordinateDiff{0, 0}, ov::Strides{1, 1});
  const PreparedModel prepared = prepared_as_exact_as(model_of(back, {x}), {random_tensor({1, 4, 8, 8}, 1)});
  ASSERT_EQ(prepared.unquantized.size(), 1U);
  EXPECT_EQ(prepared.unquantized[0].name, "up");
  EXPECT_EQ(prepared.unquantized[0].weight_elements, 48);
}

TEST_F(Import, PatternsChooseLayersAndIgnoreWins) {
  ImportOptions options;
  options.only = {"^block"};
  options.ignore = {"skip$", "block1/a"};
  const PreparedModel prepared = save_and_import(core_, residual_cnn(), options);
  EXPECT_THAT(names(prepared), ::testing::UnorderedElementsAre("block1/b", "block2/a", "block2/b"));
  std::set<std::string> reasons;
  for (const UnquantizedLayer& layer : prepared.unquantized) {
    reasons.insert(layer.reason);
    EXPECT_GT(layer.weight_elements, 0) << layer.name;
  }
  EXPECT_EQ(reasons, (std::set<std::string>{"matches --ignore", "does not match --only"}));
  EXPECT_EQ(prepared.unquantized.size(), 4U);
}

TEST_F(Import, PatternsThatMatchNothingOrAreNoneAreNamed) {
  EXPECT_THAT(refusal(residual_cnn(), {{"nowhere"}, {}}), HasSubstr("only 'nowhere' matches no layer"));
  EXPECT_THAT(refusal(residual_cnn(), {{}, {"stem", "nowhere"}}), HasSubstr("ignore 'nowhere' matches no layer"));
  EXPECT_THAT(refusal(residual_cnn(), {{"["}, {}}), HasSubstr("only '[' is not a regular expression"));
}

TEST_F(Import, WholeNamesAndTypesLeaveLayersOutToo) {
  ImportOptions options;
  options.ignore_names = {"block1/a"};  // and not "block1/ab"
  options.ignore_types = {"MatMul", "Add"};
  const PreparedModel prepared = save_and_import(core_, residual_cnn(), options);
  for (const Layer& layer : prepared.layers) {
    EXPECT_NE(layer.name, "block1/a");
    EXPECT_NE(layer.kind, LayerKind::kMatMul) << layer.name;
  }
  std::set<std::string> reasons;
  for (const UnquantizedLayer& layer : prepared.unquantized) reasons.insert(layer.reason);
  EXPECT_EQ(reasons, (std::set<std::string>{"matches --ignore-name", "matches --ignore-type"}));
  EXPECT_EQ(names(prepared).size() + prepared.unquantized.size(),
            names(save_and_import(core_, residual_cnn(), {})).size());
}

TEST_F(Import, NamesAndTypesOfNothingAreRefusedWithTheNearestThere) {
  ImportOptions options;
  options.ignore_names = {"block1/aa"};
  EXPECT_THAT(refusal(residual_cnn(), options),
              AllOf(HasSubstr("ignore_name 'block1/aa' matches no layer"), HasSubstr("did you mean block1/a ")));
  options = {};
  options.ignore_types = {"Convolutoin"};
  EXPECT_THAT(refusal(residual_cnn(), options),
              AllOf(HasSubstr("ignore_type 'Convolutoin' is the type of no operation"),
                    HasSubstr("did you mean Convolution?")));
  options.ignore_types = {"LSTMSequence"};
  EXPECT_THAT(refusal(residual_cnn(), options), HasSubstr("there are Convolution"));
  options.ignore_names = options.ignore = {"nowhere"};
  options.ignore_may_miss = true;
  EXPECT_EQ(names(save_and_import(core_, residual_cnn(), options)), names(save_and_import(core_, residual_cnn(), {})));
}

TEST_F(Import, WeightsThatAreNotFiniteAreRefusedByLayer) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const auto x = parameter("x", {-1, 4});
    std::vector<float> values = random_values(20, 1);
    values[13] = bad;
    const auto layer = named<op::MatMul>("broken", x, constant({5, 4}, values), false, true);
    EXPECT_THAT(refusal(model_of(layer, {x})), HasSubstr("weights of layer 'broken'"));
  }
}

TEST_F(Import, StateIsTakenOut) {
  const auto x = parameter("x", {1, 4});
  const auto variable = std::make_shared<ov::op::util::Variable>(
      ov::op::util::VariableInfo{ov::PartialShape{1, 4}, ov::element::f32, "state"});
  const auto state = std::make_shared<op::ReadValue>(constant({1, 4}, {1, 2, 3, 4}), variable);
  const auto sum = std::make_shared<op::Add>(state, linear("layer", x, 4, 4, 1));
  sum->output(0).set_names({"output"});
  const auto assign = std::make_shared<op::Assign>(sum, variable);
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{sum}, ov::SinkVector{assign}, ov::ParameterVector{x});
  const PreparedModel prepared = prepared_as_exact_as(model, {random_tensor({1, 4}, 1)});
  EXPECT_FALSE(prepared.state.empty());
  EXPECT_TRUE(prepared.model->get_variables().empty());
  EXPECT_TRUE(prepared.model->get_sinks().empty());
  EXPECT_THAT(names(prepared), ElementsAre("layer"));
}

TEST_F(Import, ModelsThatAreQuantizedAlreadyAreRefused) {
  const auto x = parameter("x", {-1, 4});
  const auto low = constant(ov::Shape{}, {-1.0F}), high = constant(ov::Shape{}, {1.0F});
  const auto fake = named<op::FakeQuantize>("fake", x, low, high, low, high, 256);
  EXPECT_THAT(refusal(model_of(linear("layer", fake, 5, 4, 1), {x})),
              HasSubstr("quantized already (FakeQuantize 'fake')"));
}

// x times compressed weights [5, 4] with a scale for each row.
ModelPtr with_weights_in(const ov::element::Type& type, const std::vector<float>& codes) {
  const auto x = parameter("x", {-1, 4});
  const auto wide = std::make_shared<op::Convert>(op::Constant::create(type, {5, 4}, codes), ov::element::f32);
  const auto scaled = std::make_shared<op::Multiply>(wide, random_constant({5, 1}, 1));
  return model_of(named<op::MatMul>("packed", x, scaled, false, true), {x});
}

TEST_F(Import, CompressedWeightsAreDecompressed) {
  const std::vector<float> scales = random_values(5, 1);
  for (const ov::element::Type& type :
       {ov::element::i8, ov::element::u8, ov::element::i4, ov::element::u4, ov::element::u3}) {
    SCOPED_TRACE(type);
    std::vector<float> codes(20);
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<float>(i % 8) - (type.is_signed() ? 4.0F : 0.0F);
    const PreparedModel prepared = prepared_as_exact_as(with_weights_in(type, codes), {random_tensor({3, 4}, 2)});
    EXPECT_THAT(prepared.compressed_in, ElementsAre(type.get_type_name()));
    EXPECT_EQ(prepared.parameters, 20);
    ASSERT_THAT(names(prepared), ElementsAre("packed"));
    for (size_t i = 0; i < codes.size(); ++i) codes[i] *= scales[i / 4];
    EXPECT_EQ(prepared.layers[0].weight_matrix(), codes);
  }
  EXPECT_THAT(prepared_as_exact_as(residual_cnn(), {random_tensor({2, 3, 12, 12}, 1)}).compressed_in, IsEmpty());
}

TEST_F(Import, WeightsOfTwoBitsAreRefused) {
  EXPECT_THAT(refusal(with_weights_in(ov::element::u2, std::vector<float>(20, 3))),
              AllOf(HasSubstr("net.xml' holds weights of 2 bits already (layer 'packed')"), HasSubstr("give")));
  const auto ids = parameter("ids", {-1}, ov::element::i64);
  const auto wide = std::make_shared<op::Convert>(
      op::Constant::create(ov::element::u2, {5, 4}, std::vector<float>(20, 1)), ov::element::f32);
  const auto rows = named<op::Gather>("table", wide, ids, op::Constant::create(ov::element::i64, {}, {0}));
  EXPECT_THAT(refusal(model_of(linear("head", rows, 3, 4, 1), {ids})), HasSubstr("2 bits already (layer 'table')"));
}

TEST_F(Import, ByteImagesAreNotTakenForCompressedWeights) {
  const auto x = parameter("x", {-1, 4}, ov::element::u8);
  const auto wide =
      std::make_shared<op::Multiply>(std::make_shared<op::Convert>(x, ov::element::f32), constant(ov::Shape{}, {0.1F}));
  EXPECT_EQ(save_and_import(core_, model_of(linear("layer", wide, 5, 4, 1), {x})).layers.size(), 1U);
}

TEST_F(Import, FilesThatAreNoModelAreRefusedByName) {
  const auto refused = [&](const std::filesystem::path& path) {
    const std::string message = error_of([&] { import_model(core_, path); });
    EXPECT_THAT(message, HasSubstr(path.string()));
    EXPECT_THAT(message, ::testing::Not(HasSubstr("\n")));
    return message;
  };
  EXPECT_THAT(refused(folder_ / "missing.xml"), HasSubstr("there is no model file"));
  EXPECT_THAT(refused(folder_.path()), HasSubstr("is a folder"));
  EXPECT_THAT(refused(folder_.write("noise.onnx", std::string("this is no model"))), HasSubstr("not a complete model"));
  EXPECT_THAT(refused(folder_.write("empty.xml", std::string())), HasSubstr("not a complete model"));
  ov::save_model(residual_cnn(), file().string(), false);
  std::filesystem::resize_file(folder_ / "net.bin", 100);
  EXPECT_THAT(refused(file()), HasSubstr("not a complete model"));
  std::filesystem::remove(folder_ / "net.bin");
  EXPECT_THAT(refused(file()), HasSubstr("not a complete model"));
}

TEST_F(Import, TheFingerprintFollowsTheFileAndNothingElse) {
  // Nodes that import makes anew: a folded batch norm, a turned MatMul, a clamp.
  const auto model_with = [](unsigned seed, const std::string& name) {
    const auto x = parameter("x", {-1, 4, 8, 8});
    const auto norm = named<op::BatchNormInference>("norm", convolution(name, x, {6, 4, 3, 3}, seed),
                                                    random_constant({6}, 2), random_constant({6}, 3),
                                                    random_constant({6}, 4), constant({6}, {1, 2, 3, 4, 5, 6}), 1e-3);
    const auto clip = named<op::Minimum>("clip", named<op::Maximum>("low", norm, constant(ov::Shape{}, {0.0F})),
                                         constant(ov::Shape{}, {6.0F}));
    return model_of(named<op::MatMul>("turned", random_constant({5, 8}, 5), clip), {x});
  };
  ov::save_model(model_with(1, "conv"), file().string(), false);
  const std::string once = import_model(core_, file()).fingerprint;
  EXPECT_EQ(once.size(), 16U);
  std::filesystem::create_directory(folder_ / "elsewhere");
  for (const char* part : {"net.xml", "net.bin"})
    std::filesystem::copy_file(folder_ / part, folder_ / "elsewhere" / part);
  EXPECT_EQ(import_model(core_, folder_ / "elsewhere/net.xml").fingerprint, once);
  EXPECT_NE(save_and_import(core_, model_with(6, "conv")).fingerprint, once);
  EXPECT_NE(save_and_import(core_, model_with(1, "other")).fingerprint, once);
}

TEST_F(Import, AModelWithoutLayersIsPreparedWithNone) {
  const auto x = parameter("x", {-1, 4});
  const PreparedModel prepared =
      prepared_as_exact_as(model_of(std::make_shared<op::Relu>(x), {x}), {random_tensor({2, 4}, 1)});
  EXPECT_THAT(prepared.layers, IsEmpty());
  EXPECT_THAT(prepared.unquantized, IsEmpty());
}

}  // namespace
}  // namespace dnateq::testing
