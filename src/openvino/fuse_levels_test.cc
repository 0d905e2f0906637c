#include "openvino/fuse_levels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "core/pack.h"
#include "kernels/matmul.h"
#include "openvino/emit.h"
#include "openvino/ops/ops.h"
#include "openvino/test_models.h"

namespace dnateq::testing {
namespace {

// Levels up to `highest`; `negatives` as in with_level_counts().
TensorCode grid_code(int bits, double highest, int negatives = -1) {
  TensorCode code = with_level_counts(TensorCode{}, bits, negatives);
  const double integers = negatives == 0 ? 255 : 127;
  code.base = bits > 5 ? 1.0001 : 1.3;
  code.grid = integers / highest;
  const double top = std::pow(code.base, std::max(code.positive_levels, code.negative_levels) - 1);
  const double lowest = (bits > 6 ? 1.0 : 3.0) / code.grid;
  code.alpha = (highest - lowest) / (top - 1.0);
  code.beta = lowest - code.alpha;
  return code;
}

// Random codes for every layer; inputs behind a ReLU have no negative level. `spread`: layers that read one tensor
// differ in their codes of it.
std::vector<LayerCodes> random_codes(const PreparedModel& prepared, bool spread = false) {
  std::vector<LayerCodes> all;
  for (size_t i = 0; i < prepared.layers.size(); ++i) {
    const Layer& layer = prepared.layers[i];
    LayerCodes codes;
    const int bits = 3 + static_cast<int>(i % 3);
    codes.weight_code = grid_code(bits, 1.2);
    std::mt19937 random(static_cast<unsigned>(40 + i));
    for (int64_t k = 0; k < layer.rows * layer.columns; ++k)
      codes.codes.push_back(static_cast<uint8_t>(random() % (1U << bits)));
    const auto fan_in = static_cast<float>(layer.columns);
    for (const float gamma : random_values(static_cast<size_t>(layer.rows), static_cast<unsigned>(70 + i), 0.3F))
      codes.gamma.push_back(to_float16((1.5F + gamma) / std::sqrt(fan_in)));
    codes.bias = random_values(static_cast<size_t>(layer.rows), static_cast<unsigned>(90 + i), 0.2F);
    codes.has_activation_code = true;
    const auto source = layer.node->get_input_node_shared_ptr(layer.activation_port);
    const bool unsigned_input = ov::is_type<op::Relu>(source) || ov::is_type<op::MaxPool>(source);
    codes.activation_code =
        grid_code(spread ? 3 + static_cast<int>(i % 4) : 4, unsigned_input ? 4.0 : 3.0, unsigned_input ? 0 : -1);
    all.push_back(codes);
  }
  return all;
}

size_t count(const ModelPtr& model, const std::string& type) {
  size_t found = 0;
  for (const auto& node : model->get_ordered_ops()) found += node->get_type_name() == type;
  return found;
}

struct Case {
  std::string name;
  ModelPtr model;
  ov::Shape input;
  size_t transposes = 0, encodes = 1;  // in the fused network
};

std::shared_ptr<op::Convolution> windowed(const std::string& name, const ov::Output<ov::Node>& x, const ov::Shape& w,
                                          unsigned seed, const ov::Strides& strides, const ov::Strides& dilations,
                                          const ov::CoordinateDiff& begin, const ov::CoordinateDiff& end) {
  return named<op::Convolution>(name, x, random_constant(w, seed, 0.3F), strides, begin, end, dilations);
}

NodePtr grouped(const std::string& name, const ov::Output<ov::Node>& x, const ov::Shape& w, unsigned seed) {
  const size_t axes = w.size() - 3;
  return named<op::GroupConvolution>(name, x, random_constant(w, seed, 0.3F), ov::Strides(axes, 1),
                                     ov::CoordinateDiff(axes, 1), ov::CoordinateDiff(axes, 1), ov::Strides(axes, 1));
}

NodePtr max_pool(const ov::Output<ov::Node>& x, const ov::Shape& kernel, size_t stride, size_t pad,
                 ov::op::RoundingType rounding = ov::op::RoundingType::FLOOR) {
  const size_t axes = kernel.size();
  return std::make_shared<op::MaxPool>(x, ov::Strides(axes, stride), ov::Strides(axes, 1), ov::Shape(axes, pad),
                                       ov::Shape(axes, pad), kernel, rounding);
}

ModelPtr mobile_block() {
  const auto x = parameter("image", {-1, 3, 11, 9});
  const auto wide = std::make_shared<op::Clamp>(convolution("expand", x, {40, 3, 1, 1}, 1, 1, 0), 0, 6);
  const auto deep = std::make_shared<op::Clamp>(grouped("depthwise", wide, {40, 1, 1, 3, 3}, 2), 0, 2);
  const auto narrow = convolution("project", deep, {3, 40, 1, 1}, 3, 1, 0);
  return model_of(std::make_shared<op::Add>(x, narrow), {x});
}

ModelPtr windows_of_every_kind() {
  const auto x = parameter("image", {-1, 5, 17, 14});
  const auto a = std::make_shared<op::Relu>(windowed("a", x, {12, 5, 3, 5}, 1, {2, 1}, {1, 2}, {0, 3}, {2, 1}));
  const auto b = std::make_shared<op::Relu>(grouped("b", a, {3, 6, 4, 3, 3}, 2));
  const auto same = std::make_shared<op::Convolution>(b, random_constant({70, 18, 4, 4}, 3, 0.1F), ov::Strides{3, 2},
                                                      ov::CoordinateDiff{}, ov::CoordinateDiff{}, ov::Strides{1, 1},
                                                      ov::op::PadType::SAME_UPPER);
  return model_of(same, {x});
}

ModelPtr one_dimensional() {
  const auto x = parameter("signal", {-1, 4, 33});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {10, 4, 5}, 1, 2, 2));
  const auto pooled = max_pool(a, {3}, 2, 1);
  const auto b = std::make_shared<op::Relu>(convolution("b", pooled, {10, 10, 3}, 2));
  return model_of(std::make_shared<op::Add>(convolution("c", b, {10, 10, 3}, 3), pooled), {x});
}

