// Levels of 3-D grouped convolutions beside signed inputs, which kernels without VNNI halve.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "emit/emit.h"
#include "emit/test_networks.h"
#include "emit/test_reference.h"
#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

constexpr float kRange = 3;

PreparedModel network_of(ov::Core& core, const ov::Shape& weights, const ov::PartialShape& input) {
  const auto x = parameter("x", input);
  return save_and_import(core, model_of(grouped("layer", x, weights, 1), {x}));
}

// `grid_share` of 127 is the largest level.
std::vector<LayerCodes> codes_of(const PreparedModel& prepared, bool is_signed, double grid_share = 1) {
  std::vector<LayerCodes> codes = random_codes(prepared);
  codes[0].code.grid *= grid_share;
  codes[0].range_high = kRange;
  codes[0].range_low = is_signed ? -kRange * 128 / 127 : 0;
  return codes;
}

std::vector<int8_t> table_of(const ModelPtr& model) {
  for (const auto& node : model->get_ops())
    if (node->get_friendly_name() == "layer/table") return ov::as_type<op::Constant>(node.get())->cast_vector<int8_t>();
  return {};
}

bool all_even(const std::vector<int8_t>& table) {
  return std::ranges::all_of(table, [](int8_t level) { return level % 2 == 0; });
}

TEST(EvenLevels, AreWrittenFor3dGroupedConvolutionsOfSignedInputsAlone) {
  ov::Core core;
  for (const ov::Shape& weights : {ov::Shape{8, 1, 1, 3, 3, 3}, ov::Shape{2, 4, 4, 3, 3, 3}}) {
    const PreparedModel volume = network_of(core, weights, {-1, 8, 5, 5, 5});
    std::vector<LayerCodes> codes = codes_of(volume, true);
    const std::vector<int8_t> table = table_of(emit_standard(volume, codes));
    EXPECT_TRUE(all_even(table));
    EXPECT_EQ(*std::ranges::max_element(table), 126);
    EXPECT_EQ(table_of(emit_cpu(volume, codes, {true})), table);
    codes[0].any_cpu = false;
    EXPECT_FALSE(all_even(table_of(emit_standard(volume, codes))));
    EXPECT_FALSE(all_even(table_of(emit_standard(volume, codes_of(volume, false)))));
  }
  const PreparedModel picture = network_of(core, {8, 1, 1, 3, 3}, {-1, 8, 9, 9});
  EXPECT_FALSE(all_even(table_of(emit_standard(picture, codes_of(picture, true)))));
}

TEST(EvenLevels, ComputeWhatTheCodesSay) {
  ov::Core core;
  const ov::Shape shape{1, 8, 5, 5, 5};
  ov::Tensor x = random_tensor(shape, 5);
  for (size_t i = 0; i < x.get_size(); ++i) {  // what 8 bits hold exactly
    float& value = x.data<float>()[i];
    value = std::clamp(std::round(value * 127 / kRange), -128.0F, 127.0F) * kRange / 127;
  }
  for (const ov::Shape& weights : {ov::Shape{8, 1, 1, 3, 3, 3}, ov::Shape{4, 2, 2, 3, 3, 3}}) {
    const PreparedModel prepared = network_of(core, weights, {-1, 8, 5, 5, 5});
    for (const double share : {0.49, 1.0}) {  // levels that can be doubled, and such that must be rounded
      std::vector<LayerCodes> codes = codes_of(prepared, true, share);
      const std::vector<float> actual = infer(core, emit_standard(prepared, codes), {x});
      codes[0].activations.reset();  // floating point everywhere
      codes[0].any_cpu = false;
      const std::vector<float> expected = infer(core, emit_standard(prepared, codes), {x});
      float largest = 0;
      for (const float value : expected) largest = std::max(largest, std::fabs(value));
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < actual.size(); ++i)
        ASSERT_NEAR(actual[i], expected[i], (share < 1 ? 1e-5F : 2e-2F) * largest) << share << " " << i;
    }
  }
}

}  // namespace
}  // namespace dnateq::testing
