// Whole networks in plain scalar code, operation by operation: what an emitted network must give, bit for bit.
//
// Our operations are computed anew from their blobs, by the definitions (kernels/layer_reference.h, dnateq::Encoder),
// without packed weights, tiles, threads or vectors. OpenVINO's own operations, of which only those that are exact
// everywhere may occur (float_operations.h), by OpenVINO's reference code.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/blob.h"
#include "core/pack.h"
#include "graph/test_models.h"
#include "kernels/counting_layer.h"
#include "kernels/layer_reference.h"
#include "ops/counting_layer.h"
#include "ops/ops.h"

namespace dnateq::testing {

class ReferenceNetwork {
 public:
  explicit ReferenceNetwork(const ModelPtr& model) : model_(model) {}

  // All float outputs, one after the other.
  std::vector<float> run(const std::vector<ov::Tensor>& inputs) {
    tensors_.clear();
    for (size_t i = 0; i < inputs.size(); ++i) tensors_[place(model_->input(i))] = inputs[i];
    for (const auto& node : model_->get_ordered_ops())
      if (!ov::is_type<op::Parameter>(node) && !ov::is_type<op::Result>(node)) evaluate(*node);
    std::vector<float> values;
    for (const auto& result : model_->get_results()) {
      const std::vector<float> one = floats_of(tensors_.at(place(result->input_value(0))));
      values.insert(values.end(), one.begin(), one.end());
    }
    return values;
  }

 private:
  using Place = std::pair<const ov::Node*, size_t>;  // an output
  template <typename Output>
  static Place place(const Output& output) {
    return {output.get_node(), output.get_index()};
  }

  const ov::Tensor& input(const ov::Node& node, size_t port) const {
    return tensors_.at(place(node.input_value(port)));
  }
  Blob blob(const ov::Node& node, size_t port) const {
    const ov::Tensor& tensor = input(node, port);
    return read_blob({static_cast<const uint8_t*>(tensor.data()), tensor.get_byte_size()}, node.get_friendly_name());
  }

  void evaluate(ov::Node& node) {
    if (ov::is_type<ops::ExponentialEncode>(&node)) return encode(node);
    if (const auto* layer = dynamic_cast<const ops::LevelLayer*>(&node)) return level_layer(*layer);
    if (const auto* layer = dynamic_cast<const ops::CountingLayer*>(&node)) return counting_layer(*layer);
    if (const auto* pool = ov::as_type<const ops::LevelMaxPool>(&node)) return max_pool(*pool);
    if (ov::is_type<ops::ImageMean>(&node)) return mean(node);
    ov::TensorVector inputs, outputs;
    for (const auto& value : node.input_values()) inputs.push_back(tensors_.at(place(value)));
    for (const auto& output : node.outputs()) outputs.emplace_back(output.get_element_type(), ov::Shape{});
    if (const auto* constant = ov::as_type<const op::Constant>(&node)) {
      outputs[0] =
          ov::Tensor(constant->get_element_type(), constant->get_shape(), const_cast<void*>(constant->get_data_ptr()));
    } else {
      // On constants of the inputs' shapes, so that the outputs' are known.
      ov::OutputVector shaped;
      for (size_t i = 0; i < inputs.size(); ++i)
        shaped.push_back(ov::is_type<op::Constant>(node.get_input_node_ptr(i))
                             ? node.input_value(i)
                             : std::make_shared<op::Parameter>(inputs[i].get_element_type(), inputs[i].get_shape()));
      const auto twin = node.clone_with_new_inputs(shaped);
      for (size_t i = 0; i < outputs.size(); ++i)
        outputs[i] =
            ov::Tensor(twin->get_output_element_type(i),
                       twin->get_output_partial_shape(i).is_static() ? twin->get_output_shape(i) : ov::Shape{});
      if (!node.evaluate(outputs, inputs))
        throw std::logic_error(std::string(node.get_type_name()) + " has no reference");
    }
    for (size_t i = 0; i < outputs.size(); ++i) tensors_[place(node.output(i))] = outputs[i];
  }

  static uint8_t level_of(const Blob& code, const Encoder& encoder, float value) {
    return static_cast<uint8_t>(code.grid_levels.at(encoder.encode(value)));
  }