ModelPtr pooled_twice() {
  const auto x = parameter("image", {-1, 3, 20, 21});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {16, 3, 3, 3}, 1));
  const auto pooled = max_pool(max_pool(a, {3, 3}, 2, 1), {2, 3}, 2, 0, ov::op::RoundingType::CEIL);
  const auto left = std::make_shared<op::Relu>(convolution("left", pooled, {9, 16, 1, 1}, 2, 1, 0));
  const auto right = std::make_shared<op::Relu>(convolution("right", pooled, {9, 16, 3, 3}, 3));
  const auto sum =
      std::make_shared<op::Relu>(std::make_shared<op::Add>(convolution("on", left, {9, 9, 3, 3}, 4), right));
  const auto mean =
      std::make_shared<op::AvgPool>(sum, ov::Strides{1, 1}, ov::Shape{0, 0}, ov::Shape{0, 0}, ov::Shape{5, 5}, true);
  const auto flat = std::make_shared<op::Reshape>(mean, constant({0, -1}), true);
  return model_of(linear("head", std::make_shared<op::Relu>(linear("hidden", flat, 7, 9, 6)), 5, 7, 8), {x});
}

ModelPtr read_by_many() {  // levels of three codes, float32 for a residual sum, channels first for a result
  const auto x = parameter("image", {-1, 3, 8, 8});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {8, 3, 3, 3}, 1));
  const auto b = convolution("b", a, {8, 8, 3, 3}, 2), c = convolution("c", a, {8, 8, 1, 1}, 3, 1, 0);
  const auto d = std::make_shared<op::Add>(convolution("d", a, {8, 8, 3, 3}, 4), a);
  const auto all = std::make_shared<op::Concat>(ov::OutputVector{a, b, c, d, std::make_shared<op::Sigmoid>(d)}, 1);
  return model_of(all, {x});
}

