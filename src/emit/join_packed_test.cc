#include "emit/join_packed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <openvino/opsets/opset13.hpp>

#include "core/test_row_block.h"
#include "emit/test_networks.h"
#include "graph/state.h"
#include "graph/test_language_model.h"
#include "ops/ops.h"
#include "ops/packed_block.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;
using Output = ov::Output<ov::Node>;

std::shared_ptr<op::Constant> bytes_constant(const std::vector<uint8_t>& bytes, const std::string& name) {
  auto constant = std::make_shared<op::Constant>(ov::element::u8, ov::Shape{bytes.size()}, bytes.data());
  constant->set_friendly_name(name);
  return constant;
}

// The product of x and random weights, and those of more parts.
NodePtr packed(const std::string& name, const Output& x, int64_t inputs, const std::vector<int64_t>& channels) {
  ov::OutputVector parts;
  for (size_t i = 0; i < channels.size(); ++i) {
    const std::string part = name + (channels.size() == 1 ? "" : std::to_string(i));
    const auto seed = static_cast<unsigned>(std::hash<std::string>()(part) % 1000);
    parts.push_back(bytes_constant(random_weight_blob(channels[i], inputs, 4, seed), part + "/weights"));
    parts.push_back(
        constant({static_cast<size_t>(channels[i])}, random_values(static_cast<size_t>(channels[i]), seed, 0.1F)));
  }
  return named<ops::PackedMatMul>(name, x, parts);
}

// In float32, from the file, with the extension alone.
std::vector<std::vector<float>> saved_and_run(const ModelPtr& model, const std::vector<ov::Tensor>& inputs,
                                              const ov::AnyMap& more = {}) {
  const TempFolder folder;
  save_model_files(model, folder.path());
  ov::Core core;
  core.add_extension(DNATEQ_EXTENSION_FILE);
  ov::AnyMap properties = more;
  properties.insert(ov::hint::inference_precision(ov::element::f32));
  ov::InferRequest request =
      core.compile_model((folder / "model.xml").string(), "CPU", properties).create_infer_request();
  for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
  request.infer();
  std::vector<std::vector<float>> results;
  for (size_t i = 0; i < model->outputs().size(); ++i) results.push_back(floats_of(request.get_output_tensor(i)));
  return results;
}

