#include "graph/calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

#include "core/hash.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr size_t kSmallSampleBytes = 1 << 17;  // up to here a batch of 16 keeps activations in the caches' reach

std::string any_name(const ov::Output<const ov::Node>& output) {
  return output.get_names().empty() ? output.get_node()->get_friendly_name() : output.get_any_name();
}

bool is_float(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kFloat64 || type == DataType::kFloat16;
}

template <typename From, typename To>
void convert(const std::byte* from, To* to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    to[i] = static_cast<To>(value);
  }
}

template <typename To>
void convert_to(const Array& array, To* to) {
  const auto count = static_cast<size_t>(array.elements());
  const std::byte* from = array.bytes.data();
  switch (array.type) {
    case DataType::kFloat32:
      return convert<float>(from, to, count);
    case DataType::kFloat64:
      return convert<double>(from, to, count);
    case DataType::kFloat16: {
      for (size_t i = 0; i < count; ++i) {
        uint16_t bits;
        std::memcpy(&bits, from + 2 * i, 2);
        to[i] = static_cast<To>(static_cast<float>(ov::float16::from_bits(bits)));
      }
      return;
    }
    case DataType::kInt64:
      return convert<int64_t>(from, to, count);
    case DataType::kInt32:
      return convert<int32_t>(from, to, count);
    case DataType::kInt16:
      return convert<int16_t>(from, to, count);
    case DataType::kInt8:
      return convert<int8_t>(from, to, count);
    case DataType::kUint64:
      return convert<uint64_t>(from, to, count);
    case DataType::kUint32:
      return convert<uint32_t>(from, to, count);
    case DataType::kUint16:
      return convert<uint16_t>(from, to, count);
    case DataType::kUint8:
    case DataType::kBool:
      return convert<uint8_t>(from, to, count);
  }
}

ov::Tensor to_tensor(const Array& array, const ov::element::Type& type) {
  const ov::Shape shape(array.shape.begin(), array.shape.end());
  ov::Tensor tensor(type, shape);
  if (type == ov::element::f32)
    convert_to(array, tensor.data<float>());
  else if (type == ov::element::i64)
    convert_to(array, tensor.data<int64_t>());
  else if (type == ov::element::i32)
    convert_to(array, tensor.data<int32_t>());
  else if (type == ov::element::u8)
    convert_to(array, tensor.data<uint8_t>());
  else if (type == ov::element::boolean)
    convert_to(array, reinterpret_cast<uint8_t*>(tensor.data()));
  else
    throw Error(
        fmt::format("model inputs of type {} are not supported; export the model with float32, int64, int32, "
                    "uint8 or boolean inputs",
                    type.get_type_name()));
  return tensor;
}

bool all_finite(const ov::Tensor& tensor) {
  const float* values = tensor.data<float>();
  return std::all_of(values, values + tensor.get_size(), [](float value) { return std::isfinite(value); });
}

ov::PartialShape partial(const std::vector<int64_t>& shape) {
  return ov::PartialShape(std::vector<ov::Dimension>(shape.begin(), shape.end()));
}

// What a wrong shape plainly comes from; empty where nothing is plain.
std::string hint_for(const std::vector<int64_t>& shape, const ov::PartialShape& wanted, int64_t samples) {
  if (wanted.rank().is_dynamic()) return {};
  const size_t rank = wanted.size();
  if (shape.size() == 4 && rank == 4) {
    const auto with_axes = [&](const std::array<size_t, 4>& axes) {
      return partial({shape[axes[0]], shape[axes[1]], shape[axes[2]], shape[axes[3]]});
    };
    if (wanted.compatible(with_axes({0, 3, 1, 2}))) return "; the axes look like NHWC, transpose them to NCHW";
    if (wanted.compatible(with_axes({0, 2, 3, 1}))) return "; the axes look like NCHW, transpose them to NHWC";
  }
  if (shape.size() + 1 != rank) return {};
  std::vector<int64_t> with_batch = shape;
  with_batch.insert(with_batch.begin(), 1);
  if (wanted.compatible(partial(with_batch))) return "; the batch axis is missing, put one of length 1 first";
  with_batch[1] = samples;  // the first axis of one sample was taken for that of samples
  if (shape[0] == 1 && wanted.compatible(partial(with_batch)))
    return "; the batch axis is missing, put that of samples first";
  return {};
}

std::string text_of(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

ov::Tensor stack(const std::vector<ov::Tensor>& parts) {
  if (parts.size() == 1) return parts[0];
  ov::Shape shape = parts[0].get_shape();
  shape[0] = 0;
  for (const ov::Tensor& part : parts) shape[0] += part.get_shape()[0];
  ov::Tensor all(parts[0].get_element_type(), shape);
  auto* to = static_cast<std::byte*>(all.data());
  for (const ov::Tensor& part : parts) {
    std::memcpy(to, part.data(), part.get_byte_size());
    to += part.get_byte_size();
  }
  return all;
}

}  // namespace

