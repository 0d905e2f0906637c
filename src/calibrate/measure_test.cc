#include "calibrate/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;

class Measure : public ::testing::Test {
 protected:
  Measure()
      : prepared_(save_and_import(core_, residual_cnn())),
        samples_(random_samples("image", 20, {3, 12, 12}, 1)),
        calls_(samples_, *prepared_.model) {}

  Measurements measured(const MeasureOptions& options) { return measure(core_, prepared_, calls_, options); }
  // Of the fixture's own network: measured once for all tests.
  const Measurements& measured() {
    static const Measurements known = measured(MeasureOptions{});
    return known;
  }
  size_t layer(const std::string& name) const {
    for (size_t l = 0; l < prepared_.layers.size(); ++l)
      if (prepared_.layers[l].name == name) return l;
    throw Error("no layer " + name);
  }
  const ActivationMeasurement& entering(const Measurements& m, const std::string& name) const {
    return *m.entering(layer(name));
  }

  ov::Core core_;
  PreparedModel prepared_;
  VectorSamples samples_;
  Calls calls_;
};

TEST_F(Measure, SeesEveryTensorThatEntersALayerOnce) {
  const Measurements& m = measured();
  ASSERT_EQ(m.layers.size(), 7U);
  EXPECT_EQ(m.activations.size(), 6U);
  EXPECT_EQ(m.layers[layer("block2/a")].activation, m.layers[layer("block2/skip")].activation);
  EXPECT_EQ(entering(m, "block2/a").layers, 2);
  EXPECT_EQ(entering(m, "stem").layers, 1);
  EXPECT_EQ(entering(m, "stem").tensor, "image");
}

TEST_F(Measure, KnowsHowLargeOperandsOfResidualSumsBecome) {
  const Measurements& m = measured();
  for (const char* name : {"stem", "block1/a", "block2/a", "block2/skip", "classifier"})
    EXPECT_EQ(m.layers[layer(name)].residual_limit, 0) << name;
  const auto branch = prepared_.layers[layer("block1/b")].node;
  const auto alone = std::make_shared<ov::Model>(branch->outputs(), prepared_.model->get_parameters());
  float largest = 0;
  for (size_t c = 0; c < calls_.size(); ++c)
    for (const float value : infer(core_, alone, calls_.tensors(c))) largest = std::max(largest, std::fabs(value));
  EXPECT_NEAR(m.layers[layer("block1/b")].residual_limit, largest, 1e-4F * largest);
}

TEST_F(Measure, HistogramsHoldEveryValueOfEverySample) {
  const Measurements& m = measured();
  const ActivationMeasurement& image = entering(m, "stem");
  EXPECT_EQ(image.values, 3 * 12 * 12);
  EXPECT_EQ(image.histogram.count(), 20U * 3 * 12 * 12);
  EXPECT_EQ(image.shape, (std::vector<int64_t>{1, 3, 12, 12}));
  Histogram expected;
  for (int64_t i = 0; i < 20; ++i) expected.add(values_of<float>(samples_.call(i)[0].array));
  ASSERT_EQ(image.histogram.bins().size(), expected.bins().size());
  for (size_t i = 0; i < expected.bins().size(); ++i)
    EXPECT_EQ(image.histogram.bins()[i].count, expected.bins()[i].count);
  EXPECT_EQ(entering(m, "classifier").values, 12);
  EXPECT_EQ(entering(m, "block2/b").values, 12 * 6 * 6);
}

TEST_F(Measure, ReluOutputsCannotBeNegativeByStructureAndImagesCan) {
  const Measurements& m = measured();
  EXPECT_FALSE(entering(m, "stem").non_negative);
  for (const char* name : {"block1/a", "block1/b", "block2/skip", "classifier"})
    EXPECT_TRUE(entering(m, name).non_negative) << name;
  for (const ActivationMeasurement& activation : m.activations)
    for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
      const FitResult& fit = activation.fits[static_cast<size_t>(bits)];
      EXPECT_EQ(fit.code.stored_bits, bits);
      EXPECT_EQ(fit.code.negative_levels == 0, activation.non_negative) << activation.tensor;
      EXPECT_NO_THROW(validate(fit.code, activation.tensor));
      if (bits > kMinStoredBits) {
        EXPECT_LT(fit.relative_error, activation.fits[static_cast<size_t>(bits - 1)].relative_error);
      }
    }
}

