#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "kernels/matmul.h"
#include "kernels/row_quantizer.h"
#include "ops/blob_input.h"
#include "ops/ops.h"
#include "ops/packed_part.h"

namespace dnateq::ops {

struct PackedMatMul::Part : PackedPart {
  std::vector<float> bias;  // per output channel
  VerifiedHeader header;    // of the blob it was made of, CRC included
};

struct PackedMatMul::Prepared {
  std::once_flag once;
  std::atomic<bool> done = false;
  std::vector<Part> parts;
};

namespace {

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

PackedMatMul::PackedMatMul(bool is_joined) : is_joined_(is_joined), prepared_(std::make_shared<Prepared>()) {}

void PackedMatMul::validate_and_infer_types() { infer(*this); }

void PackedMatMul::infer(ov::Node& node) {
  const size_t inputs = node.get_input_size();
  const std::string& name = node.get_friendly_name();
  OPENVINO_ASSERT(inputs >= 3 && inputs % 2 == 1, node.get_type_name(),
                  " takes a tensor, then a blob and a bias for each part.");
  const ov::element::Type type = node.get_input_element_type(0);
  OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::f32, "'", name, "': ", node.get_type_name(), " takes f32.");
  const size_t parts = (inputs - 1) / 2;
  seen_.resize(parts);
  const size_t outputs = is_joined_ ? 1 : parts;
  if (node.get_output_size() != outputs) node.set_output_size(outputs);
  ov::Dimension all_channels = 0;
  for (size_t p = 0; p < parts; ++p) {
    const ov::element::Type bias = node.get_input_element_type(2 + 2 * p);
    OPENVINO_ASSERT(bias.is_dynamic() || bias == ov::element::f32, "'", name, "': the bias must be f32.");
    ov::PartialShape shape = node.get_input_partial_shape(0);
    // Each inference of a dynamic model infers the shapes of a fresh copy: a blob that was seen is not read again.
    Seen& seen = seen_[p];
    const auto* constant = ov::as_type<const ov::op::v0::Constant>(node.get_input_node_ptr(1 + 2 * p));
    const bool known = constant != nullptr && seen.channels >= 0 && constant->get_element_type() == ov::element::u8 &&
                       constant->get_byte_size() == seen.bytes &&
                       std::memcmp(constant->get_data_ptr(), seen.header.data(), seen.header.size()) == 0;
    if (!known) {
      if (const auto header = check_blob_input(node, 1 + 2 * p, true, seen.header)) {
        seen.channels = header->rows;
        seen.inputs = header->columns;
        seen.bytes = constant->get_byte_size();
      }
    }
    if (shape.rank().is_static()) {
      OPENVINO_ASSERT(shape.size() > 0 && (seen.inputs < 0 || shape[shape.size() - 1].compatible(seen.inputs)), "'",
                      name, "': the weights take ", seen.inputs, " inputs, the tensor is ", shape, ".");
      shape[shape.size() - 1] = seen.channels < 0 ? ov::Dimension::dynamic() : ov::Dimension(seen.channels);
    }
    all_channels += seen.channels < 0 ? ov::Dimension::dynamic() : ov::Dimension(seen.channels);
    if (is_joined_ && shape.rank().is_static()) shape[shape.size() - 1] = all_channels;
    node.set_output_type(is_joined_ ? 0 : p, ov::element::f32, shape);
  }
}

std::shared_ptr<ov::Node> PackedMatMul::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  auto clone = std::make_shared<PackedMatMul>();
  copy_to(*clone, inputs);
  return clone;
}

std::shared_ptr<ov::Node> PackedTable::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  auto clone = std::make_shared<PackedTable>();
  copy_to(*clone, inputs);
  return clone;
}

void PackedMatMul::copy_to(PackedMatMul& clone, const ov::OutputVector& inputs) const {
  // Packed once, however often the graph is copied; evaluate() compares the blobs' headers.
  clone.prepared_ = prepared_;
  clone.seen_ = seen_;
  clone.set_arguments(inputs);
  clone.constructor_validate_and_infer_types();
  if (!prepared_->done) {
    clone.set_friendly_name(get_friendly_name());  // sentences about the weights name the layer
    clone.prepare_constants();
  }
}

// A plugin copies the model that it compiles: weights that are packed then do not hold up the first inference, which in
// a language model is the time to the first token.
void PackedMatMul::prepare_constants() const {
  ov::TensorVector inputs(get_input_size());
  for (size_t i = 1; i < inputs.size(); ++i) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(get_input_node_shared_ptr(i));
    if (!constant) return;
    inputs[i] = constant->get_tensor_view();
  }
  prepare(inputs);
}

