#include "graph/table_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> small_blocks(int64_t rows) { return {4, 8, 40, rows}; }

PreparedModel prepared_of(ov::Core& core, const TempFolder& folder, const LanguageModel& model) {
  ov::save_model(language_model(model), folder / "net.xml", false);
  return import_model(core, folder / "net.xml");
}

TEST(TableBlocks, EndWhereKernelsPanelsDo) {
  EXPECT_THAT(table_block_ends(49152), ElementsAre(1536, 6144, 18432, 49152));
  EXPECT_THAT(table_block_ends(50257), ElementsAre(1536, 6272, 18816, 50257));
  EXPECT_THAT(table_block_ends(8191), ElementsAre(8191)) << "not worth further calls";
}

TEST(TableBlocks, OfATableComputeWhatItDoes) {
  ov::Core core;
  for (const auto& [name, architecture] : architectures()) {
    SCOPED_TRACE(name);
    const TempFolder folder;
    const PreparedModel whole = prepared_of(core, folder, architecture);
    const PreparedModel cut = cut_tables(whole, small_blocks);
    const auto tables = static_cast<size_t>(std::count_if(whole.layers.begin(), whole.layers.end(), [](const auto& l) {
      return l.kind == LayerKind::kEmbedding || l.shares_weights_with;
    }));
    ASSERT_EQ(cut.layers.size(), whole.layers.size() + 3 * tables);
    const std::vector<int64_t> prompt = {3, 4, 7, 8, 39, 40, 129, 0};  // first and last rows of every block
    expect_near(Conversation(core, cut.model).say(2, prompt), Conversation(core, whole.model).say(2, prompt));
  }
}

TEST(TableBlocks, AreLayersOfTheirOwnWhichTheHeadShares) {
  ov::Core core;
  const TempFolder folder;
  const PreparedModel cut = cut_tables(prepared_of(core, folder, {}), small_blocks);
  EXPECT_EQ(cut.layers[1].name, "model.embed_tokens/rows_4_8");
  const size_t head = cut.layers.size() - 4;
  for (size_t b = 0; b < 4; ++b) {
    EXPECT_EQ(cut.layers[b].kind, LayerKind::kEmbedding);
    EXPECT_EQ(cut.layers[head + b].shares_weights_with, b);
    EXPECT_EQ(cut.layers[head + b].weights(), cut.layers[b].weights());
    EXPECT_EQ(cut.layers[b].weight_matrix().size(), static_cast<size_t>(cut.layers[b].rows * cut.layers[b].columns));
  }
  EXPECT_EQ(cut.layers[3].rows, 130 - 40);
  EXPECT_EQ(cut.model->output("logits").get_partial_shape(), (ov::PartialShape{-1, -1, 130}));
}

TEST(TableBlocks, AreFoundAgain) {
  ov::Core core;
  const TempFolder folder;
  const PreparedModel whole = prepared_of(core, folder, {}), cut = cut_tables(whole, small_blocks);
  const std::optional<CutLookup> lookup = cut_lookup(cut.layers[0].node.get());
  ASSERT_TRUE(lookup);
  std::vector<ov::Output<ov::Node>> products;
  for (size_t b = 0; b < 4; ++b) {
    EXPECT_EQ(lookup->lookups.at(b), cut.layers[b].node.get());
    products.push_back(cut.layers[cut.layers.size() - 4 + b].node->output(0));
  }
  EXPECT_EQ(lookup->indices.get_node()->get_friendly_name(), "input_ids");
  EXPECT_EQ(lookup->joined.get_node()->get_friendly_name(), "model.embed_tokens");
  const ov::Node* joined = joined_channels(products);
  ASSERT_NE(joined, nullptr);
  EXPECT_EQ(joined->get_friendly_name(), "lm_head");
  std::swap(products[0], products[1]);
  EXPECT_EQ(joined_channels(products), nullptr);
  EXPECT_FALSE(cut_lookup(whole.layers[0].node.get())) << "a whole table";
  EXPECT_FALSE(cut_lookup(cut.layers[1].node.get())) << "not the first block";
}

TEST(TableBlocks, LeaveNetworksWithoutStateAlone) {
  ov::Core core;
  const TempFolder folder;
  PreparedModel prepared = prepared_of(core, folder, {});
  prepared.state = {};
  const PreparedModel same = cut_tables(prepared, small_blocks);
  EXPECT_EQ(same.layers.size(), prepared.layers.size());
  EXPECT_EQ(same.model, prepared.model);
}

}  // namespace
}  // namespace dnateq::testing
