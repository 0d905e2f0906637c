#include "calibrate/center.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <openvino/op/util/shape_of_base.hpp>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <set>
#include <span>

#include "calibrate/measure.h"
#include "core/histogram.h"
#include "graph/patterns.h"
#include "graph/runner.h"
#include "graph/subgraph.h"
#include "search/fit.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

// Sums over the positions of one or more calls.
struct Sums {
  std::vector<double> of_channel;
  double squares = 0, positions = 0;

  void add(const ov::Tensor& tensor) {
    const size_t channels = of_channel.size();
    const float* x = tensor.data<float>();
    for (const float* end = x + tensor.get_size(); x != end; x += channels)
      for (size_t c = 0; c < channels; ++c) {
        const auto value = static_cast<double>(x[c]);
        of_channel[c] += value;
        squares += value * value;
      }
    positions += static_cast<double>(tensor.get_size() / channels);
  }
  void add(const Sums& other) {
    for (size_t c = 0; c < of_channel.size(); ++c) of_channel[c] += other.of_channel[c];
    squares += other.squares;
    positions += other.positions;
  }
};

bool can_be_centered(const Layer& layer) {
  if (layer.kind != LayerKind::kMatMul || layer.weight_port != 1 || layer.groups != 1) return false;
  const ov::Output<ov::Node> x = layer.node->input_value(layer.activation_port);
  const ov::PartialShape& shape = x.get_partial_shape();
  if (x.get_element_type() != ov::element::f32 || shape.rank().is_dynamic() || shape.size() < 2) return false;
  const ov::Dimension& channels = *shape.rbegin();
  return channels.is_static() && channels.get_length() == layer.columns && !cannot_be_negative(x);
}

// Of a float32 constant that has one value for each of `channels` on the last axis, or one for all.
std::optional<ConstantAdd> channel_add(ov::Node* node, size_t channels) {
  const auto* add = ov::as_type<op::Add>(node);
  if (add == nullptr || add->get_autob().m_type != ov::op::AutoBroadcastType::NUMPY) return {};
  const ov::PartialShape& out = add->get_output_partial_shape(0);
  if (out.rank().is_dynamic() || out.size() == 0) return {};
  if (out.rbegin()->is_dynamic() || out.rbegin()->get_length() != static_cast<int64_t>(channels)) return {};
  const std::optional<ConstantAdd> found = constant_add(node);
  const bool fits = found && found->constant()->get_element_type() == ov::element::f32 &&
                    is_one_a_channel(found->constant()->get_shape(), channels, 0);
  return fits ? found : std::nullopt;
}

// Adds `values` to the constant, one a channel on the last axis; returns the change as float32 has it.
std::vector<double> change(const ConstantAdd& add, const std::vector<double>& values) {
  ov::Shape shape = add.constant()->get_shape();
  if (shape.empty()) shape = {1};
  shape.back() = values.size();
  return add.change(values, shape);
}

std::vector<double> negated(std::vector<double> values) {
  for (double& value : values) value = -value;
  return values;
}

std::shared_ptr<op::Add> new_add(const ov::Output<ov::Node>& x, const std::vector<float>& values,
                                 const std::string& name) {
  const auto constant = op::Constant::create(ov::element::f32, {values.size()}, values);
  constant->set_friendly_name(name + "/constant");
  const auto add = std::make_shared<op::Add>(x, constant);
  add->set_friendly_name(name);
  return add;
}

// Where a tensor and its sums can do without its means at no cost: the constant that loses them, and those in residual
// sums that get them.
struct Fold {
  ConstantAdd beta;
  std::vector<ConstantAdd> sums;
};

std::optional<Fold> find_fold(const ov::Output<ov::Node>& x, const std::set<ov::Input<ov::Node>>& ours,
                              size_t channels) {
  const std::optional<ConstantAdd> beta = channel_add(x.get_node(), channels);
  if (!beta) return {};
  Fold fold{*beta, {}};
  for (const ov::Input<ov::Node>& reader : x.get_target_inputs()) {
    if (ours.contains(reader) || ov::is_type<ov::op::util::ShapeOfBase>(reader.get_node())) continue;
    const auto* sum = ov::as_type<op::Add>(reader.get_node());
    if (sum == nullptr || sum->get_autob().m_type != ov::op::AutoBroadcastType::NUMPY) return {};
    const ov::Output<ov::Node> other = sum->input_value(1 - reader.get_index());
    const std::optional<ConstantAdd> bias = channel_add(other.get_node(), channels);
    if (!bias || other.get_target_inputs().size() != 1) return {};
    fold.sums.push_back(*bias);
  }
  return fold;
}

