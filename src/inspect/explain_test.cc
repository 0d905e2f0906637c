#include "inspect/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/blob.h"
#include "core/isa.h"
#include "core/pack.h"
#include "core/row_block.h"
#include "graph/test_models.h"
#include "ops/ops.h"
#include "ops/packed_block.h"

namespace dnateq {
namespace {

using dnateq::testing::constant;
using dnateq::testing::convolution;
using dnateq::testing::linear;
using dnateq::testing::model_of;
using dnateq::testing::named;
using dnateq::testing::parameter;
using dnateq::testing::random_constant;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace op = ov::opset13;

std::shared_ptr<op::Constant> weight_blob(const std::string& layer, int64_t rows, int64_t columns, int bits) {
  BlobHeader header;
  header.code = with_level_counts(TensorCode{}, bits, -1);
  header.code.base = 1.3;
  header.code.grid = 4;
  header.code.alpha = 1;
  header.code.beta = 0;
  header.has_codes = true;
  header.rows = rows;
  header.columns = columns;
  header.shape = {rows, columns};
  const std::vector<uint8_t> codes(static_cast<size_t>(rows * columns), 1);
  const std::vector<uint16_t> gamma(static_cast<size_t>(rows), to_float16(1.0F));
  const std::vector<uint8_t> bytes = write_weight_blob(header, codes, gamma);
  auto blob = std::make_shared<op::Constant>(ov::element::u8, ov::Shape{bytes.size()}, bytes.data());
  blob->set_friendly_name(layer + "/weights");
  return blob;
}

ExplanationOptions rows(int64_t expected_rows) {
  ExplanationOptions options;
  options.expected_rows = expected_rows;
  return options;
}

ExplanationOptions shaped(const std::string& name, const std::vector<int64_t>& shape) {
  ExplanationOptions options;
  options.shapes[name] = shape;
  return options;
}

Explanation explained(const testing::ModelPtr& model, const ExplanationOptions& options = {}) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  return explain(core, model, options);
}

const LayerExplanation& layer_called(const Explanation& explanation, const std::string& name) {
  for (const LayerExplanation& layer : explanation.layers)
    if (layer.name == name) return layer;
  throw Error("no layer '" + name + "'");
}

TEST(Explain, NativeLayersHaveTheirPrimitiveAndWhatTheyRead) {
  const auto x = parameter("x", {-1, 3, 8, 8});
  const auto features = convolution("conv", x, {16, 3, 3, 3}, 1);
  const auto pooled = std::make_shared<op::ReduceMean>(features, constant({2, 3}), false);
  const Explanation explanation = explained(model_of(linear("head", pooled, 10, 16, 2), {x}), rows(2));
  EXPECT_FALSE(explanation.dynamic);
  const LayerExplanation& conv = layer_called(explanation, "conv");
  EXPECT_EQ(conv.type, "Convolution");
  EXPECT_THAT(conv.kernel, HasSubstr("f32"));
  EXPECT_THAT(conv.outputs, ElementsAre("2x16x8x8"));
  EXPECT_EQ(conv.m, 2 * 8 * 8);
  EXPECT_EQ(conv.k, 3 * 3 * 3);
  EXPECT_EQ(conv.n, 16);
  EXPECT_EQ(conv.macs, conv.m * conv.k * conv.n);
  EXPECT_EQ(conv.stored_bits, 32);
  EXPECT_GE(conv.weight_bytes, 4 * conv.weights);
  const LayerExplanation& head = layer_called(explanation, "head");
  EXPECT_EQ(head.type, "FullyConnected");
  EXPECT_EQ(head.m, 2);
  EXPECT_EQ(head.weights, 160);
  EXPECT_FALSE(head.in_int8);
}

TEST(Explain, EachPartOfAPackedMatMulHasItsKernelAndTheReasonsAgainstFasterOnes) {
  const auto x = parameter("x", {-1, 128});
  const auto none = op::Constant::create(ov::element::f32, ov::Shape{0}, std::vector<float>{});
  const auto packed = named<ops::PackedMatMul>(
      "a+b", x, ov::OutputVector{weight_blob("a", 64, 128, 4), none, weight_blob("b", 100, 128, 3), none});
  const auto sum = std::make_shared<op::Concat>(packed->outputs(), -1);
  const auto model = model_of(sum, {x});
  for (const int64_t m : {1, 64}) {
    const Explanation explanation = explained(model, rows(m));
    const LayerExplanation& b = layer_called(explanation, "b");
    EXPECT_EQ(b.type, "PackedMatMul");
    EXPECT_EQ(b.m, m);
    EXPECT_EQ(b.n, 100);
    EXPECT_EQ(b.weight_bytes, 128 * 128 * 3 / 8 + 100 * 4);  // channels come in panels of 64
    EXPECT_GT(b.stored_bits, 3);
    EXPECT_LT(b.stored_bits, 3.5);
    EXPECT_TRUE(b.in_int8);
    const auto verdicts = kernels::explain_matmul({.m = static_cast<size_t>(m), .n = 100, .k = 128, .bits = 3});
    ASSERT_LT(b.refused.size(), verdicts.size());
    EXPECT_EQ(b.kernel, verdicts[b.refused.size()].name);
    for (const auto& refused : b.refused) EXPECT_FALSE(refused.refusal.empty());
  }
}

TEST(Explain, EachMatmulOfAPackedBlockIsALayer) {
  const auto x = parameter("x", {-1, -1, 128});
  const auto first = weight_blob("a", 64, 128, 4), second = weight_blob("b", 100, 64, 3);
  const auto bytes_of = [](const auto& constant) {
    return std::span<const uint8_t>(constant->template get_data_ptr<uint8_t>(), constant->get_byte_size());
  };
  RowBlock rows_of_block;
  rows_of_block.input_widths = {128};
  rows_of_block.steps = {{RowStepKind::kMatMul, 0, 0, 0, 0, 0, 64},
                         {RowStepKind::kSwish, 1, 0, 0, 0, 0, 64},
                         {RowStepKind::kMatMul, 2, 0, 1, 0, 0, 100}};
  rows_of_block.outputs = {3};
  rows_of_block.matrices = {{"a", bytes_of(first), {}}, {"b", bytes_of(second), std::vector<float>(100)}};
  const std::vector<uint8_t> bytes = write_row_block(rows_of_block);
  const auto constant = std::make_shared<op::Constant>(ov::element::u8, ov::Shape{bytes.size()}, bytes.data());
  const auto model = model_of(named<ops::PackedBlock>("block", ov::OutputVector{x}, constant), {x});
  const Explanation explanation = explained(model, rows(3));
  const LayerExplanation& a = layer_called(explanation, "a");
  EXPECT_EQ(a.type, "PackedBlock");
  EXPECT_EQ(a.m, 3);
  EXPECT_EQ(a.n, 64);
  EXPECT_FALSE(a.kernel.empty());
  const LayerExplanation& b = layer_called(explanation, "b");
  EXPECT_EQ(b.k, 64);
  EXPECT_EQ(b.weight_bytes, 128 * 64 * 3 / 8 + 200 * 4);
  EXPECT_TRUE(b.in_int8);
}

TEST(Explain, LayersOnLevelsHaveOurKernels) {
  TensorCode code = with_level_counts(TensorCode{}, 4, 0);
  code.base = 1.3, code.grid = 4, code.alpha = 1, code.beta = 0;
  const std::vector<uint8_t> bytes = write_code_blob(code);
  const auto blob = std::make_shared<op::Constant>(ov::element::u8, ov::Shape{bytes.size()}, bytes.data());
  const auto x = parameter("x", {2, 32, 7, 5});
  const auto levels = std::make_shared<ops::ExponentialEncode>(x, blob, true);
  const auto bias = op::Constant::create(ov::element::f32, ov::Shape{0}, std::vector<float>{});
  ops::LevelSteps steps;
  steps.gives_values = true;
  const auto layer = named<ops::LevelMatMul>(
      "renamed", ops::LevelLayer::Inputs{levels, weight_blob("layer", 100, 32, 4), blob, bias, {}, {}}, steps);
  const Explanation explanation = explained(model_of(layer, {x}));
  const LayerExplanation& found = layer_called(explanation, "layer");
  EXPECT_EQ(found.type, "LevelMatMul");
  EXPECT_EQ(found.m, 2 * 7 * 5);
  EXPECT_EQ(found.macs, 2 * 7 * 5 * 32 * 100);
  EXPECT_TRUE(found.in_int8);
  EXPECT_FALSE(found.kernel.empty());
}

TEST(Explain, AnEmbeddingReadsTheRowsThatAreLookedUp) {
  const auto ids = parameter("ids", {-1, -1}, ov::element::i64);
  const auto looked_up =
      named<ops::ExponentialEmbedding>("rows", ov::OutputVector{weight_blob("table", 50, 24, 4)}, ids);
  const Explanation explanation = explained(model_of(looked_up, {ids}), rows(7));
  const LayerExplanation& layer = layer_called(explanation, "table");
  EXPECT_EQ(layer.m, 7);
  EXPECT_EQ(layer.n, 24);
  EXPECT_EQ(layer.weight_bytes, 7 * (24 / 2 + 2));
  EXPECT_EQ(layer.macs, 0);
}

TEST(Explain, StoredBitsAreThoseOfTheFileWhereNarrowWeightsRunWider) {
  if (!onednn_cap().empty())
    GTEST_SKIP() << "OpenVINO chooses kernels for compressed weights by the CPU, not by the cap, and finds none";
  const auto x = parameter("x", {4, 32});
  const auto codes = op::Constant::create(ov::element::u4, ov::Shape{16, 32}, std::vector<uint8_t>(16 * 32, 3));
  codes->set_friendly_name("layer/codes");
  const auto table = op::Constant::create(ov::element::i8, ov::Shape{16}, std::vector<int8_t>(16, 5));
  const auto axis = op::Constant::create(ov::element::i32, ov::Shape{}, {0});
  const auto levels = std::make_shared<op::Gather>(table, std::make_shared<op::Convert>(codes, ov::element::i32), axis);
  const auto weights = std::make_shared<op::Multiply>(std::make_shared<op::Convert>(levels, ov::element::f32),
                                                      constant(ov::Shape{}, {0.1F}));
  const auto product = named<op::MatMul>("renamed", x, weights, false, true);
  const Explanation explanation = explained(model_of(product, {x}));
  const LayerExplanation& layer = layer_called(explanation, "layer");
  EXPECT_NEAR(layer.stored_bits, 8.0 * (16 * 32 / 2 + 16 + 4) / (16 * 32), 1e-9);
  EXPECT_GE(layer.weight_bytes, 16 * 32);
}

TEST(Explain, TheSlowerOfReadingAndMultiplyingBinds) {
  Explanation explanation;
  explanation.layers.resize(3);
  explanation.layers[0].weight_bytes = 1000;
  explanation.layers[0].macs = 1000;
  explanation.layers[0].in_int8 = true;
  explanation.layers[1] = explanation.layers[0];
  explanation.layers[1].in_int8 = false;
  find_bounds(explanation, {.bytes_per_second = 1e9, .int8_macs_per_second = 2e9, .f32_macs_per_second = 5e8});
  EXPECT_EQ(explanation.layers[0].bound, Bound::kMemory);
  EXPECT_DOUBLE_EQ(explanation.layers[0].memory_us, 1.0);
  EXPECT_DOUBLE_EQ(explanation.layers[0].arithmetic_us, 0.5);
  EXPECT_EQ(explanation.layers[1].bound, Bound::kArithmetic);
  EXPECT_EQ(explanation.layers[2].bound, Bound::kNone);
  EXPECT_EQ(weight_bytes(explanation), 2000);
}

TEST(Explain, ShapesThatDoNotFitAreRefusedByName) {
  const auto x = parameter("x", {-1, 16});
  const auto model = model_of(linear("head", x, 10, 16, 2), {x});
  EXPECT_THROW(explained(model, shaped("y", {1, 16})), Error);
  EXPECT_THROW(explained(model, shaped("x", {1, 17})), Error);
  EXPECT_EQ(layer_called(explained(model, shaped("x", {5, 16})), "head").m, 5);
}

TEST(Explain, ShapesThatNobodyKnowsStayOpen) {
  const auto x = parameter("x", {-1, -1, 16}), y = parameter("y", {-1, 3, 16});
  const auto sum = std::make_shared<op::Concat>(ov::OutputVector{x, y}, 1);
  const auto z = parameter("z", {4, -1, 16});
  const auto all = std::make_shared<op::Concat>(ov::OutputVector{sum, z}, 1);  // batch 4, which the rule does not give
  const Explanation explanation = explained(model_of(linear("head", all, 10, 16, 2), {x, y, z}), rows(2));
  EXPECT_TRUE(explanation.dynamic);
  EXPECT_EQ(layer_called(explanation, "head").m, 2);
}

TEST(Machine, ItsRatesArePositive) {
  ov::Core core;
  const Machine machine = measure_machine(core, 1 << 20, 1);
  EXPECT_GT(machine.bytes_per_second, 0);
  EXPECT_GT(machine.int8_macs_per_second, 0);
  EXPECT_GT(machine.f32_macs_per_second, 0);
}

}  // namespace
}  // namespace dnateq
