#include "openvino/taps.h"

#include <gtest/gtest.h>

#include "openvino/test_models.h"

namespace dnateq::testing {
namespace {

class Taps : public ::testing::Test {
 protected:
  Taps() {
    const auto x = parameter("x", {-1, -1});
    request_ = core_
                   .compile_model(model_of(std::make_shared<Tap>(x, state_), {x}), "CPU",
                                  ov::hint::inference_precision(ov::element::f32))
                   .create_infer_request();
  }
  std::vector<float> through(const ov::Tensor& x) {
    request_.set_input_tensor(x);
    request_.infer();
    EXPECT_EQ(request_.get_output_tensor().get_shape(), x.get_shape());
    return floats_of(request_.get_output_tensor());
  }

  std::shared_ptr<TapState> state_ = std::make_shared<TapState>();
  ov::Core core_;
  ov::InferRequest request_;
};

TEST_F(Taps, PassEverythingThroughUntilTheyAreSet) {
  const ov::Tensor x = float_tensor({1, 4}, {1.5F, -2.0F, 0.0F, std::numeric_limits<float>::infinity()});
  EXPECT_EQ(through(x), floats_of(x));
}

TEST_F(Taps, RoundToTheLevelsOfACodeThatIsSetAfterCompiling) {
  TensorCode code = with_level_counts(TensorCode{}, 3);
  code.arithmetic = Arithmetic::kExponential;
  code.base = 1.5;
  code.alpha = 0.4;
  const ov::Tensor x = random_tensor({7, 13}, 1);
  state_->encoder = std::make_shared<Encoder>(code);
  const std::vector<float> in = floats_of(x), out = through(x);
  for (size_t i = 0; i < in.size(); ++i) EXPECT_EQ(out[i], state_->encoder->decode(state_->encoder->encode(in[i])));
  state_->encoder.reset();
  EXPECT_EQ(through(x), in);
}

TEST_F(Taps, AddNoiseOfTheStatedPowerToEachChannel) {
  // Channels a thousandfold apart: noise by the whole tensor's variance would drown the small ones.
  constexpr size_t kRows = 20000, kChannels = 4;
  std::vector<float> in = random_values(kRows * kChannels, 2);
  const float scales[kChannels] = {1.0F, 1000.0F, 0.001F, 1.0F};
  for (size_t i = 0; i < in.size(); ++i) in[i] = in[i] * scales[i % kChannels] + 5.0F * scales[i % kChannels];
  for (const double noise : {0.02, 0.5}) {
    state_->noise = noise;
    state_->seed = 3;
    const std::vector<float> out = through(float_tensor({kRows, kChannels}, in));
    for (size_t c = 0; c < kChannels; ++c) {
      double sum = 0, power = 0, cross = 0;
      for (size_t i = c; i < in.size(); i += kChannels) {
        const double d = (static_cast<double>(out[i]) - static_cast<double>(in[i])) / static_cast<double>(scales[c]);
        sum += d;
        power += d * d;
        cross += d * (static_cast<double>(in[i] / scales[c]) - 5.0);
      }
      EXPECT_NEAR(power / kRows, noise, 0.05 * noise) << c;
      EXPECT_NEAR(sum / kRows, 0.0, 4 * std::sqrt(noise / kRows)) << c;
      EXPECT_NEAR(cross / kRows, 0.0, 4 * std::sqrt(noise / kRows)) << c;
    }
  }
}

TEST_F(Taps, ChannelsOfImagesLieOnTheSecondAxis) {
  const auto image = std::make_shared<TapState>();
  image->channels_last = false;
  image->noise = 0.1;
  const auto x = parameter("x", {-1, 3, -1, -1});
  std::vector<float> in = random_values(2 * 3 * 400, 6);
  for (size_t i = 0; i < in.size(); ++i) in[i] = i / 400 % 3 == 1 ? 7.0F : in[i];  // the middle channel is constant
  const std::vector<float> out =
      infer(core_, model_of(std::make_shared<Tap>(x, image), {x}), {float_tensor({2, 3, 20, 20}, in)});
  size_t unchanged = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    if (i / 400 % 3 == 1) {
      EXPECT_EQ(out[i], in[i]);
    }
    unchanged += out[i] == in[i] ? 1 : 0;
  }
  EXPECT_LT(unchanged, 2 * 400 + 20);
}

TEST_F(Taps, NoiseDependsOnTheSeedAlone) {
  const ov::Tensor x = random_tensor({3, 50}, 4);
  state_->noise = 0.1;
  state_->seed = 5;
  const std::vector<float> first = through(x);
  EXPECT_EQ(through(x), first);
  state_->seed = 6;
  EXPECT_NE(through(x), first);
}

TEST_F(Taps, AConstantTensorGetsNoNoise) {
  state_->noise = 0.1;
  const ov::Tensor x = float_tensor({1, 8}, std::vector<float>(8, 3.0F));
  EXPECT_EQ(through(x), floats_of(x));
}

TEST_F(Taps, EmptyTensorsPass) {
  state_->noise = 0.1;
  EXPECT_TRUE(through(ov::Tensor(ov::element::f32, {0, 4})).empty());
}

}  // namespace
}  // namespace dnateq::testing