void PackedMatMul::prepare(const ov::TensorVector& inputs) const {
  // Isolated: while it waits for its share of the packing, this thread must not start a call that waits for it.
  std::call_once(prepared_->once, [&] {
    tbb::this_task_arena::isolate([&] {
      std::vector<Part> parts;
      for (size_t at = 1; at < inputs.size(); at += 2) parts.push_back(part_of(inputs[at], inputs[at + 1]));
      prepared_->parts = std::move(parts);
      prepared_->done = true;
    });
  });
}

PackedMatMul::Part PackedMatMul::part_of(const ov::Tensor& blob_tensor, const ov::Tensor& bias) const {
  const Blob blob = read_blob_tensor(*this, blob_tensor, true);
  const auto rows = static_cast<size_t>(blob.rows);
  Part part{packed_part(blob, get_friendly_name()), {}, {}};
  const auto bytes = blob_bytes(blob_tensor);
  std::copy_n(bytes.begin(), part.header.size(), part.header.begin());
  OPENVINO_ASSERT(bias.get_size() == 0 || bias.get_size() == rows, "'", get_friendly_name(), "': a bias of ",
                  bias.get_size(), " values for ", rows, " channels.");
  part.bias.assign(bias.data<const float>(), bias.data<const float>() + bias.get_size());
  return part;
}

bool PackedMatMul::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  prepare(inputs);
  const std::vector<Part>& parts = prepared_->parts;
  const size_t inner = parts.at(0).weights.inputs();
  const size_t rows = inputs[0].get_size() / inner;
  thread_local QuantizedRows x;
  OPENVINO_ASSERT(inputs[0].get_shape().back() == inner, "'", get_friendly_name(), "': the weights take ", inner,
                  " inputs, the tensor is ", inputs[0].get_shape(), ".");
  x.quantize(inputs[0].data<const float>(), rows, inner);
  size_t all_channels = 0, channels_before = 0;
  for (const Part& part : parts) all_channels += part.weights.channels();
  for (size_t p = 0; p < parts.size(); ++p) {
    const Part& part = parts[p];
    OPENVINO_ASSERT(part.weights.inputs() == inner, "'", get_friendly_name(), "': parts of different inputs.");
    const auto bytes = blob_bytes(inputs[1 + 2 * p]);
    OPENVINO_ASSERT(
        bytes.size() >= part.header.size() && std::equal(part.header.begin(), part.header.end(), bytes.begin()), "'",
        get_friendly_name(), "': the blob changed.");
    ov::Tensor& output = outputs[is_joined_ ? 0 : p];
    const size_t stride = is_joined_ ? all_channels : part.weights.channels();
    if (p == 0 || !is_joined_) {
      ov::Shape shape = inputs[0].get_shape();
      shape.back() = stride;
      output.set_shape(shape);
    }
    kernels::Epilogue epilogue;
    epilogue.row_scale = x.scales.data();
    epilogue.channel_scale = part.scale.data();
    epilogue.bias = part.bias.empty() ? nullptr : part.bias.data();
    epilogue.values = output.data<float>() + (is_joined_ ? channels_before : 0);
    epilogue.stride = stride;
    channels_before += part.weights.channels();
    // Isolated: while it waits for its share, this thread must not start another call, which would overwrite `x`.
    tbb::this_task_arena::isolate([&] {
      kernels::matmul(part.weights, {x.levels.data(), rows, inner, x.sums.data()}, epilogue);
    });
  }
  return true;
}

PackedHead::PackedHead() : matmul_(std::make_shared<PackedMatMul>()), table_(std::make_shared<PackedTable>()) {}

PackedHead::PackedHead(const ov::Output<ov::Node>& x, const ov::OutputVector& blobs_and_biases) : PackedHead() {
  ov::OutputVector inputs = {x};
  inputs.insert(inputs.end(), blobs_and_biases.begin(), blobs_and_biases.end());
  set_arguments(inputs);
  constructor_validate_and_infer_types();
}

void PackedHead::validate_and_infer_types() { (get_input_size() > 3 ? table_ : matmul_)->infer(*this); }

std::shared_ptr<ov::Node> PackedHead::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  matmul_->set_friendly_name(get_friendly_name());
  table_->set_friendly_name(get_friendly_name());
  return packed().clone_with_new_inputs(inputs);
}

bool PackedHead::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  return packed().evaluate(outputs, inputs);
}

}  // namespace dnateq::ops
