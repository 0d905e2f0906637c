#include "calibrate/sensitivity.h"

#include <gtest/gtest.h>

#include "graph/taps.h"
#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

struct Network {
  explicit Network(const ModelPtr& model) : prepared(save_and_import(core, model)) {
    for (const Layer& layer : prepared.layers) {
      const auto tensor = layer.node->input_value(layer.activation_port);
      if (std::find(producers.begin(), producers.end(), tensor) == producers.end()) producers.push_back(tensor);
    }
  }
  std::vector<std::string> layers(const Stage& stage) const {
    std::vector<std::string> names;
    for (const size_t l : stage.layers) names.push_back(prepared.layers[l].name);
    return names;
  }

  ov::Core core;
  PreparedModel prepared;
  Outputs producers;
};

using Names = std::vector<std::string>;

TEST(Stages, AreCutWhereOneTensorCarriesEverythingOn) {
  const Network network(residual_cnn());
  const std::vector<Stage> stages = stages_of(network.prepared, network.producers, 100);
  // Inside a block two tensors are alive: no cut there.
  ASSERT_EQ(stages.size(), 4U);
  EXPECT_EQ(network.layers(stages[0]), (Names{"stem"}));
  EXPECT_EQ(network.layers(stages[1]), (Names{"block1/a", "block1/b"}));
  EXPECT_EQ(network.layers(stages[2]).size(), 3U);
  EXPECT_EQ(network.layers(stages[3]), (Names{"classifier"}));
  EXPECT_EQ(stages[0].start.get_node(), nullptr);
  // What a stage starts with is one of its own activations, if a layer of it reads that.
  const auto& activations = stages[2].activations;
  ASSERT_FALSE(activations.empty());
  size_t activations_in_all = 0;
  for (const Stage& stage : stages) activations_in_all += stage.activations.size();
  EXPECT_EQ(activations_in_all, network.producers.size());
}

TEST(Stages, AreNoMoreThanWanted) {
  const Network network(residual_cnn());
  EXPECT_EQ(stages_of(network.prepared, network.producers, 1).size(), 1U);
  EXPECT_EQ(stages_of(network.prepared, network.producers, 2).size(), 2U);
  for (const Norm norm : {Norm::kMvn, Norm::kDecomposed}) {
    const Network block(transformer_block(norm));
    const std::vector<Stage> stages = stages_of(block.prepared, block.producers, 8);
    size_t layers = 0;
    for (const Stage& stage : stages) layers += stage.layers.size();
    EXPECT_EQ(layers, block.prepared.layers.size());
  }
}

// The network's own output, all of it run: what the stages must come to as well.
TEST(Sensitivity, OfAStageIsThatOfTheWholeNetwork) {
  Network network(residual_cnn());
  const auto samples = random_samples("image", 20, {3, 12, 12}, 1);
  const Calls calls(samples, *network.prepared.model);
  MeasureOptions options;
  options.all_outputs = true;  // relative squared error
  const Measurements m = measure(network.core, network.prepared, calls, options);
  const auto run = [&](const ModelPtr& model) {
    std::vector<float> all;
    for (size_t c = 0; c < calls.size(); ++c)
      for (const float value : infer(network.core, model, calls.tensors(c))) all.push_back(value);
    return all;
  };
  const std::vector<float> reference = run(network.prepared.model);
  for (size_t a = 0; a < network.producers.size(); ++a) {
    const ModelCopy copy = copy_model(network.prepared.model);
    const FitResult& fit = m.activations[a].fits[4];
    const auto tensor = copy.copy_of.at(network.producers[a].get_node())->output(0);
    // As a layer reads it; a residual sum goes on reading the tensor itself.
    for (const Layer& layer : network.prepared.layers) {
      const auto node = copy.copy_of.at(layer.node.get());
      if (node->input_value(layer.activation_port) != tensor) continue;
      const auto state = std::make_shared<TapState>();
      state->encoder = std::make_shared<Encoder>(fit.code);
      node->input(layer.activation_port).replace_source_output(std::make_shared<Tap>(tensor, state));
    }
    const double error = relative_error(run(copy.model), reference);
    EXPECT_NEAR(m.activations[a].sensitivity * fit.relative_error, error, 1e-3 * error) << m.activations[a].tensor;
  }
}

}  // namespace
}  // namespace dnateq::testing
