#include "calibrate/measure.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <cmath>
#include <map>
#include <mutex>
#include <openvino/opsets/opset13.hpp>

#include "calibrate/sensitivity.h"
#include "core/channel_scale.h"
#include "dnateq/error.h"
#include "graph/patterns.h"
#include "graph/runner.h"
#include "graph/subgraph.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

constexpr int kMostWeightBits = 7;  // 8 would gain nothing on the INT8 that users have already
constexpr int kFarthestBack = 16;   // operations that the sign of a tensor is followed through

// Distinct tensors that enter quantized layers, in layer order.
Outputs activation_tensors(const PreparedModel& prepared, Measurements& measurements) {
  Outputs producers;
  for (const Layer& layer : prepared.layers) {
    LayerMeasurement& measured = measurements.layers.emplace_back();
    if (layer.kind == LayerKind::kEmbedding) continue;
    const ov::Output<ov::Node> producer = layer.node->input_value(layer.activation_port);
    size_t at = static_cast<size_t>(std::find(producers.begin(), producers.end(), producer) - producers.begin());
    if (at == producers.size()) {
      producers.push_back(producer);
      ActivationMeasurement measurement;
      measurement.tensor = tensor_name(producer);
      measurement.non_negative = cannot_be_negative(producer);
      measurements.activations.push_back(std::move(measurement));
    }
    ++measurements.activations[at].layers;
    measured.activation = at;
  }
  return producers;
}

float largest_magnitude(const ov::Tensor& tensor) {
  const float* values = tensor.data<float>();
  float largest = 0;
  for (size_t i = 0; i < tensor.get_size(); ++i) largest = std::max(largest, std::fabs(values[i]));
  return largest;
}

// Histograms of `producers`, and the limits of what layers add to sums.
void measure_histograms(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const Outputs& producers,
                        const MeasureOptions& options, Measurements& measurements) {
  std::mutex mutex;
  Outputs tensors_wanted = producers;
  std::vector<size_t> adding_layers;
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const ov::Output<ov::Node> added = residual_operand_of(prepared.layers[l].node);
    if (!added.get_node()) continue;
    adding_layers.push_back(l);
    tensors_wanted.push_back(added);
  }
  std::vector<std::mutex> locks(producers.size());
  int64_t samples = 0;
  const auto add = [&](size_t c, size_t a, const ov::Tensor& tensor) {
    Histogram local;
    local.add({tensor.data<float>(), tensor.get_size()});
    const std::lock_guard lock(locks[a]);
    ActivationMeasurement& m = measurements.activations[a];
    m.histogram.merge(local);
    m.values += static_cast<double>(tensor.get_size());
    if (c == 0) {
      const ov::Shape shape = tensor.get_shape();
      m.shape.assign(shape.begin(), shape.end());
      const int64_t count = calls.sample_count(0);
      if (!m.shape.empty() && m.shape[0] % count == 0) m.shape[0] /= count;
    }
  };
  const size_t count = options.weights_only ? 1 : calls.size();
  Task task(options.progress, "measuring activations", count);
  for (size_t c = 0; c < count; ++c) samples += calls.sample_count(c);
  visit_each_tensor(core, *prepared.model, calls, count, tensors_wanted, options.threads, &task,
                    [&](size_t c, size_t i, const ov::Tensor& tensor) {
                      if (i < producers.size()) return add(c, i, tensor);
                      const float largest = largest_magnitude(tensor);
                      const std::lock_guard lock(mutex);
                      float& limit = measurements.layers[adding_layers[i - producers.size()]].residual_limit;
                      limit = std::max(limit, largest);
                    });
  for (ActivationMeasurement& m : measurements.activations) {
    m.values /= static_cast<double>(std::max<int64_t>(samples, 1));
    if (m.histogram.non_finite() > 0)
      throw Error(
          fmt::format("tensor '{}' of '{}' becomes NaN or infinite on the calibration data; check the "
                      "preprocessing",
                      m.tensor, prepared.file));
  }
}

