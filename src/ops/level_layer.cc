#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/pack.h"
#include "kernels/convolution.h"
#include "kernels/depthwise.h"
#include "ops/blob_input.h"
#include "ops/layer_shape.h"
#include "ops/level_code.h"
#include "ops/level_windows.h"
#include "ops/ops.h"

namespace dnateq::ops {

struct LevelLayer::Prepared {
  std::once_flag once;
  std::vector<kernels::PackedWeights> groups;
  std::optional<kernels::DepthwiseWeights> depthwise;  // instead of groups
  std::vector<float> scale, bias;                      // per output channel; bias may be empty
  std::vector<kernels::ActivationEncoder> encoders;
  bool is_signed = false;
  kernels::ConvolutionShape window;     // but for batch, height and width
  std::vector<VerifiedHeader> headers;  // of the blobs it was made of, CRCs included
};

namespace {

enum Port : size_t { kLevels, kWeights, kCode, kBias, kResidual };

// Encodes what a layer gives, while it lies in the cache.
struct LevelSink {
  struct Output {
    const kernels::ActivationEncoder* encoder;
    uint8_t* levels;
  };
  std::array<Output, LevelLayer::kMostLevelOutputs> outputs;
  size_t count = 0, channels = 0;

  static void encode(void* context, const kernels::SinkBlock& block) {
    const auto* sink = static_cast<const LevelSink*>(context);
    for (size_t i = 0; i < sink->count; ++i)
      sink->outputs[i].encoder->encode({block.values, block.stride, block.rows, block.columns,
                                        sink->outputs[i].levels + block.row * sink->channels + block.channel,
                                        sink->channels, nullptr});
  }
};

kernels::Activation activation_of(const ov::Node& node, const LevelSteps& steps) {
  if (steps.activation == "none") return kernels::Activation::kNone;
  if (steps.activation == "relu") return kernels::Activation::kRelu;
  OPENVINO_ASSERT(steps.activation == "clamp", "'", node.get_friendly_name(), "': unknown activation function '",
                  steps.activation, "'.");
  return kernels::Activation::kClamp;
}

}  // namespace

LevelLayer::LevelLayer() : prepared_(std::make_shared<Prepared>()) {}

LevelLayer::LevelLayer(const Inputs& inputs, LevelSteps steps)
    : steps_(std::move(steps)), prepared_(std::make_shared<Prepared>()) {
  ov::OutputVector all = {inputs.levels, inputs.weights, inputs.code, inputs.bias};
  if (steps_.adds_residual) all.push_back(inputs.residual);
  all.insert(all.end(), inputs.codes_of_outputs.begin(), inputs.codes_of_outputs.end());
  set_arguments(all);
}

void LevelLayer::copy_to(LevelLayer& clone, const ov::OutputVector& inputs) const {
  clone.steps_ = steps_;
  clone.prepared_ = prepared_;  // packed once, however often the graph is copied; evaluate() compares the headers
  clone.verified_ = verified_;
  clone.input_type_ = input_type_, clone.types_ = types_;
  clone.weight_shape_ = weight_shape_, clone.channels_ = channels_, clone.inputs_ = inputs_;
  clone.set_arguments(inputs);
  clone.constructor_validate_and_infer_types();
}

bool LevelLayer::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("gives_values", steps_.gives_values);
  visitor.on_attribute("adds_residual", steps_.adds_residual);
  visitor.on_attribute("activation", steps_.activation);
  visitor.on_attribute("lowest", steps_.lowest);
  visitor.on_attribute("highest", steps_.highest);
  return true;
}

