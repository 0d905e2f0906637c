#include "graph/taps.h"

#include <gtest/gtest.h>

#include "graph/test_models.h"

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

TEST_F(Taps, EmptyTensorsPass) { EXPECT_TRUE(through(ov::Tensor(ov::element::f32, {0, 4})).empty()); }

}  // namespace
}  // namespace dnateq::testing
