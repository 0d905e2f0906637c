// Language models, imported: what import_test.cc has, of networks with state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/import.h"
#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<float> outputs_of_prompt(ov::Core& core, const ModelPtr& model) {
  return Conversation(core, model).say(2, {3, 1, 4, 1, 5, 9, 2, 6});
}

std::vector<std::string> names(const PreparedModel& prepared) {
  std::vector<std::string> all;
  for (const Layer& layer : prepared.layers) all.push_back(layer.name);
  return all;
}

TEST(ImportLanguageModel, FindsEveryLayerAndComputesThePromptAsTheFileDoes) {
  ov::Core core;
  const TempFolder folder;
  for (const auto& [name, architecture] : architectures())
    for (const bool half : {false, true}) {
      SCOPED_TRACE(name + (half ? " in FP16" : ""));
      ov::save_model(language_model(architecture), (folder / "net.xml").string(), half);
      const std::vector<float> wanted = outputs_of_prompt(core, core.read_model((folder / "net.xml").string()));
      const PreparedModel prepared = import_model(core, folder / "net.xml");
      expect_near(outputs_of_prompt(core, prepared.model), wanted);
      expect_near(outputs_of_prompt(core, read_stateless(core, folder / "net.xml")), wanted);
      EXPECT_EQ(prepared.state.variables.size(), 4U);
      EXPECT_THAT(prepared.compressed_in, IsEmpty());
      const size_t a_block = architecture.fused ? 4 : architecture.gpt2 ? 6 : 7;
      EXPECT_EQ(prepared.layers.size(), 2 * a_block + (architecture.gpt2 ? 3 : 2));
      EXPECT_EQ(prepared.layers.front().name, "model.embed_tokens");
      EXPECT_EQ(prepared.layers.back().name, "lm_head");
      EXPECT_EQ(prepared.layers.back().shares_weights_with,
                architecture.tied ? std::optional<size_t>(0) : std::nullopt);
    }
}

TEST(ImportLanguageModel, CompressedWeightsAreThoseThatTheyStandFor) {
  ov::Core core;
  for (const int bits : {4, 8})
    for (const bool tied : {true, false}) {
      SCOPED_TRACE(bits);
      LanguageModel architecture;
      architecture.tied = tied;
      architecture.compressed_bits = bits;
      const ModelPtr source = language_model(architecture);
      const PreparedModel prepared = save_and_import(core, source);
      expect_near(outputs_of_prompt(core, prepared.model), outputs_of_prompt(core, source),
                  1e-3F);  // OpenVINO's kernels round inputs
      architecture.decompressed = true;
      const PreparedModel plain = save_and_import(core, language_model(architecture));
      expect_near(outputs_of_prompt(core, prepared.model), outputs_of_prompt(core, plain.model));
      EXPECT_THAT(prepared.compressed_in, ElementsAre(bits == 4 ? "u4" : "u8"));
      EXPECT_EQ(prepared.parameters, plain.parameters);
      ASSERT_EQ(names(prepared), names(plain));
      for (size_t l = 0; l < plain.layers.size(); ++l) {
        EXPECT_EQ(prepared.layers[l].weight_matrix(), plain.layers[l].weight_matrix()) << plain.layers[l].name;
        EXPECT_EQ(prepared.layers[l].shares_weights_with, plain.layers[l].shares_weights_with);
      }
      expect_same_talk(talk(core, source), talk(core, language_model(architecture)), 1e-3F);
    }
}

TEST(ImportLanguageModel, ALengthOfZeroInABroadcastLeavesTheLengthAsItIs) {
  ov::Core core;
  const std::vector<float> wanted = outputs_of_prompt(core, language_model());
  LanguageModel architecture;
  architecture.zero_length = true;
  const PreparedModel prepared = save_and_import(core, language_model(architecture));
  expect_near(outputs_of_prompt(core, prepared.model), wanted);
  restore_state(prepared.model, prepared.state);
  expect_same_talk(talk(core, prepared.model), talk(core, language_model()));
}

}  // namespace
}  // namespace dnateq::testing