// Takes `means` from the tensor that `layers` read; returns what was taken.
std::vector<double> subtract(const std::vector<double>& means, const std::vector<Layer*>& layers) {
  std::set<ov::Input<ov::Node>> ours;
  for (const Layer* layer : layers) ours.insert(layer->node->input(layer->activation_port));
  const ov::Output<ov::Node> x = ours.begin()->get_source_output();
  const std::string name = tensor_name(x) + "/centered";
  if (const std::optional<Fold> fold = find_fold(x, ours, means.size())) {
    const std::vector<double> taken = negated(change(fold->beta, negated(means)));
    for (const ConstantAdd& sum : fold->sums) change(sum, taken);
    fold->beta.add->set_friendly_name(name);
    return taken;
  }
  std::vector<float> negative;
  std::vector<double> taken;
  for (const double mean : means) {
    negative.push_back(static_cast<float>(-mean));
    taken.push_back(-static_cast<double>(negative.back()));
  }
  const auto centered = new_add(x, negative, name);
  for (ov::Input<ov::Node> input : ours) input.replace_source_output(centered);
  return taken;
}

// Adds mu W to what the layer gives.
void restore(const Layer& layer, const std::vector<double>& means) {
  const std::vector<float> weights = layer.weight_matrix();
  const auto rows = static_cast<size_t>(layer.rows), columns = static_cast<size_t>(layer.columns);
  std::vector<double> product(rows);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) product[r] += means[c] * static_cast<double>(weights[r * columns + c]);
  ov::Output<ov::Node> output = layer.node->output(0);
  if (const auto reader = only_reader(output))
    if (const auto bias = channel_add(reader->get_node(), rows)) {
      change(*bias, product);
      return;
    }
  const auto readers = output.get_target_inputs();
  const auto restored = new_add(output, {product.begin(), product.end()}, layer.name + "/restored");
  restored->output(0).set_names(output.get_names());
  output.set_names({});
  for (ov::Input<ov::Node> reader : readers) reader.replace_source_output(restored);
}

Outputs inputs_of(const PreparedModel& prepared, const std::vector<ChannelMeans>& tensors) {
  Outputs inputs;
  for (const ChannelMeans& tensor : tensors) {
    const Layer& layer = prepared.layers[tensor.layers.front()];
    inputs.push_back(layer.node->input_value(layer.activation_port));
  }
  return inputs;
}

struct Compared {
  std::mutex mutex;
  Histogram with, without;  // means

  void add(const ov::Tensor& tensor, const std::vector<double>& means) {
    const std::span<const float> values(tensor.data<float>(), tensor.get_size());
    std::vector<float> rest(values.size());
    for (size_t i = 0; i < rest.size(); ++i) rest[i] = values[i] - static_cast<float>(means[i % means.size()]);
    Histogram own_with, own_without;
    own_with.add(values);
    own_without.add(rest);
    const std::lock_guard lock(mutex);
    with.merge(own_with);
    without.merge(own_without);
  }

  struct Errors {
    double squared = 0, absolute = 0;
  };
  Errors errors(bool centered, int bits, const CenterOptions& options) const {
    const FitData data = FitData::from_histogram(centered ? without : with);
    const FitResult fit = options.uniform ? fit_uniform(data, with_level_counts(options.request, bits))
                                          : fit_activation(data, options.request, bits, false);
    return {data.squared_error(fit.code), data.absolute_error(fit.code)};
  }
};

