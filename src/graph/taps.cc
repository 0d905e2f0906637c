#include "graph/taps.h"

#include <cstring>

namespace dnateq {
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
  else
    std::memcpy(out, in, count * sizeof(float));
  return true;
}

}  // namespace dnateq