void LevelLayer::validate_and_infer_types() {
  const std::string& name = get_friendly_name();
  OPENVINO_ASSERT(get_input_size() >= first_code(), get_type_name(), " takes levels, weights, a code and a bias",
                  steps_.adds_residual ? ", a residual" : "", ", then codes.");
  const size_t codes = get_input_size() - first_code(), outputs = codes + first_level_output();
  OPENVINO_ASSERT(outputs > 0 && codes <= kMostLevelOutputs, "'", name, "': ", codes, " outputs of levels.");
  activation_of(*this, steps_);
  verified_.resize(get_input_size());
  types_.resize(codes, ov::element::dynamic);
  if (const auto header = check_blob_input(*this, kCode, false, verified_[kCode]))
    input_type_ = level_type(*this, header->code);
  const ov::element::Type type = get_input_element_type(kLevels);
  OPENVINO_ASSERT(type.is_dynamic() || type == input_type_ || input_type_.is_dynamic(), "'", name, "': the levels are ",
                  type, ", their code's are ", input_type_, ".");
  for (size_t port : {size_t{kBias}, size_t{kResidual}}) {
    if (port == kResidual && !steps_.adds_residual) continue;
    const ov::element::Type summand = get_input_element_type(port);
    OPENVINO_ASSERT(summand.is_dynamic() || summand == ov::element::f32, "'", name,
                    "': bias and residual must be f32.");
  }
  if (const auto header = check_blob_input(*this, kWeights, true, verified_[kWeights])) {
    weight_shape_ = header->shape;
    channels_ = header->rows;
    inputs_ = inputs_of_layer(*this, *header, windows(), groups());
  }
  const ov::PartialShape& x = get_input_partial_shape(kLevels);
  if (inputs_ >= 0 && x.rank().is_static())
    OPENVINO_ASSERT(x.size() > 0 && x[x.size() - 1].compatible(inputs_), "'", name, "': the weights take ", inputs_,
                    " inputs, the levels are ", x, ".");
  const ov::PartialShape shape = output_shape(x);
  if (get_output_size() != outputs) set_output_size(outputs);
  if (steps_.gives_values) set_output_type(0, ov::element::f32, shape);
  for (size_t i = 0; i < codes; ++i) {
    if (const auto header = check_blob_input(*this, first_code() + i, false, verified_[first_code() + i]))
      types_[i] = level_type(*this, header->code);
    set_output_type(first_level_output() + i, types_[i], shape);
  }
}

void LevelLayer::prepare(const ov::TensorVector& inputs) const {
  std::call_once(prepared_->once, [&] {
    const Blob blob = read_blob_tensor(*this, inputs[kWeights], true);
    const Blob code = read_blob_tensor(*this, inputs[kCode], false);
    OPENVINO_ASSERT(!blob.grid_levels.empty(), "'", get_friendly_name(),
                    "': levels of exponential arithmetic are no integers.");
    Prepared& prepared = *prepared_;
    prepared.is_signed = level_type(*this, code.code) == ov::element::i8;
    const auto rows = static_cast<size_t>(blob.rows), columns = static_cast<size_t>(blob.columns);
    const auto groups_of_weights = static_cast<size_t>(groups());
    const kernels::ConvolutionShape window = window_of_layer(windows(), blob, groups_of_weights);
    prepared.window = window;
    const std::vector<int> levels(blob.grid_levels.begin(), blob.grid_levels.end());
    std::vector<uint8_t> codes = unpack(blob.codes, rows * columns, blob.code.stored_bits);
    if (window.taps() > 1) codes = channels_last(codes, rows, columns / window.taps(), window.taps());
    try {
      if (groups_of_weights > 1 && groups_of_weights == window.channels && groups_of_weights == rows) {
        prepared.depthwise.emplace(codes, rows, window.taps(), blob.code.stored_bits, levels);
      } else {
        const size_t rows_of_group = rows / groups_of_weights;
        for (size_t group = 0; group < groups_of_weights; ++group)
          prepared.groups.emplace_back(
              std::span(codes).subspan(group * rows_of_group * columns, rows_of_group * columns), rows_of_group,
              columns, blob.code.stored_bits, levels);
      }
    } catch (const Error& error) {
      OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
    }
    for (const float gamma : blob.gamma)
      prepared.scale.push_back(static_cast<float>(static_cast<double>(gamma) / blob.code.grid / code.code.grid));
    const ov::Tensor& bias = inputs[kBias];
    OPENVINO_ASSERT(bias.get_size() == 0 || bias.get_size() == rows, "'", get_friendly_name(), "': a bias of ",
                    bias.get_size(), " values for ", rows, " channels.");
    prepared.bias.assign(bias.data<const float>(), bias.data<const float>() + bias.get_size());
    for (size_t port = first_code(); port < inputs.size(); ++port)
      prepared.encoders.push_back(level_encoder(*this, read_blob_tensor(*this, inputs[port], false).code));
    for (size_t port = 0; port < inputs.size(); ++port) {
      prepared.headers.emplace_back();
      const bool is_blob = port == kWeights || port == kCode || port >= first_code();
      if (is_blob) std::copy_n(blob_bytes(inputs[port]).begin(), kBlobHeaderBytes, prepared.headers.back().begin());
    }
  });
  for (size_t port = 0; port < inputs.size(); ++port) {
    const bool is_blob = port == kWeights || port == kCode || port >= first_code();
    const auto& header = prepared_->headers.at(port);
    OPENVINO_ASSERT(!is_blob || (inputs[port].get_byte_size() >= header.size() &&
                                 std::equal(header.begin(), header.end(), blob_bytes(inputs[port]).begin())),
                    "'", get_friendly_name(), "': a blob changed.");
  }
}