// Leaves the tensors whose codes are better off without the means, by the first samples.
void keep_worthwhile(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const CenterOptions& options,
                     std::vector<ChannelMeans>& tensors) {
  // A tensor that is not finite has no share; the histograms will name it.
  std::erase_if(tensors, [](const ChannelMeans& tensor) { return !(tensor.share >= kSmallestMeanShare); });
  if (tensors.empty()) return;
  size_t compared_calls = 0;
  for (int64_t samples = 0; compared_calls < calls.size() && samples < options.compared_samples; ++compared_calls)
    samples += calls.sample_count(compared_calls);
  constexpr size_t kFits = 2 * kWidthsToCompare.size();
  std::vector<Compared> compared(tensors.size());
  Task task(options.progress, "comparing without channel means", compared_calls + kFits * tensors.size());
  visit_tensors(core, *prepared.model, calls, compared_calls, inputs_of(prepared, tensors), options.threads, &task,
                [&](size_t, const std::vector<ov::Tensor>& values) {
                  for (size_t t = 0; t < values.size(); ++t) compared[t].add(values[t], tensors[t].means);
                });
  std::vector<Compared::Errors> errors(kFits * tensors.size());  // [tensor][width][with, without]
  tbb::parallel_for(size_t{0}, errors.size(), [&](size_t job) {
    errors[job] = compared[job / kFits].errors(job % 2 == 1, kWidthsToCompare.at(job % kFits / 2), options);
    task.advance();
  });
  std::vector<ChannelMeans> kept;
  for (size_t t = 0; t < tensors.size(); ++t) {
    bool better = true;
    for (size_t i = kFits * t; i < kFits * (t + 1); i += 2)
      better = better && errors[i + 1].squared <= kWorthwhileError * errors[i].squared &&
               errors[i + 1].absolute <= errors[i].absolute;
    if (better) kept.push_back(std::move(tensors[t]));
  }
  tensors = std::move(kept);
}

PreparedModel copy_of(const PreparedModel& prepared) {
  const ModelCopy graph = copy_model(prepared.model);
  PreparedModel copy = prepared;
  copy.model = graph.model;
  for (Layer& layer : copy.layers) layer.node = graph.copy_of.at(layer.node.get());
  return copy;
}

}  // namespace

std::vector<ChannelMeans> measure_channel_means(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                                const CenterOptions& options) {
  std::vector<ChannelMeans> all;
  Outputs tensors;
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    if (!can_be_centered(layer)) continue;
    const ov::Output<ov::Node> x = layer.node->input_value(layer.activation_port);
    const auto at = static_cast<size_t>(std::find(tensors.begin(), tensors.end(), x) - tensors.begin());
    if (at == tensors.size()) {
      tensors.push_back(x);
      all.push_back({tensor_name(x), {}, std::vector<double>(static_cast<size_t>(layer.columns)), 0});
    }
    all[at].layers.push_back(l);
  }
  if (all.empty()) return all;

  std::vector<Sums> zero, sums;
  for (const ChannelMeans& tensor : all) zero.push_back({std::vector<double>(tensor.means.size())});
  sums = zero;
  std::mutex mutex;
  std::map<size_t, std::vector<Sums>> waiting;  // calls that finished before an earlier one
  size_t merged = 0;
  Task task(options.progress, "measuring channel means", calls.size());
  visit_tensors(core, *prepared.model, calls, calls.size(), tensors, options.threads, &task,
                [&](size_t call, const std::vector<ov::Tensor>& values) {
                  std::vector<Sums> own = zero;
                  for (size_t t = 0; t < own.size(); ++t) own[t].add(values[t]);
                  const std::lock_guard lock(mutex);
                  waiting.emplace(call, std::move(own));
                  for (auto next = waiting.begin(); next != waiting.end() && next->first == merged; ++merged) {
                    for (size_t t = 0; t < sums.size(); ++t) sums[t].add(next->second[t]);
                    next = waiting.erase(next);
                  }
                });
  for (size_t t = 0; t < all.size(); ++t) {
    double of_means = 0;
    for (size_t c = 0; c < all[t].means.size(); ++c) {
      const double mean = sums[t].of_channel[c] / std::max(sums[t].positions, 1.0);
      all[t].means[c] = mean;
      of_means += mean * mean;
    }
    if (sums[t].squares != 0) all[t].share = of_means * sums[t].positions / sums[t].squares;
  }
  return all;
}

PreparedModel center_activations(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                 const CenterOptions& options) {
  std::vector<ChannelMeans> tensors = measure_channel_means(core, prepared, calls, options);
  if (!options.always) keep_worthwhile(core, prepared, calls, options, tensors);
  if (tensors.empty()) return prepared;
  PreparedModel centered = copy_of(prepared);
  for (const ChannelMeans& tensor : tensors) {
    std::vector<Layer*> layers;
    for (const size_t l : tensor.layers) layers.push_back(&centered.layers[l]);
    const std::vector<double> taken = subtract(tensor.means, layers);
    for (Layer* layer : layers) {
      restore(*layer, taken);
      layer->centered = true;
    }
  }
  centered.model->validate_nodes_and_infer_types();
  return centered;
}

}  // namespace dnateq
