#include "calibrate/rotate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/hadamard_nodes.h"
#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;

class Rotate : public ::testing::Test {
 protected:
  // Rotated, after checking that the network computes what it did and that the one given is left as it was. Where a
  // matrix of 8 bits takes the last norm's place, by its rounding less.
  Rotated rotated(const LanguageModel& architecture, float tolerance = 1e-4F, const ImportOptions& options = {}) {
    prepared_ = save_and_import(core_, language_model(architecture), options);
    const std::vector<float> before = logits(prepared_);
    Rotated result = rotate(prepared_, 1);
    expect_near(logits(result.prepared), before, tolerance);
    EXPECT_EQ(logits(prepared_), before);
    EXPECT_EQ(result.prepared.fingerprint, prepared_.fingerprint);
    EXPECT_EQ(result.prepared.layers.size(), prepared_.layers.size());
    for (size_t l = 0; l < result.prepared.layers.size(); ++l) {
      const Layer& layer = result.prepared.layers[l];
      EXPECT_EQ(layer.name, prepared_.layers[l].name);
      EXPECT_EQ(layer.node->get_friendly_name(), layer.name);
      EXPECT_NE(layer.weights(), nullptr) << layer.name;
    }
    return result;
  }

  std::vector<float> logits(const PreparedModel& prepared) {
    return Conversation(core_, prepared.model).say(2, {3, 1, 4, 1, 5, 9, 2, 6, 5, 3});
  }

  // Which layers' weights the rotation changed.
  std::vector<std::string> changed(const Rotated& result) const {
    std::vector<std::string> names;
    for (size_t l = 0; l < prepared_.layers.size(); ++l)
      if (relative_error(floats(result.prepared, l), floats(prepared_, l)) > 1e-2)
        names.push_back(prepared_.layers[l].name);
    return names;
  }

  static std::vector<float> floats(const PreparedModel& prepared, size_t layer) {
    return prepared.layers[layer].weight_matrix();
  }

  static const Layer& layer(const PreparedModel& prepared, const std::string& name) {
    return *std::find_if(prepared.layers.begin(), prepared.layers.end(),
                         [&](const Layer& candidate) { return candidate.name == name; });
  }

  // Of all layers, the largest weight in units of the weights' root mean square.
  static float largest(const PreparedModel& prepared) {
    float most = 0;
    for (const Layer& candidate : prepared.layers) {
      const std::vector<float> w = candidate.weight_matrix();
      float power = 0, peak = 0;
      for (const float value : w) power += value * value, peak = std::max(peak, std::fabs(value));
      most = std::max(most, peak / std::sqrt(power / static_cast<float>(w.size())));
    }
    return most;
  }

  ov::Core core_;
  PreparedModel prepared_;
};

constexpr float kOfInt8 = 4e-3F;

TEST_F(Rotate, AllLayersOfALlamaAndTheirOutliersAreGone) {
  for (const bool tied : {false, true}) {
    SCOPED_TRACE(tied);
    LanguageModel architecture;
    architecture.tied = tied;
    const Rotated result = rotated(architecture, tied ? kOfInt8 : 1e-4F);
    EXPECT_TRUE(result.stream) << result.why_not;
    EXPECT_EQ(result.why_not, "");
    EXPECT_EQ(result.value_heads, 2U);
    EXPECT_EQ(changed(result).size(), prepared_.layers.size());
    EXPECT_GT(largest(prepared_), 5.9F);
    EXPECT_LT(largest(result.prepared), 5.5F);
  }
}

TEST_F(Rotate, ATableThatIsSharedStaysOne) {
  const Rotated result = rotated({}, kOfInt8);
  const Layer &table = layer(result.prepared, "model.embed_tokens"), &head = layer(result.prepared, "lm_head");
  ASSERT_TRUE(head.shares_weights_with);
  EXPECT_EQ(result.prepared.layers[*head.shares_weights_with].name, "model.embed_tokens");
  EXPECT_EQ(table.weights(), head.weights());
  const NodePtr last_norm = node(*result.prepared.model, "lm_head/last_norm");
  ASSERT_NE(last_norm, nullptr);
  EXPECT_EQ(head.node->get_input_node_ptr(head.activation_port), last_norm.get());
}

TEST_F(Rotate, AHeadOfItsOwnTakesTheLastNormItself) {
  LanguageModel architecture;
  architecture.tied = false;
  const Rotated result = rotated(architecture);
  EXPECT_EQ(node(*result.prepared.model, "lm_head/last_norm"), nullptr);
}

TEST_F(Rotate, NetworksWithBiasesNormsOfHeadsAndJoinedLayersTheirStreamToo) {
  LanguageModel qwen2, qwen3, phi3;
  qwen2.qkv_bias = qwen3.qk_norm = phi3.fused = true;
  phi3.tied = false;
  const Rotated biased = rotated(qwen2, kOfInt8);
  EXPECT_TRUE(biased.stream) << biased.why_not;
  EXPECT_EQ(biased.value_heads, 2U);
  const Rotated normed = rotated(qwen3, kOfInt8);
  EXPECT_TRUE(normed.stream) << normed.why_not;
  EXPECT_EQ(normed.value_heads, 2U);
  for (const bool sliced : {false, true}) {
    phi3.sliced = sliced;
    const Rotated joined = rotated(phi3);
    EXPECT_TRUE(joined.stream) << joined.why_not;
    EXPECT_EQ(joined.value_heads, 2U);
  }
}

