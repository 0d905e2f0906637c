#include "emit/activations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/pack.h"
#include "emit/emit.h"
#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::Contains;
using ::testing::Not;

// The same grid for all weights and all activations, which have `bits` bits.
std::vector<LayerCodes> codes_for(const PreparedModel& prepared, int bits) {
  std::vector<LayerCodes> all;
  for (const Layer& layer : prepared.layers) {
    LayerCodes codes;
    codes.code = with_level_counts(TensorCode{}, 4);
    codes.code.base = 1.1;
    codes.code.alpha = 0.2;
    codes.code.beta = -0.1;
    codes.code.grid = 100;
    codes.codes.resize(static_cast<size_t>(layer.rows * layer.columns), 1);
    codes.gamma.resize(static_cast<size_t>(layer.rows), to_float16(0.5F));
    codes.activations = with_level_counts(codes.code, bits);
    codes.range_high = 4;
    codes.range_low = -4 * 128.0F / 127.0F;
    all.push_back(codes);
  }
  return all;
}

double elements_at(const std::vector<PassedTensor>& tensors, int bits) {
  double sum = 0;
  for (const PassedTensor& tensor : tensors) sum += tensor.bits == bits ? tensor.elements : 0;
  return sum;
}

std::vector<std::string> types_in_float(const std::vector<PassedTensor>& tensors) {
  std::vector<std::string> types;
  for (const PassedTensor& tensor : tensors)
    if (tensor.bits == 32) types.push_back(tensor.type);
  return types;
}

class PassedTensors : public ::testing::Test {
 protected:
  ov::Core core_;
};

TEST_F(PassedTensors, OfAnExactResidualNetworkAreLevelsButForWhatSumsAndTheMeanRead) {
  const PreparedModel prepared = save_and_import(core_, residual_cnn());
  const VectorSamples samples = random_samples("image", 6, {3, 12, 12}, 1);
  const Calls calls(samples, *prepared.model);
  const auto tensors = passed_tensors(emit_exact(prepared, codes_for(prepared, 4)), calls);
  // At 4 bits: the image, block1/a, what block2 reads, block2/a and the mean. In float32: the stem, which the first sum
  // reads too, one of the second sum's two convolutions, and what the mean is taken of. The scores pass to nobody.
  EXPECT_EQ(elements_at(tensors, 4), 3 * 144 + 2 * 8 * 144 + 12 * 36 + 12);
  EXPECT_EQ(elements_at(tensors, 32), 8 * 144 + 2 * 12 * 36);
  EXPECT_EQ(tensors.size(), 8U);
}

TEST_F(PassedTensors, OfTheSameNetworkInStandardOperationsAre8BitsWhereFakeQuantizeStands) {
  const PreparedModel prepared = save_and_import(core_, residual_cnn());
  const VectorSamples samples = random_samples("image", 2, {3, 12, 12}, 1);
  const Calls calls(samples, *prepared.model);
  std::vector<LayerCodes> codes = codes_for(prepared, 4);
  const auto tensors = passed_tensors(emit_standard(prepared, codes), calls);
  // A residual sum's other summand is not rounded here: block1/b, and both of block2's.
  EXPECT_EQ(elements_at(tensors, 8), 3 * 144 + 3 * 8 * 144 + 12 * 36 + 12);
  EXPECT_EQ(elements_at(tensors, 32), 8 * 144 + 3 * 12 * 36);
  for (LayerCodes& layer : codes) layer.residual_limit = 4;
  EXPECT_LT(elements_at(passed_tensors(emit_standard(prepared, codes), calls), 32), elements_at(tensors, 32));
}

TEST_F(PassedTensors, OfATransformerListAttentionAndNormalizationBySizesOfTheCalls) {
  const PreparedModel prepared = save_and_import(core_, transformer_block(Norm::kMvn));
  std::vector<std::vector<Array>> arrays;
  for (const int64_t length : {3, 5}) arrays.push_back({floats({1, length, 16}, random_values(16 * length, 7))});
  const VectorSamples samples({"tokens"}, arrays, false);
  const Calls calls(samples, *prepared.model);
  const auto tensors = passed_tensors(emit_exact(prepared, codes_for(prepared, 5)), calls);
  const std::vector<std::string> types = types_in_float(tensors);
  for (const char* type : {"Parameter", "Softmax", "MatMul", "LevelMatMul", "MVN"}) EXPECT_THAT(types, Contains(type));
  EXPECT_THAT(types, Not(Contains("Reshape")));
  EXPECT_THAT(types, Not(Contains("Transpose")));
  const auto bits_of = [&](const std::string& name_or_type) {
    for (const PassedTensor& tensor : tensors)
      if (tensor.name == name_or_type || tensor.type == name_or_type) return tensor.bits;
    return 0;
  };
  EXPECT_EQ(bits_of("mix"), 5);          // turned and joined, then encoded
  EXPECT_EQ(bits_of("Gelu"), 5);         // encoded by its only reader
  EXPECT_EQ(bits_of("query/bias"), 32);  // multiplied by attention
  for (const PassedTensor& tensor : tensors) {
    if (tensor.type == "Softmax") {
      EXPECT_EQ(tensor.elements, 2 * (9 + 25) / 2);  // two heads, length x length
    }
  }
}

TEST_F(PassedTensors, AreDescribedWithTheirSharesAndAMeanThatTakesFloatAt32) {
  Recipe recipe;
  describe_passed_tensors("exact", {{"a", "Relu", 300, 4}, {"b", "Add", 100, 32}}, recipe);
  EXPECT_EQ(recipe.passed.emission, "exact");
  EXPECT_EQ(recipe.passed.values, 400);
  EXPECT_DOUBLE_EQ(recipe.passed.mean_bits, 11);
  ASSERT_EQ(recipe.passed.in_float.size(), 1U);
  EXPECT_EQ(recipe.passed.in_float[0].name, "b");
  EXPECT_DOUBLE_EQ(recipe.passed.in_float[0].share, 0.25);
}

}  // namespace
}  // namespace dnateq::testing
