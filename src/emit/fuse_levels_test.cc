#include "emit/fuse_levels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "core/pack.h"
#include "emit/emit.h"
#include "emit/test_kernels.h"
#include "emit/test_networks.h"
#include "emit/test_reference.h"
#include "graph/float_operations.h"
#include "graph/test_models.h"
#include "ops/ops.h"

namespace dnateq::testing {
namespace {

ov::Core& core() {
  static ov::Core core = [] {
    ov::Core made;
    made.add_extension(ops::operation_extensions());
    return made;
  }();
  return core;
}

ModelPtr saved_and_read(const ModelPtr& model, const std::filesystem::path& folder) {
  save_model_files(model, folder);
  return core().read_model((folder / "model.xml").string());
}

class FusedNetworks : public ::testing::TestWithParam<NetworkCase> {};

TEST_P(FusedNetworks, GiveWhatTheDecodedOnesGiveButForRounding) {
  const NetworkCase& c = GetParam();
  const PreparedModel prepared = save_and_import(core(), c.model);
  ASSERT_GT(prepared.layers.size(), 1U);
  for (const bool spread : {false, true}) {
    const std::vector<LayerCodes> codes = random_codes(prepared, spread);
    const std::vector<float> expected = infer(core(), emit_exact_decoded(prepared, codes), {random_tensor(c.input, 5)});
    const TempFolder folder;
    const ModelPtr fused = saved_and_read(emit_exact(prepared, codes), folder.path());
    EXPECT_EQ(count_of(fused, "LevelConvolution") + count_of(fused, "LevelMatMul"), prepared.layers.size());
    EXPECT_EQ(count_of(fused, "ExponentialQuantize") + count_of(fused, "ExponentialWeights"), 0U);
    if (!spread) {
      EXPECT_EQ(count_of(fused, "ExponentialEncode"), c.encodes);
      EXPECT_EQ(count_of(fused, "Transpose"), c.transposes + count_of(c.model, "Transpose"));
    }
    EXPECT_EQ(fused->output(0).get_partial_shape(), c.model->output(0).get_partial_shape());
    EXPECT_EQ(fused->output(0).get_names(), c.model->output(0).get_names());
    expect_near(infer(core(), fused, {random_tensor(c.input, 5)}), expected);
  }
}

TEST_P(FusedNetworks, GiveTheBitsOfTheScalarReference) {
  const NetworkCase& c = GetParam();
  const PreparedModel prepared = save_and_import(core(), c.model);
  for (const bool spread : {false, true}) {
    const ModelPtr fused = emit_exact(prepared, random_codes(prepared, spread));
    const std::vector<FloatOperations> floats = float_operations(*fused);
    EXPECT_EQ(!floats.empty(), c.leaves_floats) << to_string(floats);
    if (!floats.empty()) continue;  // whose bits are OpenVINO's; GivesTheSameBitsWithEveryKernel has them
    const ov::Tensor x = random_tensor(c.input, 5);
    EXPECT_EQ(infer(core(), fused, {x}), ReferenceNetwork(fused).run({x}));
  }
}

TEST_P(FusedNetworks, TakeAnyBatch) {
  const NetworkCase& c = GetParam();
  const PreparedModel prepared = save_and_import(core(), c.model);
  const ModelPtr fused = emit_exact(prepared, random_codes(prepared));
  const ov::Tensor batch = random_tensor(c.input, 6);
  const std::vector<float> expected = infer(core(), fused, {batch});
  std::vector<std::vector<ov::Tensor>> singles;
  ov::Shape one = c.input;
  one[0] = 1;
  for (size_t i = 0; i < c.input[0]; ++i)
    singles.push_back({ov::Tensor(ov::element::f32, one, batch.data<float>() + i * ov::shape_size(one))});
  EXPECT_EQ(infer_calls(core(), fused, singles), expected);
}

std::string case_name(const ::testing::TestParamInfo<NetworkCase>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(All, FusedNetworks, ::testing::ValuesIn(network_cases()), case_name);

TEST(FuseLevels, RunsInStreamsAndThreads) {
  const PreparedModel prepared = save_and_import(core(), pooled_twice());
  const ModelPtr fused = emit_exact(prepared, random_codes(prepared));
  const ov::Tensor x = random_tensor({2, 3, 20, 21}, 7);
  const std::vector<float> expected = infer(core(), fused, {x});
  auto compiled = core().compile_model(fused, "CPU", ov::num_streams(2), ov::inference_num_threads(4),
                                       ov::hint::inference_precision(ov::element::f32));
  std::vector<ov::InferRequest> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(compiled.create_infer_request());
    requests.back().set_input_tensor(x);
  }
  for (int round = 0; round < 5; ++round) {
    for (auto& request : requests) request.start_async();
    for (auto& request : requests) request.wait();
    for (auto& request : requests) EXPECT_EQ(floats_of(request.get_output_tensor()), expected);
  }
}

TEST(FuseLevels, SurvivesTheModelCache) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  const TempFolder folder;
  save_model_files(emit_exact(prepared, random_codes(prepared)), folder.path());
  std::vector<std::vector<float>> outputs;
  for (int round = 0; round < 2; ++round) {
    ov::Core own;
    own.add_extension(ops::operation_extensions());
    own.set_property(ov::cache_dir((folder / "cache").string()));
    auto request =
        own.compile_model((folder / "model.xml").string(), "CPU", ov::hint::inference_precision(ov::element::f32))
            .create_infer_request();
    request.set_input_tensor(random_tensor({2, 3, 12, 12}, 7));
    request.infer();
    outputs.push_back(floats_of(request.get_output_tensor()));
  }
  EXPECT_FALSE(std::filesystem::is_empty(folder / "cache"));
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST(FuseLevels, ComputesNoFloatsThatNobodyReads) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  const ModelPtr fused = emit_exact(prepared, random_codes(prepared));
  size_t with_values = 0, residuals = 0;
  for (const auto& node : fused->get_ordered_ops())
    if (const auto layer = ov::as_type_ptr<ops::LevelLayer>(node)) {
      with_values += layer->steps().gives_values ? 1 : 0;
      residuals += layer->steps().adds_residual ? 1 : 0;
    }
  EXPECT_EQ(residuals, 2U);
  EXPECT_EQ(with_values, 4U);  // stem, one of the sum's two layers, the sum that is averaged, classifier
  EXPECT_EQ(count_of(fused, "Relu"), 0U);
}

TEST(FuseLevels, LeavesLayersWithoutIntegersAsTheyAre) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  std::vector<LayerCodes> codes = random_codes(prepared);
  codes[1].activations->arithmetic = Arithmetic::kExponential;
  codes[2].code.arithmetic = Arithmetic::kExponential;
  codes[3].activations.reset();
  codes[5] = {};
  const ModelPtr fused = emit_exact(prepared, codes), decoded = emit_exact_decoded(prepared, codes);
  EXPECT_EQ(count_of(fused, "LevelConvolution") + count_of(fused, "LevelMatMul"), prepared.layers.size() - 4);
  const ov::Tensor x = random_tensor({2, 3, 12, 12}, 8);
  expect_near(infer(core(), fused, {x}), infer(core(), decoded, {x}));
  for (LayerCodes& layer : codes) layer.activations.reset();
  EXPECT_EQ(infer(core(), emit_exact(prepared, codes), {x}), infer(core(), emit_exact_decoded(prepared, codes), {x}));
}

