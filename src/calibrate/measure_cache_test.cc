#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "calibrate/measure.h"
#include "core/test_document.h"
#include "core/test_sanitized.h"
#include "data/test_files.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TempFolder;
using testing::with;

// A table, and two layers that read the same tensor.
std::vector<Layer> three_layers() {
  std::vector<Layer> layers(3);
  layers[0].name = "table", layers[1].name = "query", layers[2].name = "key";
  layers[0].kind = LayerKind::kEmbedding;
  return layers;
}

FitResult fit_of(int bits) {
  FitResult fit;
  fit.code = with_level_counts(TensorCode{}, bits);
  fit.code.base = 1.01;
  fit.code.grid = 127;
  fit.relative_error = 0.5 / bits;
  return fit;
}

Measurements sample() {
  Measurements m;
  m.activations.resize(1);
  ActivationMeasurement& a = m.activations[0];
  a.tensor = "hidden";
  a.shape = {1, 7, 8};
  a.values = 56.5;
  a.layers = 2;
  a.histogram.add(std::vector<float>{-1.5F, 0.0F, 2.0F});
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) a.fits[static_cast<size_t>(bits)] = fit_of(bits);
  a.uniform8 = fit_of(8);
  a.sensitivity = 0.25;
  m.layers.resize(3);
  m.layers[1].activation = m.layers[2].activation = 0;
  m.layers[1].residual_limit = 1.5F;
  m.layers[1].weights.relative_error[3] = 0.125;
  m.layers[2].weights.divergence[5] = 1e-6;
  m.has_sensitivities = true;
  return m;
}

class MeasureCache : public ::testing::Test {
 protected:
  MeasureCache() {
    save_measurements(sample(), "key", file_);
    std::ifstream stream(file_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(stream), {});
    whole_ = parse_cbor(bytes_, {"file", "remedy"});
  }

  Measurements read(const Document& document) const {
    const std::vector<uint8_t> cbor = Document::to_cbor(document);
    return read_measurements({reinterpret_cast<const char*>(cbor.data()), cbor.size()}, "key", layers_,
                             "measurements.cbor");
  }
  void refused(const std::string& path, const Document& value, const std::string& why) const {
    EXPECT_THAT(error_of([&] { read(with(whole_, path, value)); }),
                AllOf(HasSubstr("measurements.cbor"), HasSubstr(why),
                      HasSubstr("delete it, and the calibration data are measured again")))
        << path;
  }

  const TempFolder folder_;
  const std::filesystem::path file_ = folder_ / "measurements.cbor";
  const std::vector<Layer> layers_ = three_layers();
  std::string bytes_;
  Document whole_;
};

// As of language models, whose weights alone get codes.
TEST_F(MeasureCache, KeepsActivationsWithoutFits) {
  Measurements without = sample();
  without.activations[0].fits = {};
  without.activations[0].uniform8 = {};
  save_measurements(without, "key", file_);
  const std::optional<Measurements> loaded = load_measurements("key", layers_, file_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->activations.at(0).values, 56.5);
  EXPECT_EQ(loaded->activations.at(0).sensitivity, 0.25);
  EXPECT_EQ(loaded->layers.at(1).weights.relative_error[3], 0.125);
  EXPECT_TRUE(loaded->has_sensitivities);
}

TEST_F(MeasureCache, ComesBackWithEveryField) {
  const Measurements expected = sample(), m = read(whole_);
  ASSERT_EQ(m.activations.size(), 1U);
  EXPECT_EQ(m.activations[0].tensor, "hidden");
  EXPECT_FALSE(m.activations[0].non_negative);
  EXPECT_EQ(m.activations[0].shape, expected.activations[0].shape);
  EXPECT_EQ(m.activations[0].values, 56.5);
  EXPECT_EQ(m.activations[0].layers, 2);
  EXPECT_EQ(m.activations[0].histogram.count(), 3U);
  for (size_t bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
    EXPECT_EQ(m.activations[0].fits[bits].code, expected.activations[0].fits[bits].code);
    EXPECT_EQ(m.activations[0].fits[bits].relative_error, expected.activations[0].fits[bits].relative_error);
  }
  EXPECT_EQ(m.activations[0].uniform8.code, expected.activations[0].uniform8.code);
  EXPECT_EQ(m.activations[0].sensitivity, 0.25);
  ASSERT_EQ(m.layers.size(), 3U);
  for (size_t l = 0; l < 3; ++l) {
    EXPECT_EQ(m.layers[l].activation, expected.layers[l].activation);
    EXPECT_EQ(m.layers[l].residual_limit, expected.layers[l].residual_limit);
    EXPECT_EQ(m.layers[l].weights.relative_error, expected.layers[l].weights.relative_error);
    EXPECT_EQ(m.layers[l].weights.divergence, expected.layers[l].weights.divergence);
  }
  EXPECT_TRUE(m.has_sensitivities);
}

