#include "openvino/taps.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace dnateq {
namespace {

// Counter-based generator (splitmix64): the noise of element i does not depend on who computes it.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// Sum of four uniforms: near enough to a normal value of variance 1, and cheap.
float noise_at(uint64_t seed, uint64_t index) {
  const uint64_t bits = mix(seed + index);
  const auto sum =
      static_cast<float>((bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48));
  return (sum / 65536.0F - 2.0F) * 1.7320508F;
}

void add_noise(const ov::Tensor& input, float* out, const TapState& state) {
  const float* in = input.data<float>();
  const ov::Shape& shape = input.get_shape();
  const size_t count = input.get_size(), axis = state.channels_last || shape.size() < 2 ? shape.size() - 1 : 1;
  const size_t channels = shape[axis];
  size_t stride = 1;  // between neighbouring channels
  for (size_t i = axis + 1; i < shape.size(); ++i) stride *= shape[i];
  std::vector<double> sum(channels), squares(channels);
  for (size_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(in[i]);
    const size_t channel = i / stride % channels;
    sum[channel] += value;
    squares[channel] += value * value;
  }
  const auto per_channel = static_cast<double>(count / channels);
  std::vector<float> sigma(channels);
  for (size_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / per_channel;
    sigma[c] = static_cast<float>(std::sqrt(std::max(0.0, (squares[c] / per_channel - mean * mean) * state.noise)));
  }
  for (size_t i = 0; i < count; ++i) out[i] = in[i] + sigma[i / stride % channels] * noise_at(state.seed, i);
}

}  // namespace

Tap::Tap(const ov::Output<ov::Node>& input, std::shared_ptr<TapState> state) : Op({input}), state_(std::move(state)) {
  constructor_validate_and_infer_types();
}

void Tap::validate_and_infer_types() { set_output_type(0, get_input_element_type(0), get_input_partial_shape(0)); }

std::shared_ptr<ov::Node> Tap::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Tap>(inputs.at(0), state_);
}

bool Tap::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  outputs[0].set_shape(inputs[0].get_shape());
  const size_t count = inputs[0].get_size();
  const float* in = inputs[0].data<float>();
  float* out = outputs[0].data<float>();
  if (state_->encoder)
    state_->encoder->quantize({in, count}, {out, count});
  else if (state_->noise > 0 && count > 0)
    add_noise(inputs[0], out, *state_);
  else
    std::memcpy(out, in, count * sizeof(float));
  return true;
}

}  // namespace dnateq
