#include "calibrate/center.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kWidth = 8;

NodePtr scaled(const ov::Output<ov::Node>& x, unsigned seed) {
  return std::make_shared<op::Multiply>(x, random_constant({kWidth}, seed));
}

// A normalization's last step: `x` gets a factor and an offset for each channel; the offsets are large.
NodePtr with_offsets(const std::string& name, const ov::Output<ov::Node>& x, unsigned seed) {
  return named<op::Add>(name, scaled(x, seed), random_constant({kWidth}, seed + 1, 3.0F));
}

class Center : public ::testing::Test {
 protected:
  Center() : samples_(random_samples("x", 20, {5, kWidth}, 1)) {}

  void network(const ov::Output<ov::Node>& output) {
    prepared_ = save_and_import(core_, model_of(output, {x_}));
    calls_ = std::make_unique<Calls>(samples_, *prepared_.model);
  }

  std::vector<ChannelMeans> means(int threads = 1) {
    CenterOptions options;
    options.threads = threads;
    return measure_channel_means(core_, prepared_, *calls_, options);
  }

  // The centred network, after checking that it computes what the network did, which is left as it was.
  PreparedModel centered(bool always = true) {
    CenterOptions options;
    options.always = always;
    const std::vector<std::vector<ov::Tensor>> inputs = {{random_tensor({2, 5, kWidth}, 50)},
                                                         {random_tensor({1, 3, kWidth}, 51)}};
    const std::vector<float> before = infer_calls(core_, prepared_.model, inputs);
    PreparedModel result = center_activations(core_, prepared_, *calls_, options);
    expect_near(infer_calls(core_, result.model, inputs), before);
    EXPECT_EQ(infer_calls(core_, prepared_.model, inputs), before);
    EXPECT_EQ(result.fingerprint, prepared_.fingerprint);
    EXPECT_EQ(result.layers.size(), prepared_.layers.size());
    EXPECT_THAT(result.model->output(0).get_names(), ElementsAre("output"));
    for (size_t l = 0; l < result.layers.size(); ++l) {
      const Layer &layer = result.layers[l], &old = prepared_.layers[l];
      EXPECT_EQ(layer.name, old.name);
      EXPECT_FALSE(old.centered);
      EXPECT_EQ(layer.node->get_friendly_name(), layer.name);
      EXPECT_EQ(layer.weight_matrix(), old.weight_matrix());
    }
    return result;
  }

  static std::vector<std::string> centered_layers(const PreparedModel& prepared) {
    std::vector<std::string> names;
    for (const Layer& layer : prepared.layers)
      if (layer.centered) names.push_back(layer.name);
    return names;
  }

  static size_t additions(const PreparedModel& prepared) {
    const auto all = prepared.model->get_ops();
    return static_cast<size_t>(
        std::count_if(all.begin(), all.end(), [](const auto& node) { return ov::is_type<op::Add>(node); }));
  }

  static std::string input_of(const PreparedModel& prepared, size_t layer) {
    return prepared.layers.at(layer).node->get_input_node_shared_ptr(0)->get_friendly_name();
  }

  ov::Core core_;
  std::shared_ptr<op::Parameter> x_ = parameter("x", {-1, -1, kWidth});
  VectorSamples samples_;
  PreparedModel prepared_;
  std::unique_ptr<Calls> calls_;
};

TEST_F(Center, MeansAreThoseOfAllPositionsOfAllCalls) {
  network(linear("layer", x_, 4, kWidth, 1));
  const std::vector<ChannelMeans> all = means();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].tensor, "x");
  EXPECT_THAT(all[0].layers, ElementsAre(0));
  std::vector<double> expected(kWidth);
  double squares = 0, of_means = 0;
  for (int64_t i = 0; i < samples_.size(); ++i) {
    const Array array = samples_.call(i)[0].array;
    const auto values = values_of<float>(array);
    for (size_t at = 0; at < values.size(); ++at) {
      expected[at % kWidth] += static_cast<double>(values[at]) / 100;
      squares += std::pow(static_cast<double>(values[at]), 2) / 100;
    }
  }
  for (size_t c = 0; c < kWidth; ++c) {
    EXPECT_NEAR(all[0].means[c], expected[c], 1e-12);
    of_means += expected[c] * expected[c];
  }
  EXPECT_NEAR(all[0].share, of_means / squares, 1e-12);
}

