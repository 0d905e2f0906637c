#include "emit/emit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <openvino/opsets/opset13.hpp>
#include <random>
#include <set>

#include "core/isa.h"
#include "core/pack.h"
#include "core/pair_sums.h"
#include "dnateq/error.h"
#include "emit/test_forms.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;
namespace op = ov::opset13;
using namespace forms;  // NOLINT: test code of this folder
using ::testing::HasSubstr;

class EmitEveryForm : public Emit, public ::testing::WithParamInterface<std::tuple<Form, bool>> {};

TEST_P(EmitEveryForm, StandardEqualsTheDecodedNetworkWithFakeQuantize) {
  const auto [form, with_add] = GetParam();
  // There it is the activations whose pairs cannot be limited; import turns such layers around.
  if (form == Form::kMatMulLeft && !adds_products_exactly())
    GTEST_SKIP() << "kernels without VNNI add pairs of activations where weights are on the left";
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
    const Net net = make_net(form, bits, with_add);
    ov::Core core;
    const std::vector<float> expected = run(core, decoded_network(net, true), net.input);
    const std::vector<float> actual = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
    ASSERT_EQ(actual.size(), expected.size());
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 2e-5F * largest) << bits << " " << i;
  }
}

TEST_F(Emit, StandardRoundsLevelsThatAreNotSafeOnEveryCpuToACoarserGrid) {
  Net net = make_net(Form::kConvolution, 6, false);
  LayerCodes& codes = net.codes[0];
  const TensorCode& code = codes.code;
  std::fill(codes.codes.begin(), codes.codes.end(), static_cast<uint8_t>(code.positive_levels));  // the largest level
  const auto largest_level = [&] {
    int largest = 0;
    for (const auto& node : emit_standard(net.prepared, net.codes)->get_ops())
      if (node->get_friendly_name() == net.prepared.layers[0].name + "/table")
        for (const int8_t level : ov::as_type<op::Constant>(node.get())->cast_vector<int8_t>())
          largest = std::max(largest, std::abs(int{level}));
    return largest;
  };
  EXPECT_EQ(largest_level(), kLargestSafeLevel);
  ov::Core core;
  const std::vector<float> expected = run(core, decoded_network(net, true), net.input);
  const std::vector<float> actual = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 0.01F * largest) << i;
  codes.any_cpu = false;
  EXPECT_EQ(largest_level(), grid_magnitudes(code).back());
}

TEST_P(EmitEveryForm, ExactEqualsTheDecodedNetwork) {
  const auto [form, with_add] = GetParam();
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
    const Net net = make_net(form, bits, with_add);
    ov::Core core;
    ov::Tensor quantized = net.input;
    if (net.codes[0].activations) {
      quantized = ov::Tensor(ov::element::f32, net.input.get_shape());
      Encoder(*net.codes[0].activations)
          .quantize(std::span<const float>(net.input.data<const float>(), net.input.get_size()),
                    std::span(quantized.data<float>(), quantized.get_size()));
    }
    const std::vector<float> expected = run(core, decoded_network(net, false), quantized);
    EXPECT_EQ(saved_and_run(emit_exact_decoded(net.prepared, net.codes), net.input, true), expected) << bits;
    const std::vector<float> actual = saved_and_run(emit_exact(net.prepared, net.codes), net.input, true);
    ASSERT_EQ(actual.size(), expected.size());
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 2e-6F * largest) << bits << " " << i;
  }
}

std::string form_name(const ::testing::TestParamInfo<EmitEveryForm::ParamType>& info) {
  static const char* names[] = {"Convolution", "Convolution1d",    "Grouped",    "Depthwise",
                                "MatMul",      "MatMulTransposed", "MatMulLeft", "Gather"};
  return std::string(names[static_cast<size_t>(std::get<0>(info.param))]) +
         (std::get<1>(info.param) ? "WithAdd" : "Alone");
}

INSTANTIATE_TEST_SUITE_P(All, EmitEveryForm,
                         ::testing::Combine(::testing::Values(Form::kConvolution, Form::kConvolution1d, Form::kGrouped,
                                                              Form::kDepthwise, Form::kMatMul, Form::kMatMulTransposed,
                                                              Form::kMatMulLeft, Form::kGather),
                                            ::testing::Bool()),
                         form_name);

TEST_F(Emit, StandardRunsInt8KernelsAtEveryWidth) {
  ov::Core core;
  for (const Form form : {Form::kConvolution, Form::kDepthwise, Form::kMatMulTransposed}) {
    for (int bits = 2; bits <= 8; ++bits) {
      const Net net = make_net(form, bits);
      const ov::CompiledModel compiled = core.compile_model(emit_standard(net.prepared, net.codes), "CPU");
      std::string precision;
      for (const auto& node : compiled.get_runtime_model()->get_ordered_ops()) {
        const auto& info = node->get_rt_info();
        const auto type = info.at("layerType").as<std::string>();
        if (type == "Convolution" || type == "FullyConnected")
          precision = info.at("runtimePrecision").as<std::string>();
        EXPECT_NE(type, "Gather") << "codes of " << bits << " bits are not folded";
      }
      EXPECT_THAT(precision, ::testing::AnyOf("i8", "u8")) << bits << " bits";
    }
  }
}

