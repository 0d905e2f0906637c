// Writes counters of a layer of a network in the exponent domain, with real codes of its weights and of its inputs for
// a real sample: layer_counters DIR/model.xml DATA LAYER SUMS FILE (dnateq quantize --emit counting wrote the model).
// SUMS of the layer's sums, spread over its outputs and pixels.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <openvino/openvino.hpp>
#include <stdexcept>
#include <string>

#include "core/blob.h"
#include "core/pack.h"
#include "data/samples.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "kernels/counting_layer.h"
#include "layer_file.h"
#include "ops/counting_layer.h"
#include "ops/layer_shape.h"

namespace dnateq {
namespace {

Blob blob_of(const ov::Node& node, size_t port) {
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node.get_input_node_shared_ptr(port));
  return read_blob({static_cast<const uint8_t*>(constant->get_data_ptr()), constant->get_byte_size()},
                   node.get_friendly_name());
}

// Code numbers as the file has them.
std::vector<int> numbers_of(const TensorCode& code, std::span<const uint8_t> codes) {
  const std::vector<kernels::SignedExponent> exponents = kernels::signed_exponents(code);
  std::vector<int> numbers;
  for (const uint8_t c : codes) numbers.push_back(exponents[c].sign * (exponents[c].exponent + 1));
  return numbers;
}

rtl::CountedLayer count(const std::string& file, const std::string& data, const std::string& name, size_t sums) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const auto model = read_model(core, file);
  std::shared_ptr<ops::CountingConvolution> layer;
  for (const auto& node : model->get_ops())
    if (node->get_friendly_name() == name) layer = ov::as_type_ptr<ops::CountingConvolution>(node);
  if (!layer) throw std::runtime_error("'" + file + "' has no counting convolution '" + name + "'");
  const auto samples = open_samples(data, {}, input_names(*model));
  const Calls calls(*samples, *model, {0});
  const auto tap = std::make_shared<ov::Model>(ov::OutputVector{layer->input_value(0)}, model->get_parameters());
  auto request = core.compile_model(tap, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  const auto inputs = calls.tensors(0);
  for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
  request.infer();
  const ov::Tensor x = request.get_output_tensor();

  const Blob weights = blob_of(*layer, 1), code = blob_of(*layer, 2);
  kernels::ConvolutionShape shape =
      ops::window_of_layer(layer->windows(), weights, static_cast<size_t>(layer->groups()));
  const ov::Shape dims = x.get_shape();
  shape.batch = dims[0], shape.height = dims.size() == 4 ? dims[2] : 1, shape.width = dims.back();
  const size_t pixels = shape.height * shape.width;
  const Encoder encoder(code.code);
  std::vector<uint8_t> codes(x.get_size());  // channels last
  for (size_t i = 0; i < codes.size(); ++i)
    codes[(i / (shape.channels * pixels) * pixels + i % pixels) * shape.channels + i / pixels % shape.channels] =
        encoder.encode(x.data<const float>()[i]);
  const kernels::SharedBase shared(code.code, weights.code);
  const auto rows = static_cast<size_t>(weights.rows), columns = static_cast<size_t>(weights.columns);
  const kernels::CountingWeights counting(
      shared,
      ops::channels_last(unpack(weights.codes, rows * columns, weights.code.stored_bits), rows, columns / shape.taps(),
                         shape.taps()),
      rows, columns);

  rtl::CountedLayer counted;
  counted.name = name;
  counted.exponent_bits = shared.exponent_bits(), counted.histograms = shared.one_term() ? 1 : 4;
  const auto exponents = size_t{1} << shared.exponent_bits();
  for (size_t i = 0; i < sums; ++i) {
    const size_t row = (2 * i + 1) * shape.rows() / (2 * sums), output = i * 7 % rows;
    const kernels::ExponentCounters all = kernels::counters_of(shape, counting, codes.data(), row, output);
    rtl::CountedSum sum;
    sum.x = numbers_of(code.code, kernels::codes_of_row(shape, codes.data(), row, output));
    sum.w = numbers_of(weights.code, counting.row(output));
    const auto append = [&](auto first, size_t count) {
      sum.counters.insert(sum.counters.end(), first, first + static_cast<std::ptrdiff_t>(count));
    };
    append(all.sums.begin(), 2 * exponents - 1);
    if (counted.histograms == 4) {
      sum.counters.push_back(all.signs);
      append(all.x.begin(), exponents);
      append(all.w.begin(), exponents);
    }
    counted.sums.push_back(std::move(sum));
  }
  return counted;
}

}  // namespace
}  // namespace dnateq

int main(int argc, char** argv) {
  try {
    if (argc != 6) throw std::runtime_error("usage: layer_counters MODEL DATA LAYER SUMS FILE");
    dnateq::rtl::write_counted_layer(
        dnateq::count(argv[1], argv[2], argv[3], static_cast<size_t>(std::strtoul(argv[4], nullptr, 10))), argv[5]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "layer_counters: %s\n", error.what());
    return 1;
  }
}
