#include "graph/parts.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>

#include "data/token_windows.h"
#include "graph/runner.h"
#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

class Parts : public ::testing::Test {
 protected:
  Parts() {
    LanguageModel architecture;
    architecture.layers = 6;
    prepared_ = save_and_import(core_, language_model(architecture));
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < 60; ++i) tokens.push_back(i * 7 % 130);
    windows_ = token_windows({"text", tokens, {}}, 12);
    calls_.emplace(*windows_, *prepared_.model);
    // What enters each layer, an input of the network, and the logits.
    for (const Layer& layer : prepared_.layers)
      if (layer.kind != LayerKind::kEmbedding) wanted_.push_back(layer.node->input_value(layer.activation_port));
    wanted_.push_back(prepared_.model->get_parameters()[0]->output(0));
    wanted_.push_back(prepared_.model->get_results()[0]->input_value(0));
  }

  static std::vector<float> values_of(const ov::Tensor& tensor) {
    if (tensor.get_element_type() == ov::element::f32) return floats_of(tensor);
    return {tensor.data<int64_t>(), tensor.data<int64_t>() + tensor.get_size()};
  }

  // [call][of wanted_], each seen once.
  std::vector<std::vector<std::vector<float>>> computed(size_t part_bytes, bool early) {
    std::vector<std::vector<std::vector<float>>> all(calls_->size(), std::vector<std::vector<float>>(wanted_.size()));
    std::mutex mutex;
    const auto see = [&](size_t call, size_t i, const ov::Tensor& tensor) {
      const std::lock_guard lock(mutex);
      EXPECT_TRUE(all[call][i].empty());
      all[call][i] = values_of(tensor);
      ++seen_early_;
    };
    const PartedRun run(core_, *prepared_.model, *calls_, calls_->size(), wanted_, 2,
                        early ? PartedRun::Sink(see) : PartedRun::Sink(), part_bytes);
    const size_t before = seen_early_;
    Runner(core_, run.last(), 2)
        .run(
            calls_->size(), [&](size_t c) { return run.inputs_of(c); },
            [&](size_t c, const std::vector<ov::Tensor>& tensors) {
              ASSERT_EQ(tensors.size(), run.results().size());
              for (size_t i = 0; i < tensors.size(); ++i) see(c, run.results()[i], tensors[i]);
            });
    last_bytes_ = constant_bytes(*run.last());
    seen_early_ = before;
    return all;
  }

  ov::Core core_;
  PreparedModel prepared_;
  std::unique_ptr<Samples> windows_;
  std::optional<Calls> calls_;
  Outputs wanted_;
  size_t seen_early_ = 0, last_bytes_ = 0;
};

constexpr size_t kSmall = 40000;  // bytes: about a block

TEST_F(Parts, AreCutWhereNoPartExceedsTheBytesAskedForAndFewTensorsPass) {
  const PartPlan plan = plan_parts(*prepared_.model, kSmall);
  EXPECT_GE(plan.ends.size(), 4U);
  EXPECT_EQ(plan.ends.back(), plan.order.size() - 1);
  EXPECT_TRUE(std::is_sorted(plan.ends.begin(), plan.ends.end()));
  // The stream, and what all blocks read: the mask, the rotary embeddings, lengths.
  for (size_t i = 0; i + 1 < plan.ends.size(); ++i) EXPECT_LE(read_behind(plan, plan.ends[i]).size(), 10U) << i;
  EXPECT_EQ(plan_parts(*prepared_.model, size_t{1} << 30).ends.size(), 1U);
}

TEST_F(Parts, GiveWhatTheWholeNetworkGives) {
  const auto whole = computed(size_t{1} << 30, false);
  EXPECT_EQ(seen_early_, 0U);
  const size_t all_bytes = last_bytes_;
  for (const bool early : {false, true}) {
    const auto parted = computed(kSmall, early);
    EXPECT_LE(last_bytes_, kSmall);
    EXPECT_GT(all_bytes, 4 * kSmall);
    EXPECT_EQ(seen_early_ > 0, early);
    for (size_t c = 0; c < whole.size(); ++c)
      for (size_t i = 0; i < wanted_.size(); ++i) expect_near(parted[c][i], whole[c][i]);
  }
}

}  // namespace
}  // namespace dnateq::testing
