#include "calibrate/lockstep.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "graph/subgraph.h"
#include "graph/taps.h"
#include "graph/test_models.h"
#include "search/fit.h"

namespace dnateq::testing {
namespace {

using Solutions = std::vector<LayerSolution>;

struct Scene {
  PreparedModel prepared;
  VectorSamples calibration, fresh;  // fresh: never seen by the search
};

// Activation codes fitted on all inputs of each layer.
std::vector<LayerPlan> plan_for(ov::Core& core, const PreparedModel& prepared, const Calls& calls, int weight_bits,
                                int activation_bits) {
  std::vector<LayerPlan> plan(prepared.layers.size());
  ov::OutputVector producers;
  for (size_t l = 0; l < plan.size(); ++l)
    producers.push_back(prepared.layers[l].kind == LayerKind::kEmbedding
                            ? prepared.layers[l].node->output(0)
                            : prepared.layers[l].node->input_value(prepared.layers[l].activation_port));
  const auto probe = std::make_shared<ov::Model>(producers, prepared.model->get_parameters());
  auto request =
      core.compile_model(probe, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  std::vector<Histogram> histograms(plan.size());
  for (size_t c = 0; c < calls.size(); ++c) {
    const std::vector<ov::Tensor> inputs = calls.tensors(c);
    for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
    request.infer();
    for (size_t l = 0; l < plan.size(); ++l) histograms[l].add(floats_of(request.get_output_tensor(l)));
  }
  for (size_t l = 0; l < plan.size(); ++l) {
    plan[l].weights = with_level_counts(TensorCode{}, weight_bits);
    if (activation_bits > 0)
      plan[l].activations =
          fit_code(FitData::from_histogram(histograms[l]), with_level_counts(TensorCode{}, activation_bits)).code;
  }
  return plan;
}

Solutions nearest(const PreparedModel& prepared, const std::vector<LayerPlan>& plan) {
  Solutions solutions;
  for (size_t l = 0; l < plan.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    solutions.push_back(
        quantize_rows(layer.weight_matrix(), {layer.rows, layer.columns, layer.groups}, plan[l].weights));
  }
  return solutions;
}

// The network with these solutions and the plan's activation codes, built apart from the pass.
ModelPtr quantized(const PreparedModel& prepared, const std::vector<LayerPlan>& plan, const Solutions& solutions) {
  const ModelCopy copy = copy_model(prepared.model);
  std::vector<std::shared_ptr<ov::Node>> nodes;
  for (const Layer& layer : prepared.layers) nodes.push_back(copy.copy_of.at(layer.node.get()));
  for (size_t l = 0; l < nodes.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    const std::vector<float> weights = layer.to_model_layout(decode_weights(solutions[l], layer.columns));
    nodes[l]->input(layer.weight_port).replace_source_output(constant(layer.weights()->get_shape(), weights));
    if (layer.kind != LayerKind::kEmbedding && plan[l].activations) {
      const auto state = std::make_shared<TapState>();
      state->encoder = std::make_shared<Encoder>(*plan[l].activations);
      nodes[l]
          ->input(layer.activation_port)
          .replace_source_output(std::make_shared<Tap>(nodes[l]->input_value(layer.activation_port), state));
    }
    if (solutions[l].bias.empty()) continue;
    ov::Shape shape{solutions[l].bias.size()};
    if (layer.kind != LayerKind::kMatMul)
      while (shape.size() + 1 < nodes[l]->get_output_partial_shape(0).size()) shape.push_back(1);
    const auto readers = nodes[l]->output(0).get_target_inputs();
    const auto add = std::make_shared<op::Add>(nodes[l], constant(shape, solutions[l].bias));
    for (auto reader : readers) reader.replace_source_output(add->output(0));
  }
  return copy.model;
}

std::vector<float> outputs(ov::Core& core, const ModelPtr& model, const Samples& samples) {
  const Calls calls(samples, *model);
  std::vector<std::vector<ov::Tensor>> inputs;
  for (size_t c = 0; c < calls.size(); ++c) inputs.push_back(calls.tensors(c));
  return infer_calls(core, model, inputs);
}

VectorSamples sentences(size_t count, unsigned seed, bool ragged) {
  std::vector<std::vector<Array>> calls;
  for (size_t i = 0; i < count; ++i) {
    const int64_t length = ragged ? 3 + static_cast<int64_t>((i * 5) % 7) : 8;
    std::vector<float> values = random_values(static_cast<size_t>(16 * length), seed + static_cast<unsigned>(i));
    for (size_t j = 3; j < values.size(); j += 16) values[j] = 2 * values[j - 1] + 0.5F;  // channels go together
    calls.push_back({floats({1, length, 16}, values)});
  }
  return {{"tokens"}, std::move(calls), !ragged};
}

void expect_equal(const Solutions& got, const Solutions& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t l = 0; l < got.size(); ++l) {
    EXPECT_EQ(got[l].code, expected[l].code) << "layer " << l;
    EXPECT_EQ(got[l].codes, expected[l].codes) << "layer " << l;
    EXPECT_EQ(got[l].gamma, expected[l].gamma) << "layer " << l;
    EXPECT_EQ(got[l].bias, expected[l].bias) << "layer " << l;
  }
}

// The networks that every property is checked on.
class Lockstep : public ::testing::TestWithParam<const char*> {
 protected:
  Lockstep() : scene_(make()), calls_(scene_.calibration, *scene_.prepared.model) {}