TEST_F(Center, MeansAreTheSameAtAnyNumberOfThreads) {
  network(linear("second", with_offsets("norm", linear("first", x_, kWidth, kWidth, 1), 3), 4, kWidth, 5));
  const std::vector<ChannelMeans> one = means();
  ASSERT_EQ(one.size(), 2U);
  for (const int threads : {2, 5}) {
    const std::vector<ChannelMeans> other = means(threads);
    ASSERT_EQ(other.size(), 2U);
    for (size_t t = 0; t < 2; ++t) {
      EXPECT_EQ(other[t].means, one[t].means) << threads;
      EXPECT_EQ(other[t].share, one[t].share) << threads;
    }
  }
}

TEST_F(Center, OffsetsThatOnlyLayersReadLoseTheMeansInPlace) {
  const auto norm = with_offsets("norm", x_, 1);
  const auto sum =
      std::make_shared<op::Multiply>(linear("query", norm, 4, kWidth, 3), linear("key", norm, 4, kWidth, 5));
  network(sum);
  const PreparedModel result = centered();
  EXPECT_THAT(centered_layers(result), ::testing::UnorderedElementsAre("query", "key"));
  EXPECT_EQ(additions(result), additions(prepared_));
  EXPECT_EQ(input_of(result, 0), "norm/centered");
  EXPECT_EQ(result.layers[0].node->input_value(0), result.layers[1].node->input_value(0));
  prepared_ = result;
  for (const ChannelMeans& tensor : means()) EXPECT_LT(tensor.share, 1e-9);
}

TEST_F(Center, ResidualSumsGetTheMeansBackWhereTheyAddAConstant) {
  const auto norm = with_offsets("norm", x_, 1);
  const auto sum = std::make_shared<op::Add>(linear("layer", norm, kWidth, kWidth, 3), norm);
  network(std::make_shared<op::Tanh>(sum));
  const PreparedModel result = centered();
  EXPECT_THAT(centered_layers(result), ElementsAre("layer"));
  EXPECT_EQ(additions(result), additions(prepared_));
  EXPECT_EQ(input_of(result, 0), "norm/centered");
}

TEST_F(Center, OffsetsWithOtherReadersStayAndAnAdditionStandsBeforeTheLayers) {
  const auto norm = with_offsets("norm", x_, 1);
  const auto layer = linear("layer", norm, kWidth, kWidth, 3);
  for (const NodePtr& sum : {NodePtr(std::make_shared<op::Multiply>(layer, norm)),
                             NodePtr(std::make_shared<op::Add>(std::make_shared<op::Tanh>(layer), norm))}) {
    network(sum);
    const PreparedModel result = centered();
    EXPECT_THAT(centered_layers(result), ElementsAre("layer"));
    EXPECT_EQ(additions(result), additions(prepared_) + 1);
    EXPECT_EQ(input_of(result, 0), "norm/centered");
  }
}

TEST_F(Center, OffsetsThatAreAnOutputOfTheNetworkStay) {
  const auto norm = with_offsets("norm", x_, 1);
  norm->output(0).set_names({"hidden"});
  const auto layer = linear("layer", norm, 4, kWidth, 3);
  layer->output(0).set_names({"output"});
  prepared_ =
      save_and_import(core_, std::make_shared<ov::Model>(ov::OutputVector{layer, norm}, ov::ParameterVector{x_}));
  calls_ = std::make_unique<Calls>(samples_, *prepared_.model);
  const PreparedModel result = centered();
  EXPECT_THAT(centered_layers(result), ElementsAre("layer"));
  EXPECT_THAT(result.model->output(1).get_names(), ElementsAre("hidden"));
}

TEST_F(Center, OneOffsetForAllChannelsBecomesOneForEach) {
  for (const ov::Shape& shape : {ov::Shape{}, ov::Shape{1}, ov::Shape{1, 1, 1}}) {
    const auto norm = named<op::Add>("norm", constant(shape, {3.0F}), scaled(x_, 1));
    network(linear("layer", norm, 4, kWidth, 3));
    const PreparedModel result = centered();
    EXPECT_THAT(centered_layers(result), ElementsAre("layer"));
    EXPECT_EQ(additions(result), additions(prepared_));
  }
}

