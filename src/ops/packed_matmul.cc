#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/pack.h"
#include "kernels/matmul.h"
#include "kernels/row_quantizer.h"
#include "ops/blob_input.h"
#include "ops/ops.h"

namespace dnateq::ops {

struct PackedMatMul::Prepared {
  struct Part {
    kernels::PackedWeights weights;
    std::vector<float> scale, bias;  // per output channel
    VerifiedHeader header;           // of the blob it was made of, CRC included
  };
  std::once_flag once;
  std::vector<Part> parts;
};

namespace {

// Integer levels of the code and the unit they are counted in; real levels take the nearest of the int8 grid.
std::vector<int> integer_levels(const Blob& blob, float& unit) {
  if (!blob.grid_levels.empty()) {
    unit = static_cast<float>(1.0 / blob.code.grid);
    return {blob.grid_levels.begin(), blob.grid_levels.end()};
  }
  float largest = 0;
  for (const float level : blob.levels) largest = std::max(largest, std::fabs(level));
  unit = largest > 0 ? largest / 127.0F : 1.0F;
  std::vector<int> levels;
  for (const float level : blob.levels) levels.push_back(static_cast<int>(std::lround(level / unit)));
  return levels;
}

// The activations of one call as int8; kept by the thread, so that a call allocates nothing.
struct QuantizedRows {
  std::vector<int8_t> levels;
  std::vector<float> scales;
  std::vector<int32_t> sums;

  void quantize(const float* x, size_t rows, size_t inputs) {
    levels.resize(rows * inputs);
    scales.resize(rows);
    sums.resize(rows);
    kernels::quantize_rows({x, inputs, rows, inputs, levels.data(), inputs, scales.data(), sums.data()});
  }
};

}  // namespace

PackedMatMul::PackedMatMul(const ov::Output<ov::Node>& x, const ov::OutputVector& blobs_and_biases)
    : prepared_(std::make_shared<Prepared>()) {
  ov::OutputVector inputs = {x};
  inputs.insert(inputs.end(), blobs_and_biases.begin(), blobs_and_biases.end());
  set_arguments(inputs);
  constructor_validate_and_infer_types();
}

PackedMatMul::PackedMatMul() : prepared_(std::make_shared<Prepared>()) {}

void PackedMatMul::validate_and_infer_types() {
  const size_t inputs = get_input_size();
  OPENVINO_ASSERT(inputs >= 3 && inputs % 2 == 1, "PackedMatMul takes a tensor, then a blob and a bias for each part.");
  OPENVINO_ASSERT(get_input_element_type(0).is_dynamic() || get_input_element_type(0) == ov::element::f32, "'",
                  get_friendly_name(), "': PackedMatMul takes f32.");
  const size_t parts = (inputs - 1) / 2;
  verified_.resize(parts);
  channels_.resize(parts, -1);
  if (get_output_size() != parts) set_output_size(parts);
  for (size_t p = 0; p < parts; ++p) {
    const ov::element::Type bias = get_input_element_type(2 + 2 * p);
    OPENVINO_ASSERT(bias.is_dynamic() || bias == ov::element::f32, "'", get_friendly_name(),
                    "': the bias must be f32.");
    ov::PartialShape shape = get_input_partial_shape(0);
    if (const auto header = check_blob_input(*this, 1 + 2 * p, true, verified_[p])) {
      channels_[p] = header->rows;
      if (shape.rank().is_static())
        OPENVINO_ASSERT(shape.size() > 0 && shape[shape.size() - 1].compatible(header->columns), "'",
                        get_friendly_name(), "': the weights take ", header->columns, " inputs, the tensor is ", shape,
                        ".");
    }
    if (shape.rank().is_static())
      shape[shape.size() - 1] = channels_[p] < 0 ? ov::Dimension::dynamic() : ov::Dimension(channels_[p]);
    set_output_type(p, ov::element::f32, shape);
  }
}

std::shared_ptr<ov::Node> PackedMatMul::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  auto clone = std::make_shared<PackedMatMul>();
  // Packed once, however often the graph is copied; evaluate() compares the blobs' headers.
  clone->prepared_ = prepared_;
  clone->channels_ = channels_;
  clone->verified_ = verified_;
  clone->set_arguments(inputs);
  clone->constructor_validate_and_infer_types();
  return clone;
}

void PackedMatMul::prepare(const ov::TensorVector& inputs) const {
  std::call_once(prepared_->once, [&] {
    std::vector<Prepared::Part> parts;
    for (size_t at = 1; at < inputs.size(); at += 2) {
      const Blob blob = read_blob_tensor(*this, inputs[at], true);
      const auto rows = static_cast<size_t>(blob.rows), columns = static_cast<size_t>(blob.columns);
      float unit = 1;
      const std::vector<int> levels = integer_levels(blob, unit);
      Prepared::Part part;
      const auto bytes = blob_bytes(inputs[at]);
      std::copy_n(bytes.begin(), part.header.size(), part.header.begin());
      try {
        part.weights = kernels::PackedWeights(unpack(blob.codes, rows * columns, blob.code.stored_bits), rows, columns,
                                              blob.code.stored_bits, levels);
      } catch (const Error& error) {
        OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
      }
      for (const float gamma : blob.gamma) part.scale.push_back(gamma * unit);
      const ov::Tensor& bias = inputs[at + 1];
      OPENVINO_ASSERT(bias.get_size() == 0 || bias.get_size() == rows, "'", get_friendly_name(), "': a bias of ",
                      bias.get_size(), " values for ", rows, " channels.");
      part.bias.assign(bias.data<const float>(), bias.data<const float>() + bias.get_size());
      parts.push_back(std::move(part));
    }
    prepared_->parts = std::move(parts);
  });
}

bool PackedMatMul::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  prepare(inputs);
  const std::vector<Prepared::Part>& parts = prepared_->parts;
  const size_t inner = parts.at(0).weights.inputs();
  const size_t rows = inputs[0].get_size() / inner;
  thread_local QuantizedRows x;
  OPENVINO_ASSERT(inputs[0].get_shape().back() == inner, "'", get_friendly_name(), "': the weights take ", inner,
                  " inputs, the tensor is ", inputs[0].get_shape(), ".");
  x.quantize(inputs[0].data<const float>(), rows, inner);
  for (size_t p = 0; p < parts.size(); ++p) {
    const Prepared::Part& part = parts[p];
    OPENVINO_ASSERT(part.weights.inputs() == inner, "'", get_friendly_name(), "': parts of different inputs.");
    const auto bytes = blob_bytes(inputs[1 + 2 * p]);
    OPENVINO_ASSERT(
        bytes.size() >= part.header.size() && std::equal(part.header.begin(), part.header.end(), bytes.begin()), "'",
        get_friendly_name(), "': the blob changed.");
    ov::Shape shape = inputs[0].get_shape();
    shape.back() = part.weights.channels();
    outputs[p].set_shape(shape);
    kernels::Epilogue epilogue;
    epilogue.row_scale = x.scales.data();
    epilogue.channel_scale = part.scale.data();
    epilogue.bias = part.bias.empty() ? nullptr : part.bias.data();
    epilogue.values = outputs[p].data<float>();
    epilogue.stride = part.weights.channels();
    // Isolated: while it waits for its share, this thread must not start another call, which would overwrite `x`.
    tbb::this_task_arena::isolate([&] {
      kernels::matmul(part.weights, {x.levels.data(), rows, inner, x.sums.data()}, epilogue);
    });
  }
  return true;
}

}  // namespace dnateq::ops