TEST_F(Measure, TheSameAtAnyNumberOfThreads) {
  MeasureOptions two;
  two.threads = 2;
  const Measurements& one = measured();
  const Measurements other = measured(two);
  for (size_t a = 0; a < one.activations.size(); ++a) {
    EXPECT_EQ(one.activations[a].sensitivity, other.activations[a].sensitivity);
    EXPECT_EQ(one.activations[a].fits[4].code, other.activations[a].fits[4].code);
  }
  for (size_t l = 0; l < one.layers.size(); ++l)
    EXPECT_EQ(one.layers[l].weights.divergence, other.layers[l].weights.divergence);
}

TEST_F(Measure, SensitivitiesArePositiveForEveryMetric) {
  const auto check = [](const Measurements& m) {
    EXPECT_TRUE(m.has_sensitivities);
    for (const ActivationMeasurement& activation : m.activations)
      EXPECT_GT(activation.sensitivity, 0) << activation.tensor;
    for (const LayerMeasurement& measurement : m.layers)
      for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
        EXPECT_GT(measurement.weights.divergence[static_cast<size_t>(bits)], 0);
  };
  check(measured());  // KL
  MeasureOptions options;
  options.uniform = true;  // quick to fit
  options.metric = Metric::kCosine;
  check(measured(options));
  options.all_outputs = true;
  check(measured(options));
}

TEST_F(Measure, ALouderPathIsMoreSensitive) {
  // Two branches of one shape, the second a hundred times smaller where they meet.
  const auto x = parameter("image", {-1, 3, 12, 12});
  const auto quiet = std::make_shared<op::Multiply>(
      std::make_shared<op::Relu>(convolution("quiet", x, {4, 3, 3, 3}, 1)), constant(ov::Shape{}, {0.01F}));
  const auto loud = std::make_shared<op::Relu>(convolution("loud", x, {4, 3, 3, 3}, 2));
  prepared_ = save_and_import(core_, model_of(std::make_shared<op::Add>(quiet, loud), {x}));
  MeasureOptions options;
  options.metric = Metric::kCosine;
  const Measurements m = measured(options);
  EXPECT_GT(m.layers[layer("loud")].weights.divergence[3], 100 * m.layers[layer("quiet")].weights.divergence[3]);
}

TEST_F(Measure, DivergenceFollowsTheErrorsShapeBetweenAndBeyondTheMeasuredWidths) {
  WeightMeasurement m;
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    m.relative_error[static_cast<size_t>(bits)] = std::pow(4.0, -bits);
  m.divergence[3] = 64;
  m.divergence[5] = 1;  // as the error to the power 1.5
  complete_divergence(m);
  EXPECT_NEAR(m.divergence[2], 512, 1e-9);
  EXPECT_NEAR(m.divergence[3], 64, 1e-9);
  EXPECT_NEAR(m.divergence[4], 8, 1e-9);
  EXPECT_NEAR(m.divergence[5], 1, 1e-9);
  EXPECT_NEAR(m.divergence[6], 0.25, 1e-9);
  EXPECT_NEAR(m.divergence[7], 0.0625, 1e-9);
  WeightMeasurement harmless;
  harmless.relative_error = m.relative_error;
  complete_divergence(harmless);
  EXPECT_THAT(harmless.divergence, ::testing::Each(0));
}

TEST_F(Measure, WeightErrorsFallWithTheBits) {
  for (const LayerMeasurement& measurement : measured().layers)
    for (int bits = kMinStoredBits + 1; bits <= kMaxStoredBits; ++bits)
      EXPECT_LT(measurement.weights.relative_error[static_cast<size_t>(bits)],
                measurement.weights.relative_error[static_cast<size_t>(bits - 1)]);
}