TEST_F(Emit, StandardAndExactKeepNamesAndDynamicBatch) {
  for (const Form form : {Form::kConvolution, Form::kMatMul, Form::kGather}) {
    const Net net = make_net(form, 4, false);
    for (const auto& model : {emit_standard(net.prepared, net.codes), emit_exact(net.prepared, net.codes)}) {
      EXPECT_EQ(model->input(0).get_any_name(), "input");
      EXPECT_EQ(model->output(0).get_any_name(), "output");
      EXPECT_EQ(model->input(0).get_partial_shape(), net.prepared.model->input(0).get_partial_shape());
      EXPECT_EQ(model->output(0).get_partial_shape(), net.prepared.model->output(0).get_partial_shape());
    }
    EXPECT_EQ(net.prepared.model->output(0).get_any_name(), "output");
    EXPECT_EQ(operations(net.prepared.model, "FakeQuantize"), 0U);
  }
}

TEST_F(Emit, BiasJoinsTheAddThatFollows) {
  const Net with = make_net(Form::kConvolution, 4, true), without = make_net(Form::kConvolution, 4, false);
  EXPECT_EQ(operations(emit_exact_decoded(with.prepared, with.codes), "Add"), 1U);
  EXPECT_EQ(operations(emit_exact_decoded(without.prepared, without.codes), "Add"), 1U);
  EXPECT_EQ(operations(emit_exact(with.prepared, with.codes), "Add"), 0U);
}

TEST_F(Emit, ALayerWithoutCodesStaysFloat) {
  Net net = make_net(Form::kConvolution, 4);
  net.codes[0] = {};
  ov::Core core;
  const std::vector<float> expected = run(core, net.prepared.model, net.input);
  EXPECT_EQ(run(core, emit_standard(net.prepared, net.codes), net.input), expected);
  EXPECT_EQ(run(core, emit_exact(net.prepared, net.codes), net.input), expected);
}

TEST_F(Emit, SharedWeightsAndTensorsAreStoredAndQuantizedOnce) {
  const Net net = make_tied_net(true);
  const auto standard = emit_standard(net.prepared, net.codes), exact = emit_exact_decoded(net.prepared, net.codes);
  EXPECT_EQ(operations(emit_exact(net.prepared, net.codes), "ExponentialEncode"), 1U);
  EXPECT_EQ(operations(standard, "FakeQuantize"), 1U);
  EXPECT_EQ(operations(standard, "Gather"), 1U);
  EXPECT_EQ(operations(exact, "ExponentialQuantize"), 1U);
  EXPECT_EQ(operations(exact, "ExponentialWeights"), 1U);
  EXPECT_EQ(standard_weight_bytes(net.prepared.layers[1], net.codes[1]), 0);
  const Net other = make_tied_net(false);
  EXPECT_EQ(operations(emit_standard(other.prepared, other.codes), "Gather"), 2U);
}

TEST_F(Emit, WeightBytesAreThoseInTheFile) {
  for (const Form form : {Form::kConvolution, Form::kMatMul, Form::kGather}) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const bool exact : {false, true}) {
        const Net net = make_net(form, bits);
        const auto model = exact ? emit_exact(net.prepared, net.codes) : emit_standard(net.prepared, net.codes);
        std::set<std::string> others;  // OpenVINO writes equal constants once
        for (const auto& node : model->get_ordered_ops()) {
          const auto data = ov::as_type_ptr<op::Constant>(node);
          const std::string& name = node->get_friendly_name();
          const bool weights =
              name.starts_with("layer/") && !name.ends_with("activation_code") && !name.ends_with("/bias");
          if (data && !weights) others.emplace(static_cast<const char*>(data->get_data_ptr()), data->get_byte_size());
        }
        int64_t bytes = exact ? exact_weight_bytes(net.prepared.layers[0], net.codes[0])
                              : standard_weight_bytes(net.prepared.layers[0], net.codes[0]);
        for (const std::string& other : others) bytes += static_cast<int64_t>(other.size());
        save_model_files(model, folder_);
        EXPECT_EQ(bytes, static_cast<int64_t>(fs::file_size(folder_ / "model.bin"))) << bits << " exact " << exact;
      }
    }
  }
}

TEST_F(Emit, RealLevelsOfAWeightsOnlyLayerAreKept) {
  Net net = make_net(Form::kMatMulTransposed, 4);
  net.codes[0].code.arithmetic = Arithmetic::kExponential;
  net.codes[0].activations.reset();
  ov::Core core;
  const std::vector<float> expected = run(core, decoded_network(net, true), net.input);
  const std::vector<float> actual = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-5F * (1 + std::fabs(expected[i])));
}

TEST_F(Emit, NothingTemporaryIsLeftOrNamed) {
  const Net net = make_net(Form::kConvolution, 4);
  save_model_files(emit_standard(net.prepared, net.codes), folder_);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"model.bin", "model.xml"}));
  std::ifstream file(folder_ / "model.xml");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(text, ::testing::Not(HasSubstr("tmp")));
}