  Scene make() {
    const std::string name = GetParam();
    if (name == "cnn")
      return {save_and_import(core_, residual_cnn()), random_samples("image", 40, {3, 12, 12}, 100),
              random_samples("image", 32, {3, 12, 12}, 900)};
    const Norm norm = name == "decomposed" ? Norm::kDecomposed : Norm::kMvn;
    const bool ragged = name == "ragged";
    return {save_and_import(core_, transformer_block(norm)), sentences(48, 100, ragged), sentences(32, 900, ragged)};
  }

  // Fitting takes longer than the pass: once for each network.
  const std::vector<LayerPlan>& plan(int weight_bits = 3, int activation_bits = 6) {
    static std::map<std::tuple<std::string, int, int>, std::vector<LayerPlan>> plans;
    auto& known = plans[{GetParam(), weight_bits, activation_bits}];
    if (known.empty()) known = plan_for(core_, scene_.prepared, calls_, weight_bits, activation_bits);
    return known;
  }
  Solutions pass(const std::vector<LayerPlan>& plan, const PassOptions& options = {}) {
    return run_pass(core_, scene_.prepared, calls_, plan, options);
  }
  double final_error(const std::vector<LayerPlan>& plan, const Solutions& solutions) {
    return relative_error(outputs(core_, quantized(scene_.prepared, plan, solutions), scene_.fresh),
                          outputs(core_, scene_.prepared.model, scene_.fresh));
  }

  ov::Core core_;
  Scene scene_;
  Calls calls_;
};

INSTANTIATE_TEST_SUITE_P(Networks, Lockstep, ::testing::Values("cnn", "mvn", "decomposed", "ragged"),
                         [](const auto& network) { return std::string(network.param); });

TEST_P(Lockstep, ComesNearerToFp32ThanNearestRounding) {
  for (const int activation_bits : {0, 6}) {
    const std::vector<LayerPlan> plan3 = plan(3, activation_bits);
    const double rounded = final_error(plan3, nearest(scene_.prepared, plan3)),
                 solved = final_error(plan3, pass(plan3));
    EXPECT_LT(solved, 0.7 * rounded) << "activations at " << activation_bits << " bits";
    EXPECT_GT(rounded, 1e-4);
  }
}

TEST_P(Lockstep, MoreBitsComeNearer) {
  const std::vector<LayerPlan> coarse = plan(2, 0), fine = plan(6, 0);
  EXPECT_LT(final_error(fine, pass(fine)), 0.1 * final_error(coarse, pass(coarse)));
}

TEST_P(Lockstep, GivesTheSameBytesWithOneThreadAndWithTwo) {
  PassOptions two;
  two.threads = 2;
  expect_equal(pass(plan(), two), pass(plan()));
}

TEST_P(Lockstep, GivesTheSameBytesWhetherTensorsLieInMemoryOrOnDisk) {
  PassOptions on_disk;
  on_disk.memory_bytes = 0;
  on_disk.threads = 2;
  expect_equal(pass(plan(), on_disk), pass(plan()));
}

// Fusing across what was a border changes the last bit of a float now and then, and a bias with it.
void expect_alike(const Solutions& got, const Solutions& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t l = 0; l < got.size(); ++l) {
    EXPECT_EQ(got[l].code.stored_bits, expected[l].code.stored_bits);
    size_t differing = 0;
    for (size_t i = 0; i < got[l].codes.size(); ++i) differing += got[l].codes[i] != expected[l].codes[i] ? 1 : 0;
    EXPECT_LE(differing, got[l].codes.size() / 50) << "layer " << l;
    EXPECT_NEAR(got[l].output_relative_error, expected[l].output_relative_error,
                0.01 * expected[l].output_relative_error + 1e-6)
        << "layer " << l;
  }
}

TEST_P(Lockstep, GivesTheSameCodesWhetherTensorsAreKeptOrComputedAgain) {
  PassOptions forgetful;
  forgetful.kept_bytes = 1;
  expect_alike(pass(plan(), forgetful), pass(plan()));
}

// Of which less is computed twice.
TEST_P(Lockstep, GivesTheSameCodesOfALargeNetwork) {
  const std::vector<TensorCode> requests = {with_level_counts(TensorCode{}, 3)};
  const Solutions one_after_another = pass(plan());
  const Solutions alone = solve_each_alone(core_, scene_.prepared, calls_, requests, {}).front();
  scene_.prepared.parameters = kFewestParametersOnDisk;
  expect_alike(pass(plan()), one_after_another);
  expect_alike(solve_each_alone(core_, scene_.prepared, calls_, requests, {}).front(), alone);
}

TEST_P(Lockstep, GoesOnFromCheckpointsToTheSameBytes) {
  const TempFolder folder;
  PassOptions options;
  options.checkpoints = folder.path();
  options.kept_bytes = 1;  // a resumed pass starts without kept tensors, so both compute them in the same way
  const Solutions whole = pass(plan(), options);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_EQ(files.size(), whole.size());
  expect_equal(pass(plan(), options), whole);  // all there
  for (size_t i = files.size() / 2; i < files.size(); ++i) std::filesystem::remove(files[i]);
  expect_equal(pass(plan(), options), whole);  // the search was stopped half way
  std::filesystem::remove(files[1]);
  std::filesystem::resize_file(files[2], 20);
  expect_equal(pass(plan(), options), whole);  // a gap and a damaged file
}

TEST_P(Lockstep, AStopKeepsWhatIsSolved) {
  const TempFolder folder;
  PassOptions options;
  options.checkpoints = folder.path();
  options.progress = [](const std::string&, size_t done, size_t) { return done < 3; };
  EXPECT_THROW(pass(plan(), options), Cancelled);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()),
            3);
}

