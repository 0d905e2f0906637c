#include "calibrate/parted_sensitivity.h"

#include <gtest/gtest.h>

#include "data/token_windows.h"
#include "graph/parts.h"
#include "graph/table_blocks.h"
#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

TEST(PartedSensitivity, IsThatOfTheWholeNetworkWithOneLayerQuantized) {
  constexpr size_t kSmallParts = 40000;  // bytes: about a block
  ov::Core core;
  LanguageModel architecture;
  architecture.layers = 4;
  const PreparedModel prepared =
      cut_tables(save_and_import(core, language_model(architecture)), [](int64_t rows) -> std::vector<int64_t> {
        return {40, rows};
      });
  ASSERT_GE(plan_parts(*prepared.model, kSmallParts).ends.size(), 3U);
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < 40; ++i) tokens.push_back(i * 11 % 130);
  const auto windows = token_windows({"text", tokens, {}}, 10);
  const Calls calls(*windows, *prepared.model);
  std::vector<std::vector<LayerSolution>> solutions(2);
  for (size_t w = 0; w < 2; ++w)
    for (const Layer& layer : prepared.layers) {
      solutions[w].push_back(quantize_rows(layer.weight_matrix(), {layer.rows, layer.columns, layer.groups, {}},
                                           with_level_counts(TensorCode{}, w == 0 ? 3 : 5)));
      if (layer.kind != LayerKind::kEmbedding)
        solutions[w].back().bias = random_values(static_cast<size_t>(layer.rows), static_cast<unsigned>(w), 0.01F);
    }
  MeasureOptions options;
  options.threads = 2;
  size_t begun = 0;
  std::vector<std::vector<double>> found(2, std::vector<double>(prepared.layers.size(), -1));
  measure_part_by_part(
      core, prepared, calls, solutions, options, [&] { ++begun; },
      [&](size_t w, size_t layer, double divergence) { found[w][layer] = divergence; }, kSmallParts);
  EXPECT_EQ(begun, 2 * prepared.layers.size());

  const auto run = [&](const ModelPtr& model) { return run_output(core, model, calls, 0, 1, {}, ""); };
  const OutputValues reference = run(prepared.model);
  for (size_t w = 0; w < 2; ++w)
    for (size_t l = w; l < prepared.layers.size(); l += 2) {  // each takes a network compiled as a whole
      const Layer& layer = prepared.layers[l];
      const ModelCopy copy = copy_model(prepared.model);
      const auto node = copy.copy_of.at(layer.node.get());
      const std::vector<float> weights = layer.to_model_layout(decode_weights(solutions[w][l], layer.columns));
      const auto readers = node->output(0).get_target_inputs();
      node->input(layer.weight_port).replace_source_output(constant(layer.weights()->get_shape(), weights));
      if (layer.kind != LayerKind::kEmbedding) {
        const auto sum = std::make_shared<op::Add>(node, constant(layer.bias_shape(), solutions[w][l].bias));
        for (auto reader : readers) reader.replace_source_output(sum);
      }
      const double wanted = mean(score(Metric::kKl, run(copy.model), reference, {}));
      EXPECT_GT(wanted, 0);
      EXPECT_NEAR(found[w][l], wanted, 1e-3 * wanted + 1e-7) << layer.name;
    }
}

}  // namespace
}  // namespace dnateq::testing