ModelPtr inception() {
  const auto x = parameter("image", {-1, 3, 9, 9});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {8, 3, 3, 3}, 1));
  const auto b = std::make_shared<op::Relu>(convolution("b", a, {5, 8, 1, 1}, 2, 1, 0));
  const auto c = std::make_shared<op::Relu>(convolution("c", b, {7, 5, 3, 3}, 3));
  const auto joined = std::make_shared<op::Concat>(ov::OutputVector{b, c, max_pool(a, {3, 3}, 1, 1)}, -3);
  const auto all = std::make_shared<op::Concat>(
      ov::OutputVector{max_pool(joined, {3, 3}, 2, 0), convolution("d", joined, {4, 20, 3, 3}, 4, 2, 0)}, 1);
  return model_of(convolution("e", all, {6, 24, 1, 1}, 5, 1, 0), {x});
}

ModelPtr flattened() {
  const auto x = parameter("image", {-1, 3, 8, 8});
  const auto a = max_pool(std::make_shared<op::Relu>(convolution("a", x, {6, 3, 3, 3}, 1)), {2, 2}, 2, 0);
  return model_of(linear("head", std::make_shared<op::Reshape>(a, constant({0, -1}), true), 5, 96, 2), {x});
}

std::vector<Case> cases() {
  return {{"residual", residual_cnn(), {2, 3, 12, 12}, 0, 2},
          {"attention", transformer_block(Norm::kMvn), {2, 5, 16}, 0, 5},
          {"mobile", mobile_block(), {2, 3, 11, 9}, 2, 1},
          {"windows", windows_of_every_kind(), {2, 5, 17, 14}, 1, 1},
          {"1d", one_dimensional(), {3, 4, 33}, 3, 1},
          {"pooled", pooled_twice(), {2, 3, 20, 21}, 0, 2},
          {"many", read_by_many(), {2, 3, 8, 8}, 4, 1},
          {"inception", inception(), {2, 3, 9, 9}, 1, 1},
          {"flattened", flattened(), {2, 3, 8, 8}, 1, 2}};
}

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

class FusedNetworks : public ::testing::TestWithParam<Case> {};

TEST_P(FusedNetworks, GiveWhatTheDecodedOnesGive) {
  const Case& c = GetParam();
  const PreparedModel prepared = save_and_import(core(), c.model);
  ASSERT_GT(prepared.layers.size(), 1U);
  for (const bool spread : {false, true}) {
    const std::vector<LayerCodes> codes = random_codes(prepared, spread);
    const std::vector<float> expected = infer(core(), emit_exact_decoded(prepared, codes), {random_tensor(c.input, 5)});
    const TempFolder folder;
    const ModelPtr fused = saved_and_read(emit_exact(prepared, codes), folder.path());
    EXPECT_EQ(count(fused, "LevelConvolution") + count(fused, "LevelMatMul"), prepared.layers.size());
    EXPECT_EQ(count(fused, "ExponentialQuantize") + count(fused, "ExponentialWeights"), 0U);
    if (!spread) {
      EXPECT_EQ(count(fused, "ExponentialEncode"), c.encodes);
      EXPECT_EQ(count(fused, "Transpose"), c.transposes + count(c.model, "Transpose"));
    }
    EXPECT_EQ(fused->output(0).get_partial_shape(), c.model->output(0).get_partial_shape());
    EXPECT_EQ(fused->output(0).get_names(), c.model->output(0).get_names());
    expect_near(infer(core(), fused, {random_tensor(c.input, 5)}), expected);
  }
}

TEST_P(FusedNetworks, TakeAnyBatch) {
  const Case& c = GetParam();
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

std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(All, FusedNetworks, ::testing::ValuesIn(cases()), case_name);

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
  EXPECT_EQ(count(fused, "Relu"), 0U);
}