TEST(FuseLevels, TakesLevelsOfTwoTablesAndManyCodes) {
  const auto x = parameter("image", {1, 3, 6, 6});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {8, 3, 3, 3}, 1));
  ov::OutputVector readers;
  for (unsigned i = 0; i < 12; ++i) readers.push_back(convolution(std::to_string(i), a, {8, 8, 1, 1}, i, 1, 0));
  const PreparedModel prepared = save_and_import(core(), model_of(std::make_shared<op::Concat>(readers, 1), {x}));
  std::vector<LayerCodes> codes = random_codes(prepared);
  for (size_t i = 0; i < codes.size(); ++i) codes[i].activations = grid_code(5, 2.0 + 0.1 * double(i), i == 0 ? -1 : 0);
  codes[3].code = grid_code(4, 1.2, 0);  // integers up to 255
  const ModelPtr fused = emit_exact(prepared, codes);
  EXPECT_EQ(count_of(fused, "LevelConvolution"), 13U);
  EXPECT_EQ(count_of(fused, "ExponentialEncode"), 1 + 12 - ops::LevelLayer::kMostLevelOutputs);
  const ov::Tensor input = random_tensor({1, 3, 6, 6}, 8);
  expect_near(infer(core(), fused, {input}), infer(core(), emit_exact_decoded(prepared, codes), {input}));
}

