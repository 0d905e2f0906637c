#include "ops/counting_layer.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "core/pack.h"
#include "kernels/counting_layer.h"
#include "ops/blob_input.h"
#include "ops/layer_shape.h"
#include "ops/level_windows.h"

namespace dnateq::ops {
namespace {

enum CountingPort : size_t { kCountedX, kCountedWeights, kCountedCode };

// Codes of images, channels last; of other tensors as they lie.
std::vector<uint8_t> encoded(const Encoder& encoder, const float* x, size_t images, size_t channels, size_t pixels) {
  std::vector<uint8_t> codes(images * channels * pixels);
  constexpr size_t kStrip = 256;  // values
  const size_t strips = (pixels + kStrip - 1) / kStrip;
  tbb::parallel_for(size_t{0}, images * strips, [&](size_t piece) {
    const size_t image = piece / strips, begin = piece % strips * kStrip, end = std::min(begin + kStrip, pixels);
    uint8_t strip[kStrip];
    for (size_t channel = 0; channel < channels; ++channel) {
      encoder.encode({x + (image * channels + channel) * pixels + begin, end - begin}, {strip, end - begin});
      uint8_t* to = codes.data() + (image * pixels + begin) * channels + channel;
      for (size_t i = 0; i < end - begin; ++i) to[i * channels] = strip[i];
    }
  });
  return codes;
}

}  // namespace

struct CountingLayer::Prepared {
  std::once_flag once;
  std::optional<kernels::CountingWeights> weights;
  std::vector<float> gamma;
  Encoder encoder;
  kernels::ConvolutionShape window;  // but for batch, height and width
  VerifiedHeader headers[2]{};       // of the blobs it was made of, CRCs included
};

CountingLayer::CountingLayer() : prepared_(std::make_shared<Prepared>()) {}

void CountingLayer::copy_to(CountingLayer& clone, const ov::OutputVector& inputs) const {
  clone.prepared_ = prepared_;  // made once, however often the graph is copied; evaluate() compares the headers
  clone.verified_ = verified_;
  clone.weight_shape_ = weight_shape_, clone.channels_ = channels_, clone.inputs_ = inputs_;
  clone.set_arguments(inputs);
  clone.constructor_validate_and_infer_types();
}

ov::PartialShape CountingLayer::output_shape(const ov::PartialShape& x) const {
  const ov::Dimension channels = channels_ < 0 ? ov::Dimension::dynamic() : ov::Dimension(channels_);
  ov::PartialShape shape = x;
  if (windows() == nullptr) {
    if (shape.rank().is_static()) shape[shape.size() - 1] = channels;
    return shape;
  }
  check_windows(*this, *windows());
  const size_t axes = windows()->strides.size();
  const int64_t* kernel = weight_shape_.size() < axes ? nullptr : weight_shape_.data() + (weight_shape_.size() - axes);
  if (shape.rank().is_static() && shape.size() > 2) std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  shape = windows_shape(*this, shape, *windows(), kernel, channels);
  std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
  return shape;
}

void CountingLayer::validate_and_infer_types() {
  const std::string& name = get_friendly_name();
  OPENVINO_ASSERT(get_input_size() == 3, get_type_name(), " takes a tensor, weights and a code.");
  OPENVINO_ASSERT(
      get_input_element_type(kCountedX).is_dynamic() || get_input_element_type(kCountedX) == ov::element::f32, "'",
      name, "': ", get_type_name(), " takes f32.");
  verified_.resize(get_input_size());
  check_blob_input(*this, kCountedCode, false, verified_[kCountedCode]);
  if (const auto header = check_blob_input(*this, kCountedWeights, true, verified_[kCountedWeights])) {
    weight_shape_ = header->shape;
    channels_ = header->rows;
    inputs_ = inputs_of_layer(*this, *header, windows(), groups());
  }
  const ov::PartialShape& x = get_input_partial_shape(kCountedX);
  if (inputs_ >= 0 && x.rank().is_static()) {
    OPENVINO_ASSERT(x.size() >= (windows() == nullptr ? 1U : 2U), "'", name, "': a tensor ", x, " has no channels.");
    const ov::Dimension& inputs = x[windows() == nullptr ? x.size() - 1 : 1];
    OPENVINO_ASSERT(inputs.compatible(inputs_), "'", name, "': the weights take ", inputs_, " inputs, the tensor is ",
                    x, ".");
  }
  set_output_type(0, ov::element::f32, output_shape(x));
}

void CountingLayer::prepare(const ov::TensorVector& inputs) const {
  std::call_once(prepared_->once, [&] {
    const Blob blob = read_blob_tensor(*this, inputs[kCountedWeights], true);
    const Blob code = read_blob_tensor(*this, inputs[kCountedCode], false);
    Prepared& prepared = *prepared_;
    const auto rows = static_cast<size_t>(blob.rows), columns = static_cast<size_t>(blob.columns);
    prepared.window = window_of_layer(windows(), blob, static_cast<size_t>(groups()));
    std::vector<uint8_t> codes = unpack(blob.codes, rows * columns, blob.code.stored_bits);
    const size_t taps = prepared.window.taps();
    if (taps > 1) codes = channels_last(codes, rows, columns / taps, taps);
    try {
      prepared.weights.emplace(kernels::SharedBase(code.code, blob.code), codes, rows, columns);
    } catch (const Error& error) {
      OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
    }
    prepared.gamma = blob.gamma;
    prepared.encoder = Encoder(code.code);
    for (const size_t port : {size_t{kCountedWeights}, size_t{kCountedCode}})
      std::copy_n(blob_bytes(inputs[port]).begin(), kBlobHeaderBytes, prepared.headers[port - kCountedWeights].begin());
  });
  for (const size_t port : {size_t{kCountedWeights}, size_t{kCountedCode}}) {
    const VerifiedHeader& header = prepared_->headers[port - kCountedWeights];
    OPENVINO_ASSERT(inputs[port].get_byte_size() >= header.size() &&
                        std::equal(header.begin(), header.end(), blob_bytes(inputs[port]).begin()),
                    "'", get_friendly_name(), "': a blob changed.");
  }
}

bool CountingLayer::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  prepare(inputs);
  const Prepared& prepared = *prepared_;
  const ov::Shape& x = inputs[kCountedX].get_shape();
  const ov::Shape y = output_shape(x).to_shape();
  outputs[0].set_shape(y);
  if (ov::shape_size(y) == 0) return true;
  kernels::ConvolutionShape shape = prepared.window;
  const bool is_image = windows() != nullptr;
  OPENVINO_ASSERT((is_image ? x[1] : x.back()) == shape.channels, "'", get_friendly_name(), "': the weights take ",
                  shape.channels, " inputs, the tensor is ", x, ".");
  kernels::CountingOutput to{outputs[0].data<float>(), 0, shape.outputs, 1};
  size_t channels = 1, pixels = inputs[kCountedX].get_size();
  if (is_image) {
    shape.batch = x[0], shape.width = x.back();
    if (x.size() == 4) shape.height = x[2];
    channels = shape.channels, pixels = shape.height * shape.width;
    const size_t output_pixels = shape.output_height() * shape.output_width();
    to = {outputs[0].data<float>(), shape.outputs * output_pixels, 1, output_pixels};
  } else {
    shape.width = pixels / shape.channels;
  }
  try {
    // Isolated: while it waits for its share, this thread must not start another call inside this one.
    tbb::this_task_arena::isolate([&] {
      const std::vector<uint8_t> codes =
          encoded(prepared.encoder, inputs[kCountedX].data<const float>(), shape.batch, channels, pixels);
      kernels::convolve_counting(shape, *prepared.weights, prepared.gamma, codes.data(), to);
    });
  } catch (const Error& error) {
    OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
  }
  return true;
}

CountingConvolution::CountingConvolution(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& weights,
                                         const ov::Output<ov::Node>& code, LevelWindows windows, int64_t groups)
    : windows_(std::move(windows)), groups_(groups) {
  set_arguments(ov::OutputVector{x, weights, code});
  constructor_validate_and_infer_types();
}

bool CountingConvolution::visit_attributes(ov::AttributeVisitor& visitor) {
  visit_windows(visitor, windows_);
  visitor.on_attribute("groups", groups_);
  return true;
}

std::shared_ptr<ov::Node> CountingConvolution::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<CountingConvolution>();
  clone->windows_ = windows_, clone->groups_ = groups_;
  copy_to(*clone, inputs);
  return clone;
}

CountingMatMul::CountingMatMul(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& weights,
                               const ov::Output<ov::Node>& code) {
  set_arguments(ov::OutputVector{x, weights, code});
  constructor_validate_and_infer_types();
}

std::shared_ptr<ov::Node> CountingMatMul::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<CountingMatMul>();
  copy_to(*clone, inputs);
  return clone;
}

}  // namespace dnateq::ops
