// The network in the exponent domain: whole networks against the scalar reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/test_error.h"
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

class CountingNetworks : public ::testing::TestWithParam<NetworkCase> {};

TEST_P(CountingNetworks, GiveTheBitsOfTheScalarReference) {
  const NetworkCase& c = GetParam();
  const PreparedModel prepared = save_and_import(core(), c.model);
  check_counting(prepared);
  for (const bool beta_is_zero : {false, true}) {
    const std::vector<LayerCodes> codes = random_exponents(prepared, beta_is_zero);
    const TempFolder folder;
    save_model_files(emit_counting(prepared, codes), folder.path());
    const ModelPtr counting = core().read_model((folder / "model.xml").string());
    EXPECT_EQ(count_of(counting, "CountingConvolution") + count_of(counting, "CountingMatMul"), prepared.layers.size());
    EXPECT_EQ(count_of(counting, "ExponentialQuantize") + count_of(counting, "ExponentialWeights"), 0U);
    EXPECT_EQ(counting->output(0).get_partial_shape(), c.model->output(0).get_partial_shape());
    EXPECT_EQ(counting->output(0).get_names(), c.model->output(0).get_names());
    const ov::Tensor x = random_tensor(c.input, 5);
    const std::vector<float> got = infer(core(), counting, {x});
    if (float_operations(*counting).empty()) {
      EXPECT_EQ(got, ReferenceNetwork(counting).run({x}));
    }
    // A value on a threshold may change its level by the rounding of float32 sums: a few, not many.
    EXPECT_LT(relative_error(got, infer(core(), emit_exact_decoded(prepared, codes), {x})), 1e-4);
  }
}

std::string case_name(const ::testing::TestParamInfo<NetworkCase>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(All, CountingNetworks, ::testing::ValuesIn(network_cases()), case_name);

TEST(EmitCounting, GivesResNet20TheBitsOfTheScalarReference) {
  const std::filesystem::path file = resnet20_file();
  if (file.empty()) GTEST_SKIP() << "the shared data with resnet20.onnx is not there";
  const PreparedModel prepared = import_model(core(), file);
  const ModelPtr counting = emit_counting(prepared, random_exponents(prepared));
  EXPECT_EQ(to_string(float_operations(*counting)), "");
  const ov::Tensor x = random_tensor({1, 3, 32, 32}, 10);
  EXPECT_EQ(infer(core(), counting, {x}), ReferenceNetwork(counting).run({x}));
}

TEST(EmitCounting, GivesTheSameBitsWithEveryKernel) {
  std::vector<float> all;
  for (const NetworkCase& c : network_cases()) {
    const PreparedModel prepared = save_and_import(core(), c.model);
    const std::vector<float> one =
        infer(core(), emit_counting(prepared, random_exponents(prepared)), {random_tensor(c.input, 9)});
    all.insert(all.end(), one.begin(), one.end());
  }
  expect_same_bits_with_every_kernel("EmitCounting.GivesTheSameBitsWithEveryKernel", all);
}

TEST(EmitCounting, LoadsThroughTheSharedLibraryAndFromTheModelCache) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  const TempFolder folder;
  const ModelPtr counting = emit_counting(prepared, random_exponents(prepared));
  save_model_files(counting, folder.path());
  const ov::Tensor x = random_tensor({2, 3, 12, 12}, 7);
  const std::vector<float> expected = infer(core(), counting, {x});
  for (int round = 0; round < 2; ++round) {  // the second one restores the compiled model from the cache
    ov::Core own;
    own.add_extension(DNATEQ_EXTENSION_FILE);
    own.set_property(ov::cache_dir((folder / "cache").string()));
    auto request =
        own.compile_model((folder / "model.xml").string(), "CPU", ov::hint::inference_precision(ov::element::f32))
            .create_infer_request();
    request.set_input_tensor(x);
    request.infer();
    EXPECT_EQ(floats_of(request.get_output_tensor()), expected);
  }
}

TEST(EmitCounting, SaysWhatItDoesNotTake) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  std::vector<LayerCodes> codes = random_exponents(prepared);
  codes[1].code.base = 1.9;
  EXPECT_THAT(error_of([&] { emit_counting(prepared, codes); }), ::testing::HasSubstr("block1/a"));
  EXPECT_THAT(error_of([&] { emit_counting(prepared, random_codes(prepared)); }), ::testing::HasSubstr("exponential"));
  const auto x = parameter("volume", {1, 2, 4, 4, 4});
  const PreparedModel volume = save_and_import(core(), model_of(convolution("deep", x, {3, 2, 3, 3, 3}, 1), {x}));
  EXPECT_THAT(error_of([&] { check_counting(volume); }), ::testing::HasSubstr("ignore=deep"));
}

}  // namespace
}  // namespace dnateq::testing