TEST_F(Emit, AFailedWriteIsASentenceAndLeavesNothing) {
  const Net net = make_net(Form::kConvolution, 4);
  const auto model = emit_standard(net.prepared, net.codes);
  EXPECT_THROW(save_model_files(model, "/proc/dnateq"), Error);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 200;  // bytes: stands in for a full disk
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    save_model_files(model, folder_);
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, HasSubstr("cannot be written"));
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Emit, DamagedBlobsAreRefusedWithASentence) {
  for (const Form form : {Form::kConvolution, Form::kGather}) {
    const Net net = make_net(form, 4);
    save_model_files(emit_exact(net.prepared, net.codes), folder_);
    std::fstream bin(folder_ / "model.bin", std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(bin)), {});
    const size_t size = static_cast<size_t>(exact_weight_bytes(net.prepared.layers[0], net.codes[0]));
    size_t blob = std::string::npos;  // the weights' blob: the one of that size
    for (size_t at = bytes.find("DNTQ"); at != std::string::npos; at = bytes.find("DNTQ", at + 1)) {
      uint64_t stated = 0;
      std::memcpy(&stated, bytes.data() + at + 16, sizeof(stated));
      if (stated == size) blob = at;
    }
    ASSERT_NE(blob, std::string::npos);
    bin.clear();
    bin.seekp(static_cast<std::streamoff>(blob + size - 3));
    bin.put(static_cast<char>(bytes[blob + size - 3] ^ 0x10));
    bin.close();
    ov::Core core;
    core.add_extension(ops::operation_extensions());
    try {
      core.compile_model((folder_ / "model.xml").string(), "CPU");
      FAIL() << "damage went unnoticed";
    } catch (const ov::Exception& error) {
      EXPECT_THAT(error.what(), HasSubstr("is damaged (its checksum does not match)"));
    }
  }
}

TEST_F(Emit, ExactLoadsThroughTheSharedLibrary) {
  const Net net = make_net(Form::kDepthwise, 5, false);
  const auto model = emit_exact(net.prepared, net.codes);
  const std::vector<float> expected = saved_and_run(model, net.input, true);
  ov::Core core;
  core.add_extension(DNATEQ_EXTENSION_FILE);
  EXPECT_EQ(run(core, core.read_model((folder_ / "model.xml").string()), net.input), expected);
}

TEST_F(Emit, ExactSurvivesTheModelCache) {
  const Net net = make_net(Form::kConvolution, 5);
  save_model_files(emit_exact(net.prepared, net.codes), folder_);
  std::vector<std::vector<float>> outputs;
  for (int round = 0; round < 2; ++round) {  // the second one restores the compiled model from the cache
    ov::Core core;
    core.add_extension(ops::operation_extensions());
    core.set_property(ov::cache_dir((folder_ / "cache").string()));
    outputs.push_back(infer(
        core.compile_model((folder_ / "model.xml").string(), "CPU", ov::hint::inference_precision(ov::element::f32)),
        net.input));
  }
  EXPECT_FALSE(fs::is_empty(folder_ / "cache"));
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST_F(Emit, ExactRunsConcurrently) {
  const Net net = make_net(Form::kDepthwise, 4);
  ov::Core core;
  ov::CompiledModel compiled = core.compile_model(emit_exact(net.prepared, net.codes), "CPU", ov::num_streams(4),
                                                  ov::hint::inference_precision(ov::element::f32));
  std::vector<ov::InferRequest> requests;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(compiled.create_infer_request());
    requests.back().set_input_tensor(net.input);
  }
  for (auto& request : requests) request.start_async();
  for (auto& request : requests) request.wait();
  const ov::Tensor first = requests[0].get_output_tensor();
  for (auto& request : requests)
    EXPECT_EQ(std::memcmp(request.get_output_tensor().data(), first.data(), first.get_byte_size()), 0);
}

TEST_F(Emit, EmbeddingCountsNegativeIndicesFromTheEndAndIgnoresOthers) {
  Net net = make_net(Form::kGather, 3);
  net.input.data<int64_t>()[0] = -1;
  net.input.data<int64_t>()[1] = 8;
  ov::Core core;
  const std::vector<float> weights = decoded_weights(net.prepared.layers[0], net.codes[0]);
  const std::vector<float> rows = run(core, emit_exact(net.prepared, net.codes), net.input);
  EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + 13, weights.end() - 13));
  EXPECT_TRUE(std::all_of(rows.begin() + 13, rows.begin() + 26, [](float value) { return value == 0.0F; }));
}

TEST_F(Emit, CodesOfAnotherSizeAreRefused) {
  Net net = make_net(Form::kConvolution, 4);
  net.codes[0].codes.pop_back();
  EXPECT_THROW(emit_standard(net.prepared, net.codes), Error);
  EXPECT_THROW(emit_exact(net.prepared, {}), Error);
}

}  // namespace
}  // namespace dnateq
