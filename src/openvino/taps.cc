#include "openvino/taps.h"

#include <cstring>

namespace dnateq {
namespace {

void add_offset(const ov::Tensor& input, float* out, const TapState& state) {
  const float* in = input.data<float>();
  const ov::Shape& shape = input.get_shape();
  const size_t axis = state.channels_last || shape.size() < 2 ? shape.size() - 1 : 1;
  size_t stride = 1;  // between neighbouring channels
  for (size_t i = axis + 1; i < shape.size(); ++i) stride *= shape[i];
  for (size_t i = 0; i < input.get_size(); ++i) out[i] = in[i] + state.offset[i / stride % state.offset.size()];
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
  else if (!state_->offset.empty())
    add_offset(inputs[0], out, *state_);
  else
    std::memcpy(out, in, count * sizeof(float));
  return true;
}

}  // namespace dnateq