  void encode(const ov::Node& node) {
    const ov::Tensor& x = input(node, 0);
    const Blob code = blob(node, 1);
    const Encoder encoder(code.code);
    // Channels first become last where the shapes say so.
    const ov::Shape from = x.get_shape();
    const bool turns = from_channels_first(node);
    ov::Shape to = from;
    if (turns) std::rotate(to.begin() + 1, to.begin() + 2, to.end());
    ov::Tensor levels(node.get_output_element_type(0), to);
    const auto* values = x.data<const float>();
    auto* bytes = static_cast<uint8_t*>(levels.data());
    const size_t channels = turns ? from[1] : 1,
                 pixels = turns ? ov::shape_size(from) / (from[0] * channels) : x.get_size();
    const size_t images = turns ? from[0] : 1;
    for (size_t image = 0; image < images; ++image)
      for (size_t channel = 0; channel < channels; ++channel)
        for (size_t pixel = 0; pixel < pixels; ++pixel)
          bytes[(image * pixels + pixel) * channels + channel] =
              level_of(code, encoder, values[(image * channels + channel) * pixels + pixel]);
    tensors_[place(node.output(0))] = levels;
  }

  static bool from_channels_first(const ov::Node& node) {
    struct Reader : ov::AttributeVisitor {
      bool value = false;
      void on_adapter(const std::string&, ov::ValueAccessor<void>&) override {}
      void on_adapter(const std::string& name, ov::ValueAccessor<bool>& adapter) override {
        if (name == "from_channels_first") value = adapter.get();
      }
    } reader;
    const_cast<ov::Node&>(node).visit_attributes(reader);
    return reader.value;
  }

  static kernels::ConvolutionShape shape_of(const ov::Shape& x, const ops::LevelWindows& windows,
                                            const std::vector<int64_t>& kernel) {
    kernels::ConvolutionShape s;
    const size_t axes = windows.strides.size(), w = axes - 1;
    const auto at = [](const std::vector<int64_t>& values, size_t i) { return static_cast<size_t>(values.at(i)); };
    s.batch = x[0], s.width = x[axes], s.channels = x[axes + 1];
    s.kernel_width = at(kernel, w), s.stride_width = at(windows.strides, w);
    s.dilation_width = at(windows.dilations, w);
    s.pad_left = at(windows.pads_begin, w), s.pad_right = at(windows.pads_end, w);
    if (axes == 2) {
      s.height = x[1];
      s.kernel_height = at(kernel, 0), s.stride_height = at(windows.strides, 0);
      s.dilation_height = at(windows.dilations, 0);
      s.pad_top = at(windows.pads_begin, 0), s.pad_bottom = at(windows.pads_end, 0);
    }
    return s;
  }

  static ov::Shape shape_after(const ov::Shape& x, const kernels::ConvolutionShape& s, bool is_image) {
    ov::Shape y = x;
    y.back() = s.outputs;
    if (is_image) y[y.size() - 2] = s.output_width();
    if (is_image && y.size() == 4) y[1] = s.output_height();
    return y;
  }

  // Encodes what the layer gives, value by value.
  struct Sink {
    const std::vector<Blob>& codes;
    std::vector<Encoder> encoders;
    std::vector<uint8_t*> levels;
    size_t channels;
    static void take(void* context, const kernels::SinkBlock& block) {
      auto* sink = static_cast<Sink*>(context);
      for (size_t i = 0; i < sink->codes.size(); ++i)
        for (size_t row = 0; row < block.rows; ++row)
          for (size_t column = 0; column < block.columns; ++column)
            sink->levels[i][(block.row + row) * sink->channels + block.channel + column] =
                level_of(sink->codes[i], sink->encoders[i], block.values[row * block.stride + column]);
    }
  };

