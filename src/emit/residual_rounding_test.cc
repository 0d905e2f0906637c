// What enters a residual sum is rounded to 8 bits where that lets OpenVINO's convolution take the addition over.
#include <gtest/gtest.h>

#include "emit/emit.h"
#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

// Codes that only have to be valid: 4 bits, every weight the same.
std::vector<LayerCodes> codes_of(const PreparedModel& prepared, float residual_limit) {
  std::vector<LayerCodes> all;
  for (const Layer& layer : prepared.layers) {
    LayerCodes codes;
    codes.code.grid = 100;
    codes.code.base = 1.3;
    codes.code.alpha = 0.1;
    codes.code.beta = 0;
    codes.codes.assign(static_cast<size_t>(layer.rows * layer.columns), 3);
    codes.gamma.assign(static_cast<size_t>(layer.rows), 0x2000);
    codes.activations = codes.code;
    codes.range_high = 2;
    codes.range_low = layer.name == "b" ? 0.0F : -2.0F * 128 / 127;
    codes.residual_limit = residual_limit;
    all.push_back(codes);
  }
  return all;
}

TEST(ResidualRounding, RoundsTheConvolutionThatEntersASum) {
  ov::Core core;
  const PreparedModel prepared = save_and_import(core, pooled_residual(true));
  const auto emitted = emit_standard(prepared, codes_of(prepared, 3));
  const NodePtr rounded = node(*emitted, "sum")->get_input_node_shared_ptr(0);
  ASSERT_TRUE(ov::is_type<op::FakeQuantize>(rounded)) << rounded->get_type_name();
  const auto limit = [&](size_t input) {
    return ov::as_type_ptr<op::Constant>(rounded->get_input_node_shared_ptr(input))->cast_vector<float>().at(0);
  };
  EXPECT_EQ(limit(1), -3.0F * 128 / 127);
  EXPECT_EQ(limit(2), 3);
  // The other one is what the convolution reads, 8 bits as well.
  EXPECT_TRUE(ov::is_type<op::FakeQuantize>(node(*emitted, "sum")->get_input_node_ptr(1)));

  const auto without = emit_standard(prepared, codes_of(prepared, 0));
  EXPECT_TRUE(ov::is_type<op::Add>(node(*without, "sum")->get_input_node_ptr(0)));
}

TEST(ResidualRounding, ComesBeforeMaxPoolingAndChangesNothing) {
  ov::Core core;
  const PreparedModel prepared = save_and_import(core, pooled_residual(false));
  const auto emitted = emit_standard(prepared, codes_of(prepared, 0));
  EXPECT_TRUE(ov::is_type<op::FakeQuantize>(node(*emitted, "pool")->get_input_node_ptr(0)));
  EXPECT_EQ(node(*emitted, "b")->get_input_node_ptr(0), node(*emitted, "pool").get());

  const auto after = emitted->clone();
  const auto pool = node(*after, "pool");
  const auto rounding = pool->get_input_node_shared_ptr(0);
  pool->input(0).replace_source_output(rounding->input_value(0));
  node(*after, "b")
      ->input(0)
      .replace_source_output(rounding->clone_with_new_inputs({pool, rounding->input_value(1), rounding->input_value(2),
                                                              rounding->input_value(3), rounding->input_value(4)}));
  const ov::Tensor x = random_tensor({2, 8, 12, 12}, 4);
  expect_near(infer(core, emitted, {x}), infer(core, after, {x}), 1e-4F);
}

}  // namespace
}  // namespace dnateq::testing