void fit_activations(const MeasureOptions& options, Measurements& measurements) {
  constexpr int kWidths = kMaxStoredBits - kMinStoredBits + 1;
  const size_t tensors = measurements.activations.size();
  std::vector<FitData> data(tensors);
  tbb::parallel_for(size_t{0}, tensors,
                    [&](size_t a) { data[a] = FitData::from_histogram(measurements.activations[a].histogram); });
  Task task(options.progress, "fitting activations", tensors * (kWidths + 1));
  tbb::parallel_for(size_t{0}, tensors * (kWidths + 1), [&](size_t job) {
    ActivationMeasurement& m = measurements.activations[job / (kWidths + 1)];
    const FitData& values = data[job / (kWidths + 1)];
    const int bits = static_cast<int>(job % (kWidths + 1)) + kMinStoredBits;
    if (bits > kMaxStoredBits) {
      TensorCode request;
      m.uniform8 = fit_uniform(values, with_level_counts(request, 8, m.non_negative ? 0 : 127));
    } else if (options.uniform) {
      m.fits[static_cast<size_t>(bits)] =
          fit_uniform(values, with_level_counts(options.request, bits, m.non_negative ? 0 : -1));
    } else {
      m.fits[static_cast<size_t>(bits)] = fit_activation(values, options.request, bits, m.non_negative);
    }
    task.advance();
  });
}

void measure_weights(const PreparedModel& prepared, const MeasureOptions& options, Measurements& measurements) {
  Task task(options.progress, "measuring weights", prepared.layers.size());
  tbb::parallel_for(size_t{0}, prepared.layers.size(), [&](size_t l) {
    const Layer& layer = prepared.layers[l];
    std::vector<float> w = layer.weight_matrix();
    if (const int exponent = scale_exponent_of(w, layer.rows); exponent != 0)  // squares stay in float32's range
      for (float& value : w) value = std::ldexp(value, -exponent);
    // Rows by their root mean square: the shape that the curve must fit, channel scales apart.
    std::vector<float> scaled(w.size()), importance(w.size());
    for (int64_t r = 0; r < layer.rows; ++r) {
      const auto begin = static_cast<size_t>(r * layer.columns), end = begin + static_cast<size_t>(layer.columns);
      double power = 0;
      for (size_t i = begin; i < end; ++i) power += static_cast<double>(w[i]) * static_cast<double>(w[i]);
      const auto rms = static_cast<float>(std::sqrt(power / static_cast<double>(layer.columns)));
      for (size_t i = begin; i < end; ++i) {
        scaled[i] = rms > 0 ? w[i] / rms : 0.0F;
        importance[i] = rms * rms;
      }
    }
    const FitData data = FitData::from_values(scaled, importance);
    for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
      const TensorCode request = with_level_counts(options.request, bits);
      measurements.layers[l].weights.relative_error[static_cast<size_t>(bits)] =
          (options.uniform ? fit_uniform(data, request) : fit_code(data, request)).relative_error;
    }
    task.advance();
  });
}

}  // namespace

bool cannot_be_negative(const ov::Output<ov::Node>& output, int depth) {
  const ov::Node* node = output.get_node();
  if (depth > kFarthestBack) return false;
  if (ov::is_type<op::Relu>(node) || ov::is_type<op::Softmax>(node) || ov::is_type<ov::op::v1::Softmax>(node) ||
      ov::is_type<op::Sigmoid>(node) || ov::is_type<op::Abs>(node) || ov::is_type<op::Sqrt>(node) ||
      ov::is_type<op::Exp>(node) || ov::is_type<op::HSigmoid>(node) || ov::is_type<op::SoftPlus>(node))
    return true;
  if (const auto* clamp = ov::as_type<const op::Clamp>(node)) return clamp->get_min() >= 0;
  const auto input = [&](size_t i) { return cannot_be_negative(node->input_value(i), depth + 1); };
  if (ov::is_type<op::MaxPool>(node) || ov::is_type<ov::op::v1::MaxPool>(node) || ov::is_type<op::AvgPool>(node) ||
      ov::is_type<op::Reshape>(node) || ov::is_type<op::Transpose>(node) || ov::is_type<op::Squeeze>(node) ||
      ov::is_type<op::Unsqueeze>(node) || ov::is_type<op::ReduceMean>(node) || ov::is_type<op::ReduceSum>(node) ||
      ov::is_type<op::ReduceMax>(node) || ov::is_type<op::Slice>(node) || ov::is_type<op::StridedSlice>(node))
    return input(0);
  if (ov::is_type<op::Add>(node) || ov::is_type<op::Multiply>(node) || ov::is_type<op::Maximum>(node))
    return input(0) && input(1);
  if (const auto* concat = ov::as_type<const op::Concat>(node)) {
    for (size_t i = 0; i < concat->get_input_size(); ++i)
      if (!input(i)) return false;
    return true;
  }
  if (const auto* constant = ov::as_type<const op::Constant>(node)) {
    if (constant->get_element_type() != ov::element::f32) return false;
    for (const float value : constant->cast_vector<float>())
      if (!(value >= 0)) return false;
    return true;
  }
  return false;
}