ov::Tensor normal_tensor(const ov::Shape& shape, unsigned seed) {
  ov::Tensor tensor(ov::element::f32, shape);
  const std::vector<float> values = random_values(tensor.get_size(), seed);
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

TEST(JoinPacked, MatmulsAndSumsStayTheSameBits) {
  const auto x = parameter("x", {-1, -1, 40}), stream = parameter("stream", {-1, -1, 24});
  const auto make = [&] {
    const auto sum = std::make_shared<op::Add>(stream, packed("o", x, 40, {24}));
    const auto next = packed("qkv", sum, 24, {24, 8, 8});
    return std::make_shared<ov::Model>(
        ov::OutputVector{next->output(0), sum,
                         std::make_shared<op::Concat>(ov::OutputVector{next->output(1), next->output(2)}, -1)},
        ov::ParameterVector{x, stream});
  };
  const ModelPtr plain = make(), joined = make();
  EXPECT_EQ(join_packed(joined), 1U);
  EXPECT_EQ(count_of(joined, "PackedBlock"), 1U);
  EXPECT_EQ(count_of(joined, "PackedMatMul") + count_of(joined, "Add"), 0U);
  for (const size_t tokens : {1, 2, 7, 40}) {
    const std::vector<ov::Tensor> inputs = {normal_tensor({2, tokens, 40}, 1), normal_tensor({2, tokens, 24}, 2)};
    const auto wanted = saved_and_run(plain, inputs);
    for (const int threads : {1, 2})
      EXPECT_EQ(saved_and_run(joined, inputs, {ov::inference_num_threads(threads)}), wanted) << tokens;
  }
}

TEST(JoinPacked, RowsThatBroadcastDo) {
  const auto x = parameter("x", {-1, -1, 16}), y = parameter("y", {-1, -1, 16});
  const auto make = [&] {
    const auto product = packed("a", x, 16, {16});
    return std::make_shared<ov::Model>(
        ov::OutputVector{std::make_shared<op::Add>(product, y), packed("b", product, 16, {5})},
        ov::ParameterVector{x, y});
  };
  const ModelPtr plain = make(), joined = make();
  EXPECT_EQ(join_packed(joined), 1U);
  const std::pair<ov::Shape, ov::Shape> shapes[] = {
      {{2, 3, 16}, {1, 3, 16}}, {{1, 3, 16}, {2, 3, 16}}, {{2, 1, 16}, {1, 3, 16}}, {{1, 1, 16}, {1, 1, 16}}};
  for (const auto& [first, second] : shapes) {
    const std::vector<ov::Tensor> inputs = {normal_tensor(first, 1), normal_tensor(second, 2)};
    EXPECT_EQ(saved_and_run(joined, inputs), saved_and_run(plain, inputs)) << first << " " << second;
  }
  EXPECT_THROW(saved_and_run(joined, {normal_tensor({2, 3, 16}, 1), normal_tensor({2, 4, 16}, 2)}), ov::Exception);
}

class EveryArchitecture : public ::testing::TestWithParam<std::pair<std::string, LanguageModel>> {
 protected:
  ov::Core core_;
};

INSTANTIATE_TEST_SUITE_P(JoinPacked, EveryArchitecture, ::testing::ValuesIn(architectures()), [](const auto& of) {
  std::string name = of.param.first;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

// A block from one attention to the next, one before the first and one behind the last.
TEST_P(EveryArchitecture, IsOneCallALayer) {
  const LanguageModel& architecture = GetParam().second;
  core_.add_extension(ops::operation_extensions());
  const PreparedModel prepared = save_and_import(core_, language_model(architecture));
  const std::vector<LayerCodes> codes = random_codes(prepared);
  const std::vector<bool> all(codes.size(), true);
  PreparedModel without_state = prepared;
  without_state.state = {};
  const ModelPtr plain = emit_cpu(without_state, codes, all), joined = emit_cpu(prepared, codes, all);
  EXPECT_EQ(count_of(plain, "PackedBlock"), 0U);
  EXPECT_EQ(count_of(joined, "PackedBlock"), static_cast<size_t>(architecture.layers) + 1);
  EXPECT_EQ(count_of(joined, "PackedMatMul"), 0U);
  EXPECT_EQ(count_of(joined, "PackedHead"), 1U);
  for (const char* type : {"Swish", "Gelu", "MVN", "Sqrt", "ReduceMean"})
    EXPECT_EQ(count_of(joined, type), architecture.qk_norm && type[0] != 'G' && type[0] != 'M' && type[1] != 'w'
                                          ? 2 * static_cast<size_t>(architecture.layers)
                                          : 0U)
        << type;
  restore_state(plain, prepared.state);
  restore_state(joined, prepared.state);
  const TempFolder folder;
  save_model_files(joined, folder.path());
  const auto wanted = talk(core_, plain), got = talk(core_, core_.read_model((folder / "model.xml").string()));
  // Norms and activations differ in their last bits, which may change the int8 level of an activation here and there.
  expect_same_talk(got, wanted, 0.02F);
}

TEST(JoinPacked, RunsFromTheModelCacheAndAtOnce) {
  ov::Core core;
  core.add_extension(DNATEQ_EXTENSION_FILE);
  const TempFolder folder;
  const PreparedModel prepared = save_and_import(core, language_model());
  const std::vector<LayerCodes> codes = random_codes(prepared);
  save_model_files(emit_cpu(prepared, codes, std::vector<bool>(codes.size(), true)), folder.path());
  core.set_property(ov::cache_dir((folder / "cache").string()));
  std::vector<float> wanted;
  for (int round = 0; round < 2; ++round) {  // the second one restores the compiled model from the cache
    ov::CompiledModel compiled = core.compile_model((folder / "model.xml").string(), "CPU", ov::num_streams(3),
                                                    ov::hint::inference_precision(ov::element::f32));
    std::vector<ov::InferRequest> requests;
    for (int i = 0; i < 6; ++i) {
      requests.push_back(compiled.create_infer_request());
      for (const auto& input : compiled.inputs()) {
        ov::Tensor tensor(input.get_element_type(),
                          input.get_any_name() == "beam_idx" ? ov::Shape{2} : ov::Shape{2, 3});
        for (size_t k = 0; k < tensor.get_size(); ++k) {
          const int64_t value = input.get_any_name() == "attention_mask" ? 1 : static_cast<int64_t>(k % 3);
          if (input.get_element_type() == ov::element::i64)
            tensor.data<int64_t>()[k] = value;
          else
            tensor.data<int32_t>()[k] = static_cast<int32_t>(k);
        }
        requests.back().set_tensor(input, tensor);
      }
    }
    for (auto& request : requests) request.start_async();
    for (auto& request : requests) {
      request.wait();
      const std::vector<float> got = floats_of(request.get_output_tensor(0));
      if (wanted.empty()) wanted = got;
      EXPECT_EQ(got, wanted);
    }
  }
}

TEST(JoinPacked, WhatItDoesNotKnowStays) {
  const auto x = parameter("x", {-1, -1, 16}), y = parameter("y", {-1, 1, 16});
  // A sum that widens rows, a norm of the wrong axis, a tanh, and a chain through it and back.
  const auto a = packed("a", x, 16, {16});
  const auto wider = std::make_shared<op::Add>(a, y);
  const auto square = std::make_shared<op::Power>(wider, constant(ov::Shape{}, {2.0F}));
  const auto mean = std::make_shared<op::ReduceMean>(square, constant({1}), true);
  const auto root = std::make_shared<op::Sqrt>(std::make_shared<op::Add>(mean, constant(ov::Shape{}, {1e-5F})));
  const auto norm = std::make_shared<op::Divide>(wider, root);
  const auto b = packed("b", norm, 16, {16});
  const auto outside = std::make_shared<op::Tanh>(b);
  const auto back = std::make_shared<op::Multiply>(b, outside);
  const ModelPtr model = model_of(packed("c", back, 16, {4}), {x, y});
  const ModelPtr plain = model->clone();
  EXPECT_EQ(join_packed(model), 1U) << "the product with what came back, and c";
  EXPECT_EQ(count_of(model, "PackedMatMul"), 2U);
  EXPECT_EQ(count_of(model, "Tanh"), 1U);
  EXPECT_EQ(count_of(model, "ReduceMean"), 1U);
  const std::vector<ov::Tensor> inputs = {normal_tensor({2, 3, 16}, 1), normal_tensor({2, 1, 16}, 2)};
  EXPECT_EQ(saved_and_run(model, inputs), saved_and_run(plain, inputs));
}

TEST(JoinPacked, KeepsNodesByNameAndWeightsThatOthersRead) {
  const auto x = parameter("x", {-1, 16});
  const auto make = [&](bool shared) {
    const auto blob = bytes_constant(random_weight_blob(16, 16, 4, 1), "w/weights");
    const auto none = constant(ov::Shape{0}, std::vector<float>{});
    const auto a = named<ops::PackedMatMul>("a", x, ov::OutputVector{blob, none});
    const auto sum = named<op::Add>("sum", a, x);
    const auto b = named<ops::PackedMatMul>(
        "b", sum,
        ov::OutputVector{shared ? Output(blob) : bytes_constant(random_weight_blob(16, 16, 4, 2), "v"), none});
    return model_of(b, {x});
  };
  const ModelPtr free = make(false), kept = make(false), shared = make(true);
  EXPECT_EQ(join_packed(free), 1U);
  EXPECT_EQ(join_packed(kept, {"sum"}), 0U);
  EXPECT_EQ(count_of(kept, "PackedMatMul"), 2U);
  EXPECT_EQ(join_packed(shared), 0U);
}

TEST(JoinPacked, ShapesOfANormAreThoseOfItsInput) {
  const auto x = parameter("x", {-1, -1, 16});
  const auto square = std::make_shared<op::Multiply>(x, x);
  const auto mean = std::make_shared<op::ReduceMean>(square, constant({2}), true);
  const auto shifted = std::make_shared<op::Add>(constant(ov::Shape{1}, {1e-5F}), mean);
  const auto norm =
      std::make_shared<op::Multiply>(std::make_shared<op::Power>(shifted, constant(ov::Shape{}, {-0.5F})), x);
  const auto gain = std::make_shared<op::Multiply>(norm, constant({16}, random_values(16, 3)));
  const auto shape = std::make_shared<op::Convert>(std::make_shared<op::ShapeOf>(gain), ov::element::f32);
  const auto model =
      std::make_shared<ov::Model>(ov::OutputVector{packed("a", gain, 16, {8}), shape}, ov::ParameterVector{x});
  const ModelPtr plain = model->clone();
  EXPECT_EQ(join_packed(model), 1U);
  EXPECT_EQ(count_of(model, "Multiply") + count_of(model, "ReduceMean"), 0U);
  const std::vector<ov::Tensor> inputs = {normal_tensor({2, 5, 16}, 1)};
  const auto got = saved_and_run(model, inputs), wanted = saved_and_run(plain, inputs);
  EXPECT_EQ(got[1], wanted[1]);
  expect_near(got[0], wanted[0], 0.02F);
}

TEST(PackedBlock, RefusesWhatDoesNotFit) {
  const std::vector<uint8_t> blob = random_weight_blob(4, 16, 4, 1);
  RowBlock rows;
  rows.input_widths = {16};
  rows.steps = {{RowStepKind::kMatMul, 0, 0, 0, 0, 0, 4}};
  rows.outputs = {1};
  rows.matrices = {{"layer", blob, {}}};
  std::vector<uint8_t> bytes = write_row_block(rows);
  const auto made = [&](const ov::PartialShape& shape, ov::element::Type type = ov::element::f32, size_t inputs = 1) {
    const auto x = parameter("x", shape, type);
    return std::make_shared<ops::PackedBlock>(ov::OutputVector(inputs, x), bytes_constant(bytes, "block"));
  };
  EXPECT_EQ(made({-1, 16})->get_output_partial_shape(0), (ov::PartialShape{-1, 4}));
  EXPECT_EQ(made(ov::PartialShape::dynamic())->get_output_partial_shape(0), ov::PartialShape::dynamic());
  EXPECT_THROW(made({-1, 17}), ov::Exception);
  EXPECT_THROW(made({-1, 16}, ov::element::f16), ov::Exception);
  EXPECT_THROW(made({-1, 16}, ov::element::f32, 2), ov::Exception);
  EXPECT_THROW(std::make_shared<ops::PackedBlock>(ov::OutputVector{parameter("x", {-1, 16})},
                                                  parameter("b", {9}, ov::element::u8)),
               ov::Exception);
  // Another block where one was prepared.
  const auto block = made({1, 16});
  ov::TensorVector inputs = {normal_tensor({1, 16}, 1), ov::Tensor(ov::element::u8, {bytes.size()}, bytes.data())};
  ov::TensorVector outputs = {ov::Tensor(ov::element::f32, {1, 4})};
  EXPECT_TRUE(block->evaluate(outputs, inputs));
  bytes[8] ^= 1;
  EXPECT_THROW(block->evaluate(outputs, inputs), ov::Exception);
  try {
    made({-1, 16});
    ADD_FAILURE() << "no checksum was looked at";
  } catch (const ov::Exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("its checksum does not match"));
  }
}

}  // namespace
}  // namespace dnateq::testing
