#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>

#include "ops/blob_input.h"
#include "ops/ops.h"

namespace dnateq::ops {

struct ExponentialQuantize::Prepared {
  Encoder encoder;
  std::vector<float> levels;  // as stored in the blob

  void quantize(const float* values, float* out, size_t count) const {
    std::array<uint8_t, 1024> codes;
    while (count > 0) {
      const size_t block = std::min(count, codes.size());
      encoder.encode(std::span(values, block), std::span(codes).first(block));
      for (size_t i = 0; i < block; ++i) out[i] = levels[codes[i]];
      values += block, out += block, count -= block;
    }
  }
};

ExponentialQuantize::ExponentialQuantize(const ov::Output<ov::Node>& values, const ov::Output<ov::Node>& blob)
    : Op({values, blob}) {
  constructor_validate_and_infer_types();
}

void ExponentialQuantize::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 2, "ExponentialQuantize takes a tensor and a blob.");
  OPENVINO_ASSERT(get_input_element_type(0).is_dynamic() || get_input_element_type(0) == ov::element::f32, "'",
                  get_friendly_name(), "': ExponentialQuantize takes f32.");
  check_blob_input(*this, 1, false, verified_);
  set_output_type(0, ov::element::f32, get_input_partial_shape(0));
}

std::shared_ptr<ov::Node> ExponentialQuantize::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<ExponentialQuantize>();
  clone->verified_ = verified_;
  clone->set_arguments(inputs);
  clone->constructor_validate_and_infer_types();
  return clone;
}

bool ExponentialQuantize::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  std::call_once(once_, [&] {
    const Blob blob = read_blob_tensor(*this, inputs[1], false);
    auto prepared = std::make_shared<Prepared>();
    prepared->encoder = Encoder(blob.code);
    prepared->levels = blob.levels;
    prepared_ = std::move(prepared);
  });
  outputs[0].set_shape(inputs[0].get_shape());
  const auto* values = static_cast<const float*>(inputs[0].data());
  auto* out = static_cast<float*>(outputs[0].data());
  constexpr size_t kGrain = 16384;  // about 10 us of work, well above the cost of a task
  tbb::parallel_for(tbb::blocked_range<size_t>(0, inputs[0].get_size(), kGrain), [&](const auto& range) {
    prepared_->quantize(values + range.begin(), out + range.begin(), range.size());
  });
  return true;
}

}  // namespace dnateq::ops