TEST_P(Lockstep, LeavesThePreparedModelAsItWas) {
  const std::vector<float> before = outputs(core_, scene_.prepared.model, scene_.fresh);
  pass(plan());
  EXPECT_EQ(outputs(core_, scene_.prepared.model, scene_.fresh), before);
}

TEST_P(Lockstep, AFixedCodeIsUsedAsItIs) {
  std::vector<LayerPlan> fixed = plan();
  for (size_t l = 0; l < fixed.size(); ++l) {
    fixed[l].weights_fixed = true;
    fixed[l].weights =
        fit_code(FitData::from_values(scene_.prepared.layers[l].weight_matrix()), with_level_counts(TensorCode{}, 4))
            .code;
  }
  const Solutions solutions = pass(fixed);
  for (size_t l = 0; l < fixed.size(); ++l) {
    const Layer& layer = scene_.prepared.layers[l];
    const LayerSolution expected =
        with_fixed_code(layer.weight_matrix(), {layer.rows, layer.columns, layer.groups}, fixed[l].weights);
    EXPECT_EQ(solutions[l].code, fixed[l].weights);
    EXPECT_EQ(solutions[l].codes, expected.codes);
    EXPECT_TRUE(solutions[l].bias.empty());
  }
}

TEST(LockstepTied, SharedWeightsHaveTheSameCodesAndABiasOfTheirOwn) {
  ov::Core core;
  const auto ids = parameter("ids", {-1, -1}, ov::element::i64);
  const auto table = random_constant({300, 16}, 1);
  const auto gather = named<op::Gather>("table", table, ids, op::Constant::create(ov::element::i64, {}, {0}));
  const auto hidden = std::make_shared<op::Relu>(linear("hidden", gather, 16, 16, 2));
  const PreparedModel prepared =
      save_and_import(core, model_of(named<op::MatMul>("words", hidden, table, false, true), {ids}));
  ASSERT_EQ(prepared.layers.size(), 3U);
  std::vector<std::vector<Array>> calls;
  for (int64_t i = 0; i < 40; ++i) calls.push_back({array_of<int64_t>(DataType::kInt64, {1, 3}, {i, 299 - i, 7 * i})});
  const VectorSamples samples({"ids"}, calls);
  const Calls fed(samples, *prepared.model);
  const std::vector<LayerPlan> plan = plan_for(core, prepared, fed, 3, 6);
  const Solutions solutions = run_pass(core, prepared, fed, plan, {});
  EXPECT_EQ(solutions[2].codes, solutions[0].codes);
  EXPECT_EQ(solutions[2].gamma, solutions[0].gamma);
  EXPECT_TRUE(solutions[0].bias.empty());
  EXPECT_EQ(solutions[2].bias.size(), 300U);
  Solutions without = solutions;
  without[2].bias.clear();
  const std::vector<float> expected = outputs(core, prepared.model, samples);
  EXPECT_LT(relative_error(outputs(core, quantized(prepared, plan, solutions), samples), expected),
            relative_error(outputs(core, quantized(prepared, plan, without), samples), expected));
}

}  // namespace
}  // namespace dnateq::testing