bool LevelLayer::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  prepare(inputs);
  const Prepared& prepared = *prepared_;
  const ov::Shape& x = inputs[kLevels].get_shape();
  const ov::Shape y = output_shape(x).to_shape();
  for (ov::Tensor& output : outputs) output.set_shape(y);
  kernels::ConvolutionShape shape = prepared.window;
  OPENVINO_ASSERT(x.back() == shape.channels, "'", get_friendly_name(), "': the weights take ", shape.channels,
                  " inputs, the levels are ", x, ".");
  if (windows() == nullptr) {
    shape.width = inputs[kLevels].get_size() / shape.channels;
  } else {
    shape.batch = x[0], shape.width = x[x.size() - 2];
    if (x.size() == 4) shape.height = x[1];
  }
  if (ov::shape_size(y) == 0) return true;

  kernels::Epilogue epilogue;
  epilogue.channel_scale = prepared.scale.data();
  epilogue.bias = prepared.bias.empty() ? nullptr : prepared.bias.data();
  epilogue.activation = activation_of(*this, steps_);
  epilogue.lowest = static_cast<float>(steps_.lowest), epilogue.highest = static_cast<float>(steps_.highest);
  if (steps_.adds_residual) {
    OPENVINO_ASSERT(inputs[kResidual].get_shape() == y, "'", get_friendly_name(), "': a residual of ",
                    inputs[kResidual].get_shape(), " cannot be added to ", y, ".");
    epilogue.residual = inputs[kResidual].data<const float>();
    epilogue.residual_stride = shape.outputs;
  }
  if (steps_.gives_values) {
    epilogue.values = outputs[0].data<float>();
    epilogue.stride = shape.outputs;
  }
  LevelSink sink;
  sink.count = prepared.encoders.size(), sink.channels = shape.outputs;
  for (size_t i = 0; i < sink.count; ++i)
    sink.outputs[i] = {&prepared.encoders[i], static_cast<uint8_t*>(outputs[first_level_output() + i].data())};
  if (sink.count > 0) epilogue.sink = LevelSink::encode, epilogue.sink_context = &sink;

  const kernels::Levels levels = prepared.is_signed
                                     ? kernels::Levels(static_cast<const int8_t*>(inputs[kLevels].data()))
                                     : kernels::Levels(static_cast<const uint8_t*>(inputs[kLevels].data()));
  try {
    // Isolated: while it waits for its share, this thread must not start another call inside this one.
    tbb::this_task_arena::isolate([&] {
      if (prepared.depthwise)
        kernels::convolve_depthwise(shape, *prepared.depthwise, levels, epilogue);
      else
        kernels::convolve(shape, prepared.groups, levels, epilogue);
    });
  } catch (const Error& error) {
    OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
  }
  return true;
}

LevelConvolution::LevelConvolution(const Inputs& inputs, LevelSteps steps, LevelWindows windows, int64_t groups)
    : LevelLayer(inputs, std::move(steps)), windows_(std::move(windows)), groups_(groups) {
  constructor_validate_and_infer_types();
}

bool LevelConvolution::visit_attributes(ov::AttributeVisitor& visitor) {
  LevelLayer::visit_attributes(visitor);
  visit_windows(visitor, windows_);
  visitor.on_attribute("groups", groups_);
  return true;
}

std::shared_ptr<ov::Node> LevelConvolution::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<LevelConvolution>();
  clone->windows_ = windows_, clone->groups_ = groups_;
  copy_to(*clone, inputs);
  return clone;
}

ov::PartialShape LevelConvolution::output_shape(const ov::PartialShape& levels) const {
  check_windows(*this, windows_);
  const size_t axes = windows_.strides.size();
  const int64_t* kernel = weight_shape_.size() < axes ? nullptr : weight_shape_.data() + (weight_shape_.size() - axes);
  return windows_shape(*this, levels, windows_, kernel, channels_ < 0 ? ov::Dimension::dynamic() : channels_);
}

LevelMatMul::LevelMatMul(const Inputs& inputs, LevelSteps steps) : LevelLayer(inputs, std::move(steps)) {
  constructor_validate_and_infer_types();
}

std::shared_ptr<ov::Node> LevelMatMul::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<LevelMatMul>();
  copy_to(*clone, inputs);
  return clone;
}

ov::PartialShape LevelMatMul::output_shape(const ov::PartialShape& levels) const {
  ov::PartialShape shape = levels;
  if (shape.rank().is_static()) shape[shape.size() - 1] = channels_ < 0 ? ov::Dimension::dynamic() : channels_;
  return shape;
}

}  // namespace dnateq::ops