TEST(FuseLevels, LeavesLayersWithoutIntegersAsTheyAre) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  std::vector<LayerCodes> codes = random_codes(prepared);
  codes[1].activation_code.arithmetic = Arithmetic::kExponential;
  codes[2].weight_code.arithmetic = Arithmetic::kExponential;
  codes[3].has_activation_code = false;
  codes[5] = {};
  const ModelPtr fused = emit_exact(prepared, codes), decoded = emit_exact_decoded(prepared, codes);
  EXPECT_EQ(count(fused, "LevelConvolution") + count(fused, "LevelMatMul"), prepared.layers.size() - 4);
  const ov::Tensor x = random_tensor({2, 3, 12, 12}, 8);
  expect_near(infer(core(), fused, {x}), infer(core(), decoded, {x}));
  for (LayerCodes& layer : codes) layer.has_activation_code = false;
  EXPECT_EQ(infer(core(), emit_exact(prepared, codes), {x}), infer(core(), emit_exact_decoded(prepared, codes), {x}));
}

TEST(FuseLevels, TakesLevelsOfTwoTablesAndManyCodes) {
  const auto x = parameter("image", {1, 3, 6, 6});
  const auto a = std::make_shared<op::Relu>(convolution("a", x, {8, 3, 3, 3}, 1));
  ov::OutputVector readers;
  for (unsigned i = 0; i < 12; ++i) readers.push_back(convolution(std::to_string(i), a, {8, 8, 1, 1}, i, 1, 0));
  const PreparedModel prepared = save_and_import(core(), model_of(std::make_shared<op::Concat>(readers, 1), {x}));
  std::vector<LayerCodes> codes = random_codes(prepared);
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i].activation_code = grid_code(5, 2.0 + 0.1 * double(i), i == 0 ? -1 : 0);
  codes[3].weight_code = grid_code(4, 1.2, 0);  // integers up to 255
  const ModelPtr fused = emit_exact(prepared, codes);
  EXPECT_EQ(count(fused, "LevelConvolution"), 13U);
  EXPECT_EQ(count(fused, "ExponentialEncode"), 1 + 12 - ops::LevelLayer::kMostLevelOutputs);
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

// The kernel is chosen once a process: each runs in one of its own, which writes what it got.
constexpr const char* kResultVariable = "DNATEQ_TEST_RESULT";

std::vector<float> outputs_of_all_cases() {
  std::vector<float> all;
  for (const Case& c : cases()) {
    const PreparedModel prepared = save_and_import(core(), c.model);
    const std::vector<float> one =
        infer(core(), emit_exact(prepared, random_codes(prepared, true)), {random_tensor(c.input, 9)});
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

TEST(FuseLevels, GivesTheSameBitsWithEveryKernel) {
  const std::vector<float> mine = outputs_of_all_cases();
  if (const char* file = std::getenv(kResultVariable)) {  // NOLINT(concurrency-mt-unsafe)
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(mine.data()), static_cast<std::streamsize>(mine.size() * sizeof(float)));
    return;
  }
  const TempFolder folder;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const kernels::KernelVerdict& kernel : kernels::explain_matmul({.m = 4, .n = 64, .k = 64})) {
    if (kernel.refusal.starts_with("this CPU")) continue;
    const std::filesystem::path file = folder / kernel.name;
    const std::string command = std::string(kResultVariable) + "='" + file.string() + "' DNATEQ_KERNEL=" + kernel.name +
                                " '" + self + "' --gtest_filter=FuseLevels.GivesTheSameBitsWithEveryKernel >/dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0) << kernel.name;  // NOLINT(concurrency-mt-unsafe,cert-env33-c)
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    ASSERT_EQ(bytes.size(), mine.size() * sizeof(float)) << kernel.name;
    EXPECT_EQ(std::memcmp(bytes.data(), mine.data(), bytes.size()), 0) << kernel.name;
  }
}

}  // namespace
}  // namespace dnateq::testing
