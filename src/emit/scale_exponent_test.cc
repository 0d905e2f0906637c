// The power of two of channel scales in every emission.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/channel_scale.h"
#include "core/test_error.h"
#include "emit/emit.h"
#include "emit/test_kernels.h"
#include "emit/test_networks.h"
#include "emit/test_reference.h"
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

// As every emission writes it, and is read again.
std::vector<std::vector<float>> outputs_of(const PreparedModel& prepared, const std::vector<LayerCodes>& codes,
                                           const std::vector<LayerCodes>& exponents, const ov::Tensor& x) {
  std::vector<std::vector<float>> outputs;
  const std::vector<bool> packed(prepared.layers.size(), true);
  for (const ModelPtr& model :
       {emit_standard(prepared, codes), emit_cpu(prepared, codes, packed), emit_exact(prepared, codes),
        emit_exact_decoded(prepared, codes), emit_counting(prepared, exponents)}) {
    const TempFolder folder;
    save_model_files(model, folder.path());
    outputs.push_back(infer(core(), core().read_model((folder / "model.xml").string()), {x}));
  }
  return outputs;
}

void move_to_exponent(std::vector<LayerCodes>& codes, int exponent) {
  for (LayerCodes& layer : codes) {
    layer.scale_exponent = exponent;
    for (uint16_t& gamma : layer.gamma) gamma = to_float16(std::ldexp(from_float16(gamma), -exponent));
  }
}

TEST(ScaleExponents, HalfTheScaleTwiceTheUnitIsTheSameNetwork) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  std::vector<LayerCodes> codes = random_codes(prepared), exponents = random_exponents(prepared);
  const ov::Tensor x = random_tensor({2, 3, 12, 12}, 5);
  const auto plain = outputs_of(prepared, codes, exponents, x);
  for (const int exponent : {-8, 5}) {
    std::vector<LayerCodes> moved = codes, moved_exponents = exponents;
    move_to_exponent(moved, exponent);
    move_to_exponent(moved_exponents, exponent);
    const auto outputs = outputs_of(prepared, moved, moved_exponents, x);
    for (size_t i = 0; i < outputs.size(); ++i)
      EXPECT_EQ(outputs[i], plain[i]) << "emission " << i << ", 2^" << exponent;
  }
}

TEST(ScaleExponents, ReachFarBeyondFloat16) {
  const auto x = parameter("x", {-1, 16});
  const PreparedModel prepared =
      save_and_import(core(), model_of(named<op::MatMul>("layer", x, random_constant({8, 16}, 1), false, true), {x}));
  std::vector<LayerCodes> codes = random_codes(prepared), exponents = random_exponents(prepared);
  codes[0].bias.clear(), exponents[0].bias.clear();
  const ov::Tensor input = random_tensor({3, 16}, 5);
  const auto plain = outputs_of(prepared, codes, exponents, input);
  for (const int exponent : {-60, -30, 20, 60}) {  // 1e-18, 1e-9, 1e6, 1e18
    codes[0].scale_exponent = exponents[0].scale_exponent = exponent;
    const auto outputs = outputs_of(prepared, codes, exponents, input);
    for (size_t i = 0; i < outputs.size(); ++i)
      for (size_t k = 0; k < outputs[i].size(); ++k)
        ASSERT_FLOAT_EQ(outputs[i][k], std::ldexp(plain[i][k], exponent)) << "emission " << i << ", 2^" << exponent;
  }
}

TEST(ScaleExponents, OfRealLevelsCostFourBytesMoreInStandard) {
  const auto x = parameter("x", {-1, 16});
  const PreparedModel prepared =
      save_and_import(core(), model_of(named<op::MatMul>("layer", x, random_constant({8, 16}, 1), false, true), {x}));
  std::vector<LayerCodes> codes = random_exponents(prepared);
  codes[0].activations.reset();
  codes[0].bias.clear();
  const ov::Tensor input = random_tensor({3, 16}, 5);
  const std::vector<float> plain = infer(core(), emit_standard(prepared, codes), {input});
  const int64_t bytes = standard_weight_bytes(prepared.layers[0], codes[0]);
  codes[0].scale_exponent = -30;
  EXPECT_EQ(standard_weight_bytes(prepared.layers[0], codes[0]), bytes + 4);
  EXPECT_EQ(exact_weight_bytes(prepared.layers[0], codes[0]), [&] {
    LayerCodes without = codes[0];
    without.scale_exponent = 0;
    return exact_weight_bytes(prepared.layers[0], without);
  }());
  const std::vector<float> scaled = infer(core(), emit_standard(prepared, codes), {input});
  for (size_t k = 0; k < scaled.size(); ++k) ASSERT_FLOAT_EQ(scaled[k], std::ldexp(plain[k], -30));
}

TEST(ScaleExponents, OutOfRangeAreRefusedByTheLayersName) {
  const PreparedModel prepared = save_and_import(core(), residual_cnn());
  std::vector<LayerCodes> codes = random_codes(prepared);
  for (const int exponent : {kLeastScaleExponent - 1, kMostScaleExponent + 1}) {
    codes[1].scale_exponent = exponent;
    EXPECT_THAT(error_of([&] { emit_exact(prepared, codes); }),
                ::testing::AllOf(::testing::HasSubstr("block1/a"), ::testing::HasSubstr("exponent")));
  }
}

}  // namespace
}  // namespace dnateq::testing