TEST_F(Rotate, WhatEntersTheSecondLayerOfAnMlpIsTransformedWhereItsWidthHasBlocks) {
  LanguageModel llama, gpt2;
  llama.hidden = gpt2.hidden = 96;  // three blocks of 32
  gpt2.gpt2 = true;
  gpt2.kv_heads = 4;
  for (const LanguageModel& architecture : {llama, gpt2}) {
    const Rotated result = rotated(architecture, kOfInt8);
    EXPECT_EQ(result.mlps, 2U);
    const std::string name = architecture.gpt2 ? "model.layers.1.mlp.c_proj" : "model.layers.1.mlp.down_proj";
    const Layer& second = layer(result.prepared, name);
    const auto transform = hadamard_behind(second.node->input_value(second.activation_port));
    ASSERT_TRUE(transform);
    EXPECT_EQ(transform->block, 32);
    EXPECT_FALSE(hadamard_behind(transform->x));
    EXPECT_EQ(rotate(prepared_, 1, false).mlps, 0U);
  }
  EXPECT_EQ(rotated({}, kOfInt8).mlps, 0U) << "48 values are three blocks of 16, which is too few";
}

TEST_F(Rotate, EveryHeadThatReadsItsOwnValues) {
  LanguageModel architecture;
  architecture.kv_heads = architecture.heads;
  EXPECT_EQ(rotated(architecture, kOfInt8).value_heads, 2U);
}

TEST_F(Rotate, NoValuesThatAreKeysToo) {
  LanguageModel architecture;
  architecture.keys_are_values = true;
  EXPECT_EQ(rotated(architecture, kOfInt8).value_heads, 0U);
}

TEST_F(Rotate, StreamsThatNoRotationPassesAreLeftWithAReason) {
  LanguageModel gpt2, gemma;
  gpt2.gpt2 = gemma.gemma = true;
  gpt2.kv_heads = 4;
  std::vector<std::string> values;
  for (const char* part : {"v_proj", "o_proj"})
    for (const char* block : {"0", "1"}) values.push_back(std::string("model.layers.") + block + ".self_attn." + part);
  const Rotated positions = rotated(gpt2);
  EXPECT_FALSE(positions.stream);
  EXPECT_THAT(positions.why_not, HasSubstr("2 tables of embeddings"));
  EXPECT_THAT(changed(positions), ::testing::UnorderedElementsAreArray(values));
  const Rotated scaled = rotated(gemma);
  EXPECT_FALSE(scaled.stream);
  EXPECT_THAT(scaled.why_not, HasSubstr("reads the residual stream in a way that no rotation passes"));
  EXPECT_EQ(scaled.value_heads, 2U);
  EXPECT_THAT(changed(scaled), ::testing::UnorderedElementsAreArray(values));
}

TEST_F(Rotate, AStreamOfWhichALayerIsNotQuantizedIsLeft) {
  ImportOptions options;
  options.ignore = {"1.mlp.gate_proj"};
  const Rotated result = rotated({}, 1e-4F, options);
  EXPECT_FALSE(result.stream);
  EXPECT_THAT(result.why_not, HasSubstr("model.layers.1.mlp.gate_proj"));
}

TEST_F(Rotate, NetworksThatAreNoLanguageModelsAreLeft) {
  const PreparedModel prepared = save_and_import(core_, residual_cnn());
  const Rotated result = rotate(prepared, 1);
  EXPECT_FALSE(result.stream);
  EXPECT_THAT(result.why_not, HasSubstr("0 tables of embeddings"));
  EXPECT_EQ(result.value_heads, 0U);
  for (size_t l = 0; l < prepared.layers.size(); ++l)
    EXPECT_EQ(floats(result.prepared, l), floats(prepared, l)) << prepared.layers[l].name;
}

TEST_F(Rotate, TheSameSeedGivesTheSameWeightsAndAnotherOneOthers) {
  prepared_ = save_and_import(core_, language_model());
  const Rotated once = rotate(prepared_, 5), again = rotate(prepared_, 5), other = rotate(prepared_, 6);
  for (size_t l = 0; l < prepared_.layers.size(); ++l) {
    EXPECT_EQ(floats(once.prepared, l), floats(again.prepared, l));
    EXPECT_NE(floats(once.prepared, l), floats(other.prepared, l));
  }
}

TEST_F(Rotate, StateIsPutBackIntoARotatedNetwork) {
  for (const auto& [name, architecture] : architectures()) {
    SCOPED_TRACE(name);
    const auto wanted = talk(core_, language_model(architecture));
    const Rotated result = rotated(architecture, kOfInt8);
    restore_state(result.prepared.model, result.prepared.state);
    expect_same_talk(talk(core_, result.prepared.model), wanted, kOfInt8);
  }
}

}  // namespace
}  // namespace dnateq::testing