TEST_F(Center, ALayerWithoutAConstantBehindItGetsAnAddition) {
  const auto norm = with_offsets("norm", x_, 1);
  const auto first = named<op::MatMul>("first", norm, random_constant({kWidth, kWidth}, 3), false, false);
  network(named<op::MatMul>("second", first, random_constant({4, kWidth}, 4), false, true));
  const PreparedModel result = centered();
  EXPECT_THAT(centered_layers(result), ElementsAre("first", "second"));
  // What the first layer gets back is where the second one's input loses its means.
  EXPECT_EQ(input_of(result, 1), "first/restored/centered");
  EXPECT_EQ(additions(result), additions(prepared_) + 2);
}

TEST_F(Center, AnInputOfTheNetworkIsCentredToo) {
  std::vector<std::vector<Array>> calls;
  for (unsigned i = 0; i < 4; ++i) {
    std::vector<float> values = random_values(5 * kWidth, i);
    for (float& value : values) value += 2;
    calls.push_back({floats({1, 5, kWidth}, values)});
  }
  samples_ = VectorSamples({"x"}, std::move(calls));
  network(linear("layer", x_, 4, kWidth, 3));
  const PreparedModel result = centered();
  EXPECT_THAT(centered_layers(result), ElementsAre("layer"));
  EXPECT_EQ(input_of(result, 0), "x/centered");
}

TEST_F(Center, SmallMeansAreLeftAlone) {
  network(linear("layer", x_, 4, kWidth, 3));
  ASSERT_LT(means().at(0).share, kSmallestMeanShare);
  const PreparedModel result = centered(false);
  EXPECT_EQ(result.model, prepared_.model);
  EXPECT_THAT(centered_layers(result), ElementsAre());
}

TEST_F(Center, MeansThatCostTheCodesMuchAreTaken) {
  network(linear("layer", with_offsets("norm", x_, 1), 4, kWidth, 3));
  ASSERT_GT(means().at(0).share, kSmallestMeanShare);
  EXPECT_THAT(centered_layers(centered(false)), ElementsAre("layer"));
}

TEST_F(Center, MeansThatCodesDoBetterWithAreLeftAlone) {
  // Mostly exact zeros, which subtraction would spread.
  const auto few = std::make_shared<op::Relu>(std::make_shared<op::Add>(x_, constant(ov::Shape{}, {-1.5F})));
  const auto values = scaled(few, 1);
  network(linear("layer", values, 4, kWidth, 3));
  ASSERT_GT(means().at(0).share, kSmallestMeanShare);
  EXPECT_THAT(centered_layers(centered(false)), ElementsAre());
}

TEST_F(Center, TensorsThatCannotBeNegativeAreLeftAlone) {
  network(linear("layer", std::make_shared<op::Relu>(with_offsets("norm", x_, 1)), 4, kWidth, 3));
  EXPECT_THAT(means(), ElementsAre());
  EXPECT_EQ(centered().model, prepared_.model);
}

TEST_F(Center, ConvolutionsAndEmbeddingsAreLeftAlone) {
  x_ = parameter("image", {-1, 3, 12, 12});
  const auto offset = std::make_shared<op::Add>(x_, constant(ov::Shape{}, {3.0F}));
  prepared_ = save_and_import(core_, model_of(convolution("conv", offset, {4, 3, 3, 3}, 1), {x_}));
  const VectorSamples images = random_samples("image", 2, {3, 12, 12}, 1);
  const Calls calls(images, *prepared_.model);
  EXPECT_THAT(measure_channel_means(core_, prepared_, calls, {}), ElementsAre());
}

TEST_F(Center, TransformerBlocksComputeTheSame) {
  for (const Norm norm : {Norm::kMvn, Norm::kDecomposed}) {
    const ModelPtr model = transformer_block(norm);
    prepared_ = save_and_import(core_, model);
    const VectorSamples samples = random_samples("tokens", 12, {5, 16}, 1);
    const Calls calls(samples, *prepared_.model);
    CenterOptions all;
    all.always = true;
    const PreparedModel result = center_activations(core_, prepared_, calls, all);
    EXPECT_EQ(centered_layers(result).size(), prepared_.layers.size());
    const std::vector<ov::Tensor> inputs = {random_tensor({2, 7, 16}, 9)};
    expect_near(infer(core_, result.model, inputs), infer(core_, prepared_.model, inputs));
    for (const ChannelMeans& tensor : measure_channel_means(core_, result, calls, {})) EXPECT_LT(tensor.share, 1e-9);
  }
}

}  // namespace
}  // namespace dnateq::testing
