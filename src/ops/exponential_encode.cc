#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "kernels/encoder.h"
#include "ops/blob_input.h"
#include "ops/level_code.h"
#include "ops/ops.h"

namespace dnateq::ops {

struct ExponentialEncode::Prepared {
  kernels::ActivationEncoder encoder;
};

namespace {

constexpr size_t kPixels = 64;  // that are turned at once

// Pixels [begin, end) of channels x pixels floats, to pixels x channels levels.
void encode_turned(const kernels::ActivationEncoder& encoder, const float* x, size_t channels, size_t pixels,
                   size_t begin, size_t end, uint8_t* levels) {
  constexpr size_t kChannels = 64;
  uint8_t block[kChannels * kPixels];
  for (size_t pixel = begin; pixel < end; pixel += kPixels)
    for (size_t channel = 0; channel < channels; channel += kChannels) {
      const size_t rows = std::min(kChannels, channels - channel), columns = std::min(kPixels, end - pixel);
      encoder.encode({x + channel * pixels + pixel, pixels, rows, columns, block, kPixels, nullptr});
      uint8_t* to = levels + pixel * channels + channel;
      for (size_t column = 0; column < columns; ++column, to += channels)
        for (size_t row = 0; row < rows; ++row) to[row] = block[row * kPixels + column];
    }
}

}  // namespace

ExponentialEncode::ExponentialEncode(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& blob,
                                     bool from_channels_first)
    : Op({x, blob}), from_channels_first_(from_channels_first) {
  constructor_validate_and_infer_types();
}

bool ExponentialEncode::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("from_channels_first", from_channels_first_);
  return true;
}

void ExponentialEncode::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 2, "ExponentialEncode takes a tensor and a blob.");
  OPENVINO_ASSERT(get_input_element_type(0).is_dynamic() || get_input_element_type(0) == ov::element::f32, "'",
                  get_friendly_name(), "': ExponentialEncode takes f32.");
  if (const auto header = check_blob_input(*this, 1, false, verified_)) type_ = level_type(*this, header->code);
  ov::PartialShape shape = get_input_partial_shape(0);
  if (from_channels_first_ && shape.rank().is_static()) {
    OPENVINO_ASSERT(shape.size() == 3 || shape.size() == 4, "'", get_friendly_name(), "': ", shape, " is no image.");
    std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  }
  set_output_type(0, type_, shape);
}

std::shared_ptr<ov::Node> ExponentialEncode::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<ExponentialEncode>();
  clone->from_channels_first_ = from_channels_first_;
  clone->verified_ = verified_;
  clone->type_ = type_;
  clone->set_arguments(inputs);
  clone->constructor_validate_and_infer_types();
  return clone;
}

bool ExponentialEncode::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  std::call_once(once_, [&] {
    prepared_ =
        std::make_shared<Prepared>(Prepared{level_encoder(*this, read_blob_tensor(*this, inputs[1], false).code)});
  });
  const kernels::ActivationEncoder& encoder = prepared_->encoder;
  ov::Shape shape = inputs[0].get_shape();
  const auto* x = inputs[0].data<const float>();
  constexpr size_t kGrain = 16384;  // about 3 us of work, above the cost of a task
  if (!from_channels_first_) {
    outputs[0].set_shape(shape);
    auto* const levels = static_cast<uint8_t*>(outputs[0].data());
    tbb::parallel_for(tbb::blocked_range<size_t>(0, inputs[0].get_size(), kGrain), [&](const auto& range) {
      encoder.encode({x + range.begin(), range.size(), 1, range.size(), levels + range.begin(), range.size(), nullptr});
    });
    return true;
  }
  OPENVINO_ASSERT(shape.size() == 3 || shape.size() == 4, "'", get_friendly_name(), "': ", shape, " is no image.");
  const size_t images = shape[0], channels = shape[1],
               pixels = ov::shape_size(shape) / std::max<size_t>(1, images * channels);
  std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  outputs[0].set_shape(shape);
  auto* const levels = static_cast<uint8_t*>(outputs[0].data());
  const size_t strips = (pixels + kPixels - 1) / kPixels,
               grain = std::max<size_t>(1, kGrain / (kPixels * std::max<size_t>(1, channels)));
  tbb::parallel_for(tbb::blocked_range<size_t>(0, images * strips, grain), [&](const auto& range) {
    for (size_t i = range.begin(); i != range.end(); ++i) {
      const size_t begin = i % strips * kPixels, offset = i / strips * channels * pixels;
      encode_turned(encoder, x + offset, channels, pixels, begin, std::min(begin + kPixels, pixels), levels + offset);
    }
  });
  return true;
}

}  // namespace dnateq::ops