std::vector<std::string> input_names(const ov::Model& model) {
  std::vector<std::string> names;
  for (const auto& input : model.inputs()) names.push_back(any_name(input));
  return names;
}

std::vector<size_t> match_inputs(const Samples& samples, const ov::Model& model) {
  const std::vector<std::string> names = samples.inputs();
  std::vector<size_t> positions;
  for (const auto& input : model.inputs()) {
    size_t at = names.size();
    if (names.size() == 1 && names[0].empty() && model.inputs().size() == 1) at = 0;
    for (size_t i = 0; i < names.size(); ++i)
      if (input.get_names().contains(names[i]) || names[i] == input.get_node()->get_friendly_name()) at = i;
    if (at == names.size())
      throw Error(fmt::format("'{}' holds no array for model input '{}' (it has: {}; the model's inputs: {})",
                              samples.source(), any_name(input), fmt::join(names, ", "),
                              fmt::join(input_names(model), ", ")));
    positions.push_back(at);
  }
  return positions;
}

Calls::Calls(const Samples& samples, const ov::Model& model)
    : Calls(samples, model, [&] {
        std::vector<int64_t> all(static_cast<size_t>(samples.size()));
        std::iota(all.begin(), all.end(), int64_t{0});
        return all;
      }()) {}

Calls::Calls(const Samples& samples, const ov::Model& model, std::vector<int64_t> chosen)
    : samples_(samples), source_at_(match_inputs(samples, model)), chosen_(std::move(chosen)) {
  for (const auto& input : model.inputs())
    inputs_.push_back({any_name(input), input.get_element_type(), input.get_partial_shape()});
  if (chosen_.empty()) throw Error(fmt::format("'{}' holds no samples; give at least one", samples.source()));
  const std::vector<ov::Tensor> probe = sample(chosen_.front());
  size_t batch = samples.stackable() ? 16 : 1;
  size_t bytes = 0;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    bytes += probe[i].get_byte_size();
    const ov::PartialShape& shape = inputs_[i].shape;
    const bool grows = shape.rank().is_dynamic() || (shape.rank().get_length() > 0 && shape[0].is_dynamic());
    const bool single = probe[i].get_shape().size() > 0 && probe[i].get_shape()[0] == 1;
    if (!grows || !single) batch = 1;
  }
  if (bytes > kSmallSampleBytes) batch = std::min<size_t>(batch, 4);
  for (size_t at = 0; at < chosen_.size(); at += batch) starts_.push_back(at);
  starts_.push_back(chosen_.size());
}

int64_t Calls::sample_count(size_t call) const {
  int64_t samples = 0;
  for (size_t at = starts_[call]; at < starts_[call + 1]; ++at) samples += samples_.samples_in(chosen_[at]);
  return samples;
}

int64_t Calls::samples() const {
  int64_t samples = 0;
  for (size_t call = 0; call < size(); ++call) samples += sample_count(call);
  return samples;
}

uint64_t Calls::digest() const { return fnv1a(std::as_bytes(std::span(chosen_))); }

std::vector<ov::Tensor> Calls::sample(int64_t index) const {
  const std::vector<NamedArray> arrays = samples_.call(index);
  std::vector<ov::Tensor> tensors;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Array& array = arrays.at(source_at_[i]).array;
    const Input& input = inputs_[i];
    if (is_float(array.type) && input.type.is_integral())
      throw Error(fmt::format("'{}' gives {} for model input '{}', which takes {}; convert the data", samples_.source(),
                              to_string(array.type), input.name, input.type.get_type_name()));
    if (!input.shape.compatible(partial(array.shape))) {
      for (int64_t before = 0; before < index; ++before) sample(before);  // the first in the source's order is named
      throw Error(fmt::format("sample {} of '{}' has shape {} for model input '{}', which takes {}{}", index,
                              samples_.source(), text_of(array.shape), input.name, input.shape.to_string(),
                              hint_for(array.shape, input.shape, samples_.size())));
    }
    tensors.push_back(to_tensor(array, input.type));
    if (array.type == DataType::kFloat64 && input.type == ov::element::f32 && !all_finite(tensors.back()))
      throw Error(fmt::format("sample {} of '{}' goes beyond float32's range for model input '{}'; scale the data",
                              index, samples_.source(), input.name));
  }
  return tensors;
}

std::vector<ov::Tensor> Calls::tensors(size_t call) const {
  std::vector<std::vector<ov::Tensor>> parts(inputs_.size());
  for (size_t at = starts_[call]; at < starts_[call + 1]; ++at) {
    std::vector<ov::Tensor> one = sample(chosen_[at]);
    for (size_t i = 0; i < one.size(); ++i) {
      if (!parts[i].empty() && parts[i][0].get_shape() != one[i].get_shape())
        throw Error(
            fmt::format("the samples of '{}' differ in shape; give ragged inputs as a folder of .npz, one call each",
                        samples_.source()));
      parts[i].push_back(std::move(one[i]));
    }
  }
  std::vector<ov::Tensor> tensors;
  for (const auto& list : parts) tensors.push_back(stack(list));
  return tensors;
}

}  // namespace dnateq