  void level_layer(const ops::LevelLayer& layer) {
    const ov::Tensor& x = input(layer, 0);
    const Blob weights = blob(layer, 1), code = blob(layer, 2);
    const bool is_image = layer.windows() != nullptr;
    kernels::ConvolutionShape s;
    if (is_image) {
      const size_t axes = layer.windows()->strides.size();
      s = shape_of(x.get_shape(), *layer.windows(),
                   {weights.shape.end() - static_cast<std::ptrdiff_t>(axes), weights.shape.end()});
    } else {
      s.channels = x.get_shape().back(), s.width = x.get_size() / s.channels;
    }
    s.outputs = static_cast<size_t>(weights.rows), s.groups = static_cast<size_t>(layer.groups());
    // Rows of inputs x taps become taps x inputs.
    const size_t inputs = s.channels / s.groups, taps = s.taps();
    const std::vector<uint8_t> codes =
        unpack(weights.codes, static_cast<size_t>(weights.rows * weights.columns), weights.code.stored_bits);
    std::vector<int> levels(codes.size());
    for (size_t o = 0; o < s.outputs; ++o)
      for (size_t c = 0; c < inputs; ++c)
        for (size_t t = 0; t < taps; ++t)
          levels[(o * taps + t) * inputs + c] = weights.grid_levels.at(codes[(o * inputs + c) * taps + t]);

    std::vector<float> scale;
    for (const float gamma : weights.gamma)
      scale.push_back(static_cast<float>(static_cast<double>(gamma) / weights.code.grid / code.code.grid));
    const ov::Shape y = shape_after(x.get_shape(), s, is_image);
    const std::vector<float> bias = floats_of(input(layer, 3));
    const ops::LevelSteps& steps = layer.steps();
    kernels::Epilogue epilogue;
    epilogue.channel_scale = scale.data();
    if (!bias.empty()) epilogue.bias = bias.data();
    if (steps.adds_residual)
      epilogue.residual = input(layer, 4).data<const float>(), epilogue.residual_stride = s.outputs;
    epilogue.activation = steps.activation == "relu"    ? kernels::Activation::kRelu
                          : steps.activation == "clamp" ? kernels::Activation::kClamp
                                                        : kernels::Activation::kNone;
    epilogue.lowest = static_cast<float>(steps.lowest), epilogue.highest = static_cast<float>(steps.highest);
    std::vector<ov::Tensor> outputs;
    for (const auto& output : layer.outputs()) outputs.emplace_back(output.get_element_type(), y);
    if (steps.gives_values) epilogue.values = outputs[0].data<float>(), epilogue.stride = s.outputs;
    std::vector<Blob> codes_of_outputs;
    for (size_t port = steps.adds_residual ? 5 : 4; port < layer.get_input_size(); ++port)
      codes_of_outputs.push_back(blob(layer, port));
    Sink sink{codes_of_outputs, {}, {}, s.outputs};
    for (size_t i = 0; i < codes_of_outputs.size(); ++i) {
      sink.encoders.emplace_back(codes_of_outputs[i].code);
      sink.levels.push_back(static_cast<uint8_t*>(outputs[layer.first_level_output() + i].data()));
    }
    if (!codes_of_outputs.empty()) epilogue.sink = Sink::take, epilogue.sink_context = &sink;
    const void* data = x.data();
    const kernels::Levels x_levels = x.get_element_type() == ov::element::i8
                                         ? kernels::Levels(static_cast<const int8_t*>(data))
                                         : kernels::Levels(static_cast<const uint8_t*>(data));
    kernels::convolve_reference(s, levels, x_levels, epilogue);
    for (size_t i = 0; i < outputs.size(); ++i) tensors_[place(layer.output(i))] = outputs[i];
  }

