#include <tbb/parallel_for.h>

#include <algorithm>

#include "ops/ops.h"

namespace dnateq::ops {
namespace {

constexpr size_t kBlock = 64;  // channels

void mean_of_block(const float* values, size_t pixels, size_t stride, size_t channels, float* means) {
  double sums[kBlock] = {};
  for (size_t pixel = 0; pixel < pixels; ++pixel, values += stride)
    for (size_t channel = 0; channel < channels; ++channel) sums[channel] += static_cast<double>(values[channel]);
  for (size_t channel = 0; channel < channels; ++channel)
    means[channel] = static_cast<float>(sums[channel] / static_cast<double>(pixels));
}

}  // namespace

ImageMean::ImageMean(const ov::Output<ov::Node>& x) : Op({x}) { constructor_validate_and_infer_types(); }

void ImageMean::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 1, "ImageMean takes a tensor.");
  const ov::element::Type type = get_input_element_type(0);
  OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::f32, "'", get_friendly_name(), "': ImageMean takes f32.");
  const ov::PartialShape& x = get_input_partial_shape(0);
  if (x.rank().is_dynamic()) return set_output_type(0, ov::element::f32, ov::PartialShape::dynamic(2));
  OPENVINO_ASSERT(x.size() >= 3, "'", get_friendly_name(), "': ", x, " is no image.");
  set_output_type(0, ov::element::f32, {x[0], x[x.size() - 1]});
}

std::shared_ptr<ov::Node> ImageMean::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  return std::make_shared<ImageMean>(inputs[0]);
}

bool ImageMean::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const ov::Shape& x = inputs[0].get_shape();
  OPENVINO_ASSERT(x.size() >= 3, "'", get_friendly_name(), "': ", x, " is no image.");
  const size_t images = x[0], channels = x.back();
  outputs[0].set_shape({images, channels});
  if (images * channels == 0) return true;
  const size_t pixels = inputs[0].get_size() / (images * channels);
  const auto* const values = inputs[0].data<const float>();
  auto* const means = outputs[0].data<float>();
  // A channel's sum is one chain of additions, whoever adds.
  const size_t blocks = (channels + kBlock - 1) / kBlock;
  const auto run = [&](size_t piece) {
    const size_t image = piece / blocks, channel = piece % blocks * kBlock;
    mean_of_block(values + image * pixels * channels + channel, pixels, channels, std::min(kBlock, channels - channel),
                  means + image * channels + channel);
  };
  constexpr size_t kWorthSharing = 100'000;  // values: some 20 us
  if (inputs[0].get_size() >= kWorthSharing) {
    tbb::parallel_for(size_t{0}, images * blocks, run);
  } else {
    for (size_t piece = 0; piece < images * blocks; ++piece) run(piece);
  }
  return true;
}

}  // namespace dnateq::ops