std::string tensor_name(const ov::Output<ov::Node>& output) {
  const auto node = output.get_node_shared_ptr();
  return node->get_output_size() == 1 ? node->get_friendly_name()
                                      : fmt::format("{}.{}", node->get_friendly_name(), output.get_index());
}

void complete_divergence(WeightMeasurement& weights) {
  const auto few = static_cast<size_t>(kMeasuredWidths.front()), many = static_cast<size_t>(kMeasuredWidths.back());
  auto& divergence = weights.divergence;
  const auto& error = weights.relative_error;
  if (!(divergence[few] > 0) || !(error[few] > 0)) return divergence.fill(0);
  // Two points and noise: a power far from 1 is noise.
  constexpr double kLeastPower = 0.5, kMostPower = 2.0;
  // Divergence as a power of the error; beyond the measured widths proportional to it, as for small errors.
  double power = 1;
  if (divergence[many] > 0 && error[many] > 0 && error[many] < error[few])
    power = std::clamp(std::log(divergence[few] / divergence[many]) / std::log(error[few] / error[many]), kLeastPower,
                       kMostPower);
  const double at_few = divergence[few];
  for (size_t bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    divergence[bits] = at_few * std::pow(error[std::min(bits, many)] / error[few], power) *
                       (bits > many && error[many] > 0 ? error[bits] / error[many] : 1.0);
}

ActivationHistograms measure_activations(ov::Core& core, const PreparedModel& prepared, const Calls& calls, int threads,
                                         const Progress& progress) {
  MeasureOptions options;
  options.threads = threads;
  options.progress = progress;
  Measurements measurements;
  const Outputs producers = activation_tensors(prepared, measurements);
  measure_histograms(core, prepared, calls, producers, options, measurements);
  ActivationHistograms histograms{std::move(measurements.activations), {}};
  for (const LayerMeasurement& layer : measurements.layers) histograms.of_layer.push_back(layer.activation);
  return histograms;
}

Measurements measure(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const MeasureOptions& options) {
  Measurements measurements;
  const Outputs producers = activation_tensors(prepared, measurements);
  measure_histograms(core, prepared, calls, producers, options, measurements);
  if (!options.weights_only) fit_activations(options, measurements);
  // What allocation alone asks for.
  if (options.sensitivities || !options.weights_only) measure_weights(prepared, options, measurements);
  if (options.sensitivities) measure_sensitivities(core, prepared, calls, producers, options, measurements);
  return measurements;
}

AllocationItems allocation_items(const PreparedModel& prepared, const Measurements& measurements, bool weights_only,
                                 const std::function<int64_t(const Layer&, int)>& weight_bytes) {
  AllocationItems result;
  for (const UnquantizedLayer& layer : prepared.unquantized)
    result.fp32_values += static_cast<double>(layer.weight_elements);
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    if (layer.shares_weights_with) {  // its sensitivity counts where the codes are owned
      result.of_weights.emplace_back();
      Allocatable& owner = result.items[*result.of_weights[*layer.shares_weights_with]];
      for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
        owner.divergence[static_cast<size_t>(bits)] +=
            measurements.layers[l].weights.divergence[static_cast<size_t>(bits)];
      if (layer.had_own_copy) owner.copies += static_cast<double>(layer.rows * layer.columns);
      continue;
    }
    Allocatable item;
    item.is_weights = true;
    item.values = static_cast<double>(layer.rows * layer.columns);
    item.largest_bits = kMostWeightBits;
    for (int bits = kMinStoredBits; bits <= item.largest_bits; ++bits)
      item.overhead[static_cast<size_t>(bits)] =
          8.0 * static_cast<double>(weight_bytes(layer, bits)) - bits * item.values;
    for (int bits = kMinStoredBits; bits <= item.largest_bits; ++bits)
      item.divergence[static_cast<size_t>(bits)] = measurements.layers[l].weights.divergence[static_cast<size_t>(bits)];
    result.of_weights.emplace_back(result.items.size());
    result.items.push_back(item);
  }
  for (const ActivationMeasurement& m : measurements.activations) {
    if (weights_only) {
      result.of_activations.emplace_back();
      continue;
    }
    Allocatable item;
    item.values = m.values * m.layers;
    for (int bits = item.smallest_bits; bits <= item.largest_bits; ++bits)
      item.divergence[static_cast<size_t>(bits)] = m.sensitivity * m.fits[static_cast<size_t>(bits)].relative_error;
    result.of_activations.emplace_back(result.items.size());
    result.items.push_back(item);
  }
  return result;
}

}  // namespace dnateq