TEST_F(Measure, SensitivitiesCanBeLeftOut) {
  MeasureOptions options;
  options.sensitivities = false;
  options.uniform = true;
  const Measurements m = measured(options);
  EXPECT_FALSE(m.has_sensitivities);
  for (const LayerMeasurement& measurement : m.layers) EXPECT_THAT(measurement.weights.divergence, ::testing::Each(0));
}

TEST_F(Measure, UniformGridsAreNeverBetterThanTheCurves) {
  MeasureOptions options;
  options.sensitivities = false;
  const Measurements& curves = measured();
  options.uniform = true;
  const Measurements uniform = measured(options);
  for (size_t a = 0; a < curves.activations.size(); ++a) {
    if (!curves.activations[a].non_negative) continue;  // levels may be split between the signs in another way
    EXPECT_LE(curves.activations[a].fits[4].relative_error, uniform.activations[a].fits[4].relative_error);
  }
  for (size_t l = 0; l < curves.layers.size(); ++l)
    EXPECT_LE(curves.layers[l].weights.relative_error[3], uniform.layers[l].weights.relative_error[3]);
}

TEST_F(Measure, HistogramsAloneAreThoseOfTheWholeMeasurement) {
  const Measurements& whole = measured();
  const ActivationHistograms alone = measure_activations(core_, prepared_, calls_, 2, {});
  ASSERT_EQ(alone.of_layer.size(), whole.layers.size());
  for (size_t l = 0; l < whole.layers.size(); ++l) EXPECT_EQ(alone.of_layer[l], whole.layers[l].activation);
  ASSERT_EQ(alone.tensors.size(), whole.activations.size());
  for (size_t a = 0; a < alone.tensors.size(); ++a) {
    EXPECT_EQ(alone.tensors[a].histogram.count(), whole.activations[a].histogram.count());
    EXPECT_EQ(alone.tensors[a].histogram.maximum(), whole.activations[a].histogram.maximum());
  }
}

TEST_F(Measure, AWholeNetworkThatOnlyReadsItsInputIsMeasured) {
  const auto x = parameter("image", {-1, 3, 12, 12});
  prepared_ = save_and_import(core_, model_of(convolution("only", x, {4, 3, 3, 3}, 1), {x}));
  const Measurements m = measured(MeasureOptions{});
  ASSERT_EQ(m.activations.size(), 1U);
  EXPECT_EQ(m.activations[0].histogram.count(), 20U * 3 * 12 * 12);
  EXPECT_EQ(m.activations[0].values, 3 * 12 * 12);
}

TEST_F(Measure, TensorsThatBecomeInfiniteAreNamed) {
  const auto x = parameter("image", {-1, 3, 12, 12});
  const auto exploded = named<op::Exp>("exploded", std::make_shared<op::Multiply>(x, constant(ov::Shape{}, {1000.0F})));
  prepared_ = save_and_import(core_, model_of(convolution("conv", exploded, {4, 3, 3, 3}, 1), {x}));
  EXPECT_THAT(error_of([&] { measured(MeasureOptions{}); }), HasSubstr("tensor 'exploded'"));
}

TEST_F(Measure, SurvivesTheCacheWithEveryField) {
  const TempFolder folder;
  const Measurements& m = measured();
  save_measurements(m, "key", folder / "measurements");
  const std::optional<Measurements> loaded = load_measurements("key", prepared_.layers, folder / "measurements");
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->has_sensitivities, m.has_sensitivities);
  ASSERT_EQ(loaded->activations.size(), m.activations.size());
  for (size_t a = 0; a < m.activations.size(); ++a) {
    const ActivationMeasurement &got = loaded->activations[a], &expected = m.activations[a];
    EXPECT_EQ(got.tensor, expected.tensor);
    EXPECT_EQ(got.non_negative, expected.non_negative);
    EXPECT_EQ(got.shape, expected.shape);
    EXPECT_EQ(got.values, expected.values);
    EXPECT_EQ(got.layers, expected.layers);
    EXPECT_EQ(got.sensitivity, expected.sensitivity);
    EXPECT_EQ(got.uniform8.code, expected.uniform8.code);
    EXPECT_EQ(got.histogram.count(), expected.histogram.count());
    EXPECT_EQ(got.histogram.zeros(), expected.histogram.zeros());
    EXPECT_EQ(got.histogram.minimum(), expected.histogram.minimum());
    EXPECT_EQ(got.histogram.maximum(), expected.histogram.maximum());
    for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
      EXPECT_EQ(got.fits[static_cast<size_t>(bits)].code, expected.fits[static_cast<size_t>(bits)].code);
      EXPECT_EQ(got.fits[static_cast<size_t>(bits)].relative_error,
                expected.fits[static_cast<size_t>(bits)].relative_error);
    }
  }
  ASSERT_EQ(loaded->layers.size(), m.layers.size());
  for (size_t l = 0; l < m.layers.size(); ++l) {
    const LayerMeasurement &got = loaded->layers[l], &expected = m.layers[l];
    EXPECT_EQ(got.activation, expected.activation);
    EXPECT_EQ(got.residual_limit, expected.residual_limit);
    EXPECT_EQ(got.weights.relative_error, expected.weights.relative_error);
    EXPECT_EQ(got.weights.divergence, expected.weights.divergence);
  }
}

