// What emissions make of a language model: tables in blocks, transforms.
#include <gtest/gtest.h>

#include <algorithm>

#include "calibrate/rotate.h"
#include "emit/emit.h"
#include "graph/table_blocks.h"
#include "graph/test_language_model.h"
#include "ops/ops.h"
#include "ops/packed_block.h"
#include "search/solve.h"

namespace dnateq::testing {
namespace {

size_t count_of(const ModelPtr& model, const std::string& type) {
  const auto nodes = model->get_ops();
  return static_cast<size_t>(
      std::count_if(nodes.begin(), nodes.end(), [&](const auto& node) { return type == node->get_type_name(); }));
}

// By nearest rounding, of 3 to 5 bits, mirrored codes among them; of tables alone, if so.
std::vector<LayerCodes> codes_of(const PreparedModel& prepared, bool tables_alone) {
  std::vector<LayerCodes> all;
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    LayerCodes codes;
    if (layer.shares_weights_with)
      codes = all[*layer.shares_weights_with];
    else if (layer.kind == LayerKind::kEmbedding || !tables_alone)
      static_cast<WeightCodes&>(codes) =
          quantize_rows(layer.weight_matrix(), {layer.rows, layer.columns, layer.groups, {}, layer.columns % 8 == 0},
                        with_level_counts(TensorCode{}, 3 + static_cast<int>(l % 3)));
    all.push_back(std::move(codes));
  }
  return all;
}

std::vector<float> said_by(const ModelPtr& model) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const TempFolder folder;
  ov::save_model(model, folder / "net.xml", false);
  return Conversation(core, core.read_model(folder / "net.xml")).say(2, {3, 4, 7, 8, 39, 40, 129, 0});
}

class EmittedLanguageModel : public ::testing::Test {
 protected:
  PreparedModel cut(const LanguageModel& architecture) {
    return cut_tables(save_and_import(core_, language_model(architecture)), [](int64_t rows) {
      return std::vector<int64_t>{4, 8, 40, rows};
    });
  }

  ov::Core core_;
};

TEST_F(EmittedLanguageModel, LooksUpAndMultipliesByATableInBlocksOfDifferentBitsInOneCallEach) {
  const PreparedModel prepared = cut({});
  const std::vector<LayerCodes> codes = codes_of(prepared, true);
  const ModelPtr exact = emit_exact(prepared, codes), cpu = emit_cpu(prepared, codes, std::vector(codes.size(), true));
  for (const ModelPtr& model : {exact, cpu}) {
    EXPECT_EQ(count_of(model, "ExponentialEmbedding"), 1U);
    EXPECT_EQ(count_of(model, "Select"), count_of(prepared.model, "Select") - 3);
  }
  EXPECT_EQ(count_of(cpu, "PackedHead"), 1U);
  EXPECT_EQ(count_of(cpu, "Concat"), count_of(prepared.model, "Concat") - 1);
  EXPECT_EQ(count_of(cpu->clone(), "PackedTable"), 1U) << "what is compiled";
  const std::vector<float> wanted = said_by(exact), got = said_by(cpu);
  EXPECT_LT(relative_error(got, wanted), 1e-3) << "8 bits of what enters the head";
  EXPECT_GT(relative_error(got, wanted), 0);
}

TEST_F(EmittedLanguageModel, ComputesOtherBlocksAsTheyAre) {
  const PreparedModel prepared = cut({});
  std::vector<LayerCodes> codes = codes_of(prepared, true);
  codes[1] = codes[codes.size() - 3] = {};  // the second block stays in float32
  const ModelPtr exact = emit_exact(prepared, codes), cpu = emit_cpu(prepared, codes, std::vector(codes.size(), true));
  EXPECT_EQ(count_of(cpu, "ExponentialEmbedding"), 3U);
  EXPECT_EQ(count_of(cpu, "PackedHead"), 0U);
  EXPECT_LT(relative_error(said_by(cpu), said_by(exact)), 1e-3);
}

TEST_F(EmittedLanguageModel, TransformsWhatEntersTheSecondLayerOfAnMlpByAnOperationOfOurs) {
  LanguageModel architecture;
  architecture.hidden = 64;
  const PreparedModel prepared = rotate(save_and_import(core_, language_model(architecture)), 1).prepared;
  const std::vector<LayerCodes> codes = codes_of(prepared, true);
  const ModelPtr cpu = emit_cpu(prepared, codes, std::vector(codes.size(), true)),
                 standard = emit_standard(prepared, codes);
  EXPECT_EQ(count_of(cpu, "HadamardTransform"), 2U);
  EXPECT_EQ(count_of(standard, "HadamardTransform"), 0U);
  EXPECT_LT(relative_error(said_by(emit_exact(prepared, codes)), said_by(standard)), 1e-3);
}

TEST_F(EmittedLanguageModel, TransformsWithinOneCallOfALayer) {
  LanguageModel architecture;
  architecture.hidden = 64;
  const PreparedModel prepared = rotate(save_and_import(core_, language_model(architecture)), 1).prepared;
  const std::vector<LayerCodes> codes = codes_of(prepared, false);
  const ModelPtr cpu = emit_cpu(prepared, codes, std::vector(codes.size(), true));
  EXPECT_EQ(count_of(cpu, "HadamardTransform") + count_of(cpu, "PackedMatMul"), 0U);
  size_t transforms = 0;
  for (const auto& node : cpu->get_ops())
    if (const auto* block = ov::as_type<ops::PackedBlock>(node.get()))
      for (const RowStep& step : block->block().steps) transforms += step.kind == RowStepKind::kHadamard;
  EXPECT_EQ(transforms, 2U);
  EXPECT_LT(relative_error(said_by(cpu), said_by(emit_exact(prepared, codes))), 2e-2) << "8 bits of what enters layers";
}

}  // namespace
}  // namespace dnateq::testing