  // Sum by sum, code by code.
  void counting_layer(const ops::CountingLayer& layer) {
    const ov::Tensor& x = input(layer, 0);
    const Blob weights = blob(layer, 1), code = blob(layer, 2);
    ov::Shape turned = x.get_shape();  // channels last
    const bool is_image = layer.windows() != nullptr;
    if (is_image) std::rotate(turned.begin() + 1, turned.begin() + 2, turned.end());
    kernels::ConvolutionShape s;
    if (is_image) {
      const auto axes = static_cast<std::ptrdiff_t>(layer.windows()->strides.size());
      s = shape_of(turned, *layer.windows(), {weights.shape.end() - axes, weights.shape.end()});
    } else {
      s.channels = turned.back(), s.width = x.get_size() / s.channels;
    }
    s.outputs = static_cast<size_t>(weights.rows), s.groups = static_cast<size_t>(layer.groups());
    const Encoder encoder(code.code);
    const size_t pixels_in = s.height * s.width;
    std::vector<uint8_t> x_codes(x.get_size());
    for (size_t i = 0; i < x_codes.size(); ++i) {
      const size_t image = i / (pixels_in * s.channels), channel = i % s.channels, pixel = i / s.channels % pixels_in;
      const size_t from = is_image ? (image * s.channels + channel) * pixels_in + pixel : i;
      x_codes[i] = encoder.encode(x.data<const float>()[from]);
    }
    const size_t inputs = s.channels / s.groups, taps = s.taps();
    const std::vector<uint8_t> stored =
        unpack(weights.codes, static_cast<size_t>(weights.rows * weights.columns), weights.code.stored_bits);
    ov::Shape shape = shape_after(turned, s, is_image);
    if (is_image) std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
    ov::Tensor y(ov::element::f32, shape);
    const kernels::SharedBase shared(code.code, weights.code);
    const size_t pixels = s.output_height() * s.output_width();
    for (size_t o = 0; o < s.outputs; ++o) {
      std::vector<uint8_t> w(inputs * taps);
      for (size_t c = 0; c < inputs; ++c)
        for (size_t t = 0; t < taps; ++t) w[t * inputs + c] = stored[(o * inputs + c) * taps + t];
      for (size_t row = 0; row < s.rows(); ++row) {
        kernels::ExponentCounters counters;
        kernels::count_scalar(shared, kernels::codes_of_row(s, x_codes.data(), row, o), w, counters);
        const double sum = static_cast<double>(weights.gamma[o]) * shared.combine(counters).sum;
        const size_t to = is_image ? (row / pixels * s.outputs + o) * pixels + row % pixels : row * s.outputs + o;
        y.data<float>()[to] = static_cast<float>(sum);
      }
    }
    tensors_[place(layer.output(0))] = y;
  }

  void max_pool(const ops::LevelMaxPool& pool) {
    const ov::Tensor& x = input(pool, 0);
    kernels::ConvolutionShape s = shape_of(x.get_shape(), pool.windows(), pool.kernel());
    s.outputs = s.channels;
    ov::Tensor y(x.get_element_type(), shape_after(x.get_shape(), s, true));
    const bool is_signed = x.get_element_type() == ov::element::i8;
    const auto* from = static_cast<const uint8_t*>(x.data());
    auto* to = static_cast<uint8_t*>(y.data());
    for (size_t n = 0; n < s.batch; ++n)
      for (size_t h = 0; h < s.output_height(); ++h)
        for (size_t w = 0; w < s.output_width(); ++w)
          for (size_t c = 0; c < s.channels; ++c) {
            int largest = -1000;
            for (size_t kh = 0; kh < s.kernel_height; ++kh)
              for (size_t kw = 0; kw < s.kernel_width; ++kw) {
                const size_t line = h * s.stride_height + kh * s.dilation_height,
                             column = w * s.stride_width + kw * s.dilation_width;
                if (line < s.pad_top || line >= s.pad_top + s.height || column < s.pad_left ||
                    column >= s.pad_left + s.width)
                  continue;
                const uint8_t byte =
                    from[((n * s.height + line - s.pad_top) * s.width + column - s.pad_left) * s.channels + c];
                largest = std::max(largest, is_signed ? int{static_cast<int8_t>(byte)} : int{byte});
              }
            *to++ = static_cast<uint8_t>(largest);
          }
    tensors_[place(pool.output(0))] = y;
  }

  void mean(const ov::Node& node) {
    const ov::Tensor& x = input(node, 0);
    const ov::Shape& shape = x.get_shape();
    const size_t channels = shape.back(), pixels = x.get_size() / (shape[0] * channels);
    ov::Tensor y(ov::element::f32, {shape[0], channels});
    for (size_t i = 0; i < y.get_size(); ++i) {
      double sum = 0;
      for (size_t pixel = 0; pixel < pixels; ++pixel)
        sum += static_cast<double>(x.data<const float>()[(i / channels * pixels + pixel) * channels + i % channels]);
      y.data<float>()[i] = static_cast<float>(sum / static_cast<double>(pixels));
    }
    tensors_[place(node.output(0))] = y;
  }

  ModelPtr model_;
  std::map<Place, ov::Tensor> tensors_;
};

}  // namespace dnateq::testing