TEST_F(Measure, AllocationItemsStateTheFilesBitsAndPredictedDivergence) {
  ImportOptions ignore;
  ignore.ignore = {"stem"};
  prepared_ = save_and_import(core_, residual_cnn(), ignore);
  const Measurements m = measured(MeasureOptions{});
  const auto bytes = [](const Layer& l, int bits) { return l.rows * l.columns * bits / 8 + 100; };
  const AllocationItems items = allocation_items(prepared_, m, false, bytes);
  EXPECT_EQ(items.fp32_values, 8 * 27);
  ASSERT_EQ(items.items.size(), prepared_.layers.size() + m.activations.size());
  for (size_t l = 0; l < prepared_.layers.size(); ++l) {
    const Allocatable& item = items.items.at(items.of_weights.at(l).value());
    EXPECT_TRUE(item.is_weights);
    EXPECT_EQ(item.values, static_cast<double>(prepared_.layers[l].rows * prepared_.layers[l].columns));
    EXPECT_NEAR(item.bits_in_all(4), 8.0 * static_cast<double>(bytes(prepared_.layers[l], 4)), 1e-6);
    EXPECT_EQ(item.divergence[3], m.layers[l].weights.divergence[3]);
  }
  for (size_t a = 0; a < m.activations.size(); ++a) {
    const Allocatable& item = items.items.at(items.of_activations.at(a).value());
    EXPECT_FALSE(item.is_weights);
    EXPECT_EQ(item.values, m.activations[a].values * m.activations[a].layers);
    EXPECT_DOUBLE_EQ(item.divergence[3], m.activations[a].sensitivity * m.activations[a].fits[3].relative_error);
  }
  const AllocationItems weights = allocation_items(prepared_, m, true, bytes);
  EXPECT_EQ(weights.items.size(), prepared_.layers.size());
  EXPECT_THAT(weights.of_activations, ::testing::Each(std::nullopt));
}

TEST_F(Measure, TiedWeightsAreOneItemWithBothSensitivities) {
  const auto x = parameter("image", {-1, 8});
  const auto weights = random_constant({8, 8}, 1);
  const auto first = std::make_shared<op::Relu>(named<op::MatMul>("first", x, weights, false, true));
  prepared_ = save_and_import(core_, model_of(named<op::MatMul>("second", first, weights, false, true), {x}));
  ASSERT_EQ(prepared_.layers.at(1).shares_weights_with, 0);
  const VectorSamples rows = random_samples("image", 20, {8}, 1);
  const Calls calls(rows, *prepared_.model);
  const Measurements m = measure(core_, prepared_, calls, {});
  const AllocationItems items = allocation_items(prepared_, m, false, [](const Layer&, int) { return 100; });
  EXPECT_EQ(items.items.size(), 3U);
  EXPECT_EQ(items.of_weights, (std::vector<std::optional<size_t>>{0, std::nullopt}));
  EXPECT_DOUBLE_EQ(items.items[0].divergence[4], m.layers[0].weights.divergence[4] + m.layers[1].weights.divergence[4]);
}

}  // namespace
}  // namespace dnateq::testing