TEST_F(MeasureCache, OfAnotherRunIsRefused) {
  refused("/key", "other", "'key'");
  refused("/version", 4, "'version'");
  EXPECT_FALSE(load_measurements("other", layers_, file_).has_value());
  EXPECT_TRUE(load_measurements("key", layers_, file_).has_value());
  EXPECT_FALSE(load_measurements("key", {}, file_).has_value());
  EXPECT_FALSE(load_measurements("key", layers_, folder_ / "missing").has_value());
}

TEST_F(MeasureCache, EveryIndexIsOneOfTheNetworks) {
  refused("/activation_of_layer/1", 1, "'activation_of_layer' must hold indices of 'activations'");
  refused("/activation_of_layer/1", -2, "'activation_of_layer'");
  refused("/activation_of_layer/1", -1, "layer 'query'");
  refused("/activation_of_layer/0", 0, "layer 'table'");
  refused("/activation_of_layer", {-1, 0}, "each of 3 layers");
  refused("/weights", Document::array(), "'weights'");
  refused("/summand_limit", {0, 0, 0, 0}, "'summand_limit'");
  refused("/activations/0/layers", 3, "'layers' of tensor 'hidden'");
  refused("/activations", Document::array({{}, {}, {}, {}}), "'activations'");
}

TEST_F(MeasureCache, EveryNumberIsOneThatCanBeMeasured) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refused("/activations/0/fits/1/code/family", 7, "'family'");
  refused("/activations/0/fits/1/code/arithmetic", "int9", "arithmetic");
  refused("/activations/0/fits/1/code/rounding", "up", "rounding");
  refused("/activations/0/fits/1/code/stored_bits", 4, "fit 2 of the list: 'code' must have 3 bits");
  refused("/activations/0/fits/1/code/base", 0.5, "base");
  refused("/activations/0/fits/1/relative_error", -1, "'relative_error'");
  refused("/activations/0/fits", Document::array({{}}), "'fits'");
  refused("/activations/0/uniform8", whole_.at("activations").at(0).at("fits").at(5), "must have 8 bits");
  refused("/activations/0/histogram/keys/0", 1 << 16, "'keys'");
  refused("/activations/0/shape/0", -1, "'shape'");
  refused("/activations/0/values", 1e300, "'values'");
  refused("/activations/0/sensitivity", nan, "'sensitivity'");
  refused("/weights/1/relative_error/3", nan, "layer 2 of the list: 'relative_error'");
  refused("/weights/1/divergence", {1, 2}, "'divergence' must hold 9 numbers");
  refused("/summand_limit/1", -1, "'summand_limit'");
  refused("/summand_limit/1", 1e39, "'summand_limit'");
  refused("/has_sensitivities", 1, "'has_sensitivities'");
  testing::survives_every_value(whole_, [&](const Document& document) { read(document); }, {"exponent_bits"});
}

TEST_F(MeasureCache, DamagedBytesAreNothingOrWhole) {
  for (size_t length = 0; length < bytes_.size(); length += testing::kSanitized ? 29 : 7) {
    folder_.write("measurements.cbor", bytes_.substr(0, length));
    EXPECT_FALSE(load_measurements("key", layers_, file_).has_value()) << length;
  }
  for (size_t at = 0; at < bytes_.size(); at += testing::kSanitized ? 5 : 1) {
    std::string damaged = bytes_;
    damaged[at] = static_cast<char>(damaged[at] ^ '\x41');
    folder_.write("measurements.cbor", damaged);
    const std::optional<Measurements> loaded = load_measurements("key", layers_, file_);
    EXPECT_TRUE(!loaded || loaded->layers.size() == 3) << at;
  }
}

}  // namespace
}  // namespace dnateq
