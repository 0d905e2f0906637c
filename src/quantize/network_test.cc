#include "quantize/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "data/test_files.h"
#include "graph/test_models.h"
#include "quantize/describe.h"
#include "search/allocation.h"

namespace dnateq::testing {
namespace {

// A network that is written as `standard` and as `exact`.
class BothEmissions : public ::testing::Test {
 protected:
  BothEmissions()
      : calibration_(random_samples("image", 64, {3, 12, 12}, 100)),
        fresh_(random_samples("image", 64, {3, 12, 12}, 900)) {
    ov::save_model(residual_cnn(), (folder_ / "model.xml").string(), false);
    prepared_ = import_model(core_, folder_ / "model.xml", {});
    options_.metric = "cosine";
    options_.weight_bits = 3;  // no sensitivities are measured
    options_.activation_bits = 3;
  }

  // Its result lies in the folder `name`.
  Network network(const std::string& name) {
    inputs_.push_back(std::make_unique<NetworkInput>(
        NetworkInput{"", &prepared_, &calibration_, folder_ / "model.xml", folder_ / name}));
    std::filesystem::create_directories(folder_ / name);
    Network network(core_, *inputs_.back(), options_);
    network.measure(calls());
    return network;
  }
  const Calls& calls() {
    if (!calls_) calls_ = std::make_unique<Calls>(calibration_, *prepared_.model);
    return *calls_;
  }
  std::vector<int> bits(const Network& network) const { return std::vector<int>(network.items().items.size(), 3); }
  Network::Codes solve(const Network& network) { return network.solve(bits(network), calls(), "solving"); }

  double error_of(const ModelPtr& model) {
    const Calls calls(fresh_, *prepared_.model);
    std::vector<std::vector<ov::Tensor>> inputs;
    for (size_t c = 0; c < calls.size(); ++c) inputs.push_back(calls.tensors(c));
    return relative_error(infer_calls(core_, model, inputs), infer_calls(core_, prepared_.model, inputs));
  }
  static std::string bytes_of_file(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static std::vector<std::string> weight_files(const std::filesystem::path& folder) {
    return {bytes_of_file(folder / "model.bin"), bytes_of_file(folder / "exact" / "model.bin")};
  }

  TempFolder folder_;
  ov::Core core_;
  VectorSamples calibration_, fresh_;
  PreparedModel prepared_;
  QuantizeOptions options_;
  std::vector<std::unique_ptr<NetworkInput>> inputs_;
  std::unique_ptr<Calls> calls_;
};

TEST_F(BothEmissions, HaveCodesOfTheirOwnAndTheMainOneComesNearerToFp32ByThem) {
  const Network both = network("both");
  const Network::Codes codes = solve(both);
  ASSERT_TRUE(codes.main.has_value());
  size_t differing = 0;
  for (size_t l = 0; l < codes.main->size(); ++l) {
    EXPECT_EQ((*codes.main)[l].solution.code.stored_bits, codes.shared[l].solution.code.stored_bits);
    if ((*codes.main)[l].plan.activations) {
      EXPECT_EQ((*codes.main)[l].plan.activations->stored_bits, 8);
    }
    differing += (*codes.main)[l].solution.codes != codes.shared[l].solution.codes ? 1 : 0;
  }
  EXPECT_GT(differing, codes.main->size() / 2);

  Network::Codes one_solution = codes;
  one_solution.main.reset();
  const double own = error_of(both.emitted(codes, Emission::kMain)),
               borrowed = error_of(both.emitted(one_solution, Emission::kMain)),
               exact = error_of(both.emitted(codes, Emission::kExact));
  EXPECT_LT(own, 0.8 * borrowed);
  EXPECT_LT(own, exact);
  EXPECT_EQ(exact, error_of(both.emitted(one_solution, Emission::kExact)));
}

TEST_F(BothEmissions, TellInTheRecipeWhatTheCodesOfEachAre) {
  const Network both = network("both");
  const Network::Codes codes = solve(both);
  QuantizeResult result;
  both.describe(codes, result);
  for (size_t l = 0; l < result.recipe.layers.size(); ++l) {
    const LayerRecipe& layer = result.recipe.layers[l];
    EXPECT_EQ(layer.weights.code, codes.shared[l].solution.code);
    ASSERT_TRUE(layer.standard_weights.has_value());
    EXPECT_EQ(layer.standard_weights->code, (*codes.main)[l].solution.code);
    EXPECT_NEAR(layer.standard_weights->output_sqnr_db,
                -10 * std::log10((*codes.main)[l].solution.output_relative_error), 1e-6);
  }
  options_.emit_exact = false;
  const Network alone = network("alone");
  QuantizeResult of_one;
  alone.describe(solve(alone), of_one);
  for (const LayerRecipe& layer : of_one.recipe.layers) EXPECT_FALSE(layer.standard_weights.has_value());
}

TEST_F(BothEmissions, GiveTheSameFilesAtAnyNumberOfThreadsAndAfterAStop) {
  const Network first = network("first");
  first.save_models(solve(first));
  const std::vector<std::string> expected = weight_files(folder_ / "first");

  options_.threads = 2;
  const Network threaded = network("threaded");
  threaded.save_models(solve(threaded));
  EXPECT_EQ(weight_files(folder_ / "threaded"), expected);

  // Stopped in the middle of the second pass; then gone on with.
  const size_t stop_at = prepared_.layers.size() / 2;
  options_.progress = [&](const std::string& stage, size_t done, size_t) {
    return stage != "solving (standard)" || done < stop_at;
  };
  const Network stopped = network("stopped");
  EXPECT_THROW(solve(stopped), Cancelled);
  options_.progress = {};
  options_.resume = true;
  const auto checkpoints = [&] {
    size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "stopped" / "measurements"))
      files += entry.path().string().find("-main/") != std::string::npos ? 1 : 0;
    return files;
  };
  EXPECT_EQ(checkpoints(), stop_at);
  const Network resumed = network("stopped");
  resumed.save_models(solve(resumed));
  EXPECT_EQ(checkpoints(), prepared_.layers.size());
  EXPECT_EQ(weight_files(folder_ / "stopped"), expected);
}

TEST_F(BothEmissions, ShareOneSolutionWhereActivationsStayAsTheyAre) {
  options_.weights_only = true;
  const Network both = network("weights");
  EXPECT_FALSE(solve(both).main.has_value());
}

}  // namespace
}  // namespace dnateq::testing