TEST(FuseLevels, RefusesDamagedBlobsWithASentence) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  const TempFolder folder;
  save_model_files(emit_exact(prepared, random_codes(prepared)), folder.path());
  std::fstream bin(folder / "model.bin", std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(bin)), {});
  size_t blobs = 0;
  for (size_t at = bytes.find("DNTQ"); at != std::string::npos; at = bytes.find("DNTQ", at + 1), ++blobs) {
    bin.clear();
    bin.seekp(static_cast<std::streamoff>(at + 97));
    bin.put(static_cast<char>(bytes[at + 97] ^ 1));
    bin.flush();
    try {
      core().compile_model((folder / "model.xml").string(), "CPU");
      ADD_FAILURE() << "damage of blob " << blobs << " went unnoticed";
    } catch (const ov::Exception& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("is damaged"));
    }
    bin.seekp(static_cast<std::streamoff>(at + 97));
    bin.put(bytes[at + 97]);
    bin.flush();
  }
  EXPECT_GE(blobs, prepared.layers.size());
}

std::vector<float> outputs_of_all() {
  std::vector<float> all;
  const auto add = [&](const PreparedModel& prepared, const ov::Shape& input, bool spread) {
    const std::vector<float> one =
        infer(core(), emit_exact(prepared, random_codes(prepared, spread)), {random_tensor(input, 9)});
    all.insert(all.end(), one.begin(), one.end());
  };
  for (const NetworkCase& c : network_cases()) add(save_and_import(core(), c.model), c.input, true);
  if (const std::filesystem::path file = resnet20_file(); !file.empty())
    add(import_model(core(), file), {2, 3, 32, 32}, false);
  return all;
}

TEST(FuseLevels, GivesResNet20TheBitsOfTheScalarReference) {
  const std::filesystem::path file = resnet20_file();
  if (file.empty()) GTEST_SKIP() << "the shared data with resnet20.onnx is not there";
  const PreparedModel prepared = import_model(core(), file);
  const ModelPtr fused = emit_exact(prepared, random_codes(prepared));
  EXPECT_EQ(to_string(float_operations(*fused)), "");
  const ov::Tensor x = random_tensor({2, 3, 32, 32}, 10);
  EXPECT_EQ(infer(core(), fused, {x}), ReferenceNetwork(fused).run({x}));
}

TEST(FuseLevels, WhatIsLeftToOpenVinosFloatsIsListed) {
  const PreparedModel prepared = save_and_import(core(), transformer_block(Norm::kMvn));
  const ModelPtr fused = emit_exact(prepared, random_codes(prepared));
  EXPECT_TRUE(promises_same_bits(*fused));
  EXPECT_FALSE(promises_same_bits(*prepared.model));
  std::set<std::string> types;
  for (const FloatOperations& of : float_operations(*fused)) types.insert(of.type);
  EXPECT_EQ(types, (std::set<std::string>{"Add", "Gelu", "MVN", "MatMul", "Softmax"}));
  std::vector<LayerCodes> codes = random_codes(prepared);
  codes[2].activations->arithmetic = Arithmetic::kExponential;  // a layer of real levels
  const std::string text = to_string(float_operations(*emit_exact(prepared, codes)));
  EXPECT_THAT(text, ::testing::HasSubstr("3 MatMul (first '"));
  EXPECT_THAT(text, ::testing::HasSubstr("1 Softmax ('"));
}

TEST(FuseLevels, GivesTheSameBitsWithEveryKernel) {
  expect_same_bits_with_every_kernel("FuseLevels.GivesTheSameBitsWithEveryKernel", outputs_of_all());
}

}  // namespace
}  // namespace dnateq::testing
