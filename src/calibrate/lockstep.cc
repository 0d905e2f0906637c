#include "calibrate/lockstep.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <set>

#include "calibrate/layer_samples.h"
#include "calibrate/tensor_store.h"
#include "core/hash.h"
#include "graph/runner.h"
#include "graph/subgraph.h"
#include "graph/taps.h"
#include "search/solution_file.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

// Where a layer's output goes: through additions of constants into a residual addition, and from there perhaps into a
// layer normalization.
struct Surroundings {
  std::optional<ov::Output<ov::Node>> skip;        // the residual addition's other operand
  std::optional<ov::Output<ov::Node>> norm_input;  // what the normalization reads
};

Surroundings surroundings_of(const Layer& layer) {
  Surroundings found;
  ov::Output<ov::Node> out = layer.node->output(0);
  while (out.get_target_inputs().size() == 1) {
    const ov::Input<ov::Node> consumer = *out.get_target_inputs().begin();
    ov::Node* add = consumer.get_node();
    if (!ov::is_type<op::Add>(add)) return found;
    const ov::Output<ov::Node> other = add->input_value(1 - consumer.get_index());
    out = add->output(0);
    if (ov::is_type<op::Constant>(other.get_node())) continue;
    found.skip = other;
    break;
  }
  if (!found.skip || layer.kind != LayerKind::kMatMul) return found;
  for (const auto& consumer : out.get_target_inputs())
    if (ov::is_type<op::MVN>(consumer.get_node()) || ov::is_type<op::ReduceMean>(consumer.get_node()))
      found.norm_input = out;
  return found;
}

using Kept = TensorStore::Kept;

// Tensors of the boundary: their place in the FP32 graph and their values for every call, in both networks.
struct Boundary {
  Outputs outputs;
  std::vector<std::vector<Kept>> fp, q;  // [call][output]

  std::optional<size_t> find(const ov::Output<ov::Node>& output) const {
    const auto at = std::find(outputs.begin(), outputs.end(), output);
    if (at == outputs.end()) return {};
    return static_cast<size_t>(at - outputs.begin());
  }
  // Static where all calls agree, else the graph's own.
  std::vector<ov::PartialShape> shapes() const {
    std::vector<ov::PartialShape> all;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const ov::Shape first = fp[0][i].shape();
      const bool same = std::all_of(fp.begin(), fp.end(), [&](const auto& call) { return call[i].shape() == first; });
      all.push_back(same ? ov::PartialShape(first) : outputs[i].get_partial_shape());
    }
    return all;
  }
};

class Pass {
 public:
  Pass(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const std::vector<LayerPlan>& plan,
       const PassOptions& options)
      : core_(core),
        prepared_(prepared),
        calls_(calls),
        plan_(plan),
        options_(options),
        alone_(plan.empty()),
        order_(prepared.model->get_ordered_ops()),
        quantized_(copy_model(prepared.model)),
        store_(options.memory_bytes) {
    for (size_t l = 0; l < prepared.layers.size(); ++l) layer_at_.emplace(prepared.layers[l].node.get(), l);
    for (const auto& parameter : prepared.model->get_parameters()) boundary_.outputs.push_back(parameter->output(0));
    if (alone_)
      encoders_.resize(prepared.layers.size());
    else
      add_taps();
  }

  std::vector<LayerSolution> run() {
    Task task(options_.progress, options_.stage, prepared_.layers.size());
    for (size_t l = 0; l < prepared_.layers.size(); ++l) {
      solutions_.push_back(solve_or_load(l));
      install(l);
      task.advance();
    }
    return std::move(solutions_);
  }

  std::vector<std::vector<LayerSolution>> run_alone(const std::vector<TensorCode>& requests) {
    Task task(options_.progress, options_.stage, prepared_.layers.size());
    std::vector<std::vector<LayerSolution>> solutions(requests.size());
    for (size_t l = 0; l < prepared_.layers.size(); ++l) {
      const std::optional<LayerSamples> samples = needs_samples(l) ? std::optional(sample(l)) : std::nullopt;
      for (size_t r = 0; r < requests.size(); ++r)
        solutions[r].push_back(solve(l, requests[r], false, samples, solutions[r]));
      task.advance();
    }
    return solutions;
  }

 private:
  ov::Output<ov::Node> in_quantized(const ov::Output<ov::Node>& output) const {
    const auto corrected = corrected_.find(output);
    if (corrected != corrected_.end()) return corrected->second;
    return quantized_.copy_of.at(output.get_node())->output(output.get_index());
  }

  void add_taps() {
    std::map<ov::Output<ov::Node>, std::shared_ptr<Tap>> taps;
    for (size_t l = 0; l < prepared_.layers.size(); ++l) {
      const Layer& layer = prepared_.layers[l];
      encoders_.emplace_back();
      if (layer.kind == LayerKind::kEmbedding || !plan_[l].quantize_activations) continue;
      const auto node = quantized_.copy_of.at(layer.node.get());
      const ov::Output<ov::Node> producer = node->input_value(layer.activation_port);
      auto& tap = taps[producer];
      if (!tap) {
        auto state = std::make_shared<TapState>();
        state->encoder = std::make_shared<Encoder>(plan_[l].activations);
        tap = std::make_shared<Tap>(producer, state);
        tap->set_friendly_name(fmt::format("dnateq_tap_{}", l));
      }
      encoders_.back() = tap->state()->encoder;
      node->input(layer.activation_port).replace_source_output(tap->output(0));
    }
  }

  void load_inputs() {
    if (!boundary_.fp.empty()) return;
    for (size_t c = 0; c < calls_.size(); ++c) {
      boundary_.fp.emplace_back();
      for (const ov::Tensor& tensor : calls_.tensors(c)) boundary_.fp.back().push_back(store_.keep(tensor));
    }
    boundary_.q = boundary_.fp;
  }

  // Outputs that the unsolved layers from `l` on will still read and that no unsolved layer changes.
  Outputs live_before(size_t l) {
    std::set<const ov::Node*> waits, varies;
    touched_.clear();
    for (const auto& node : order_) {
      const auto at = layer_at_.find(node.get());
      bool waiting = at != layer_at_.end() && at->second >= l;
      bool varying = ov::is_type<op::Parameter>(node);
      bool touched = at != layer_at_.end();
      for (const auto& input : node->input_values()) {
        waiting = waiting || waits.contains(input.get_node());
        varying = varying || varies.contains(input.get_node());
        touched = touched || touched_.contains(input.get_node());
      }
      if (waiting) waits.insert(node.get());
      if (varying) varies.insert(node.get());
      if (touched) touched_.insert(node.get());
    }
    Outputs live;
    for (const auto& node : order_) {
      if (waits.contains(node.get()) || !varies.contains(node.get())) continue;
      for (const auto& output : node->outputs()) {
        const auto readers = output.get_target_inputs();
        if (std::any_of(readers.begin(), readers.end(), [&](const auto& r) { return waits.contains(r.get_node()); }))
          live.push_back(output);
      }
    }
    waiting_ = std::move(waits);
    if (alone_) touched_.clear();  // nothing differs from the FP32 network
    return live;
  }

  // A part of one of the two networks that computes `wanted` from the boundary; tensors of the boundary are passed on.
  struct Part {
    Outputs wanted;                           // in the FP32 graph
    std::vector<std::optional<size_t>> kept;  // where `wanted` is a boundary tensor already
    Subgraph graph;
    std::unique_ptr<Runner> runner;
    const std::vector<std::vector<Kept>>* values = nullptr;

    std::vector<ov::Tensor> feed(size_t call) const {
      std::vector<ov::Tensor> inputs;
      for (const size_t i : graph.inputs) inputs.push_back((*values)[call][i].load());
      return inputs;
    }
    // Tensors of the boundary are loaded only among the first `read`; the others stay empty.
    std::vector<ov::Tensor> collect(size_t call, const std::vector<ov::Tensor>& outputs, size_t read) const {
      std::vector<ov::Tensor> all;
      size_t next = 0;
      for (size_t i = 0; i < kept.size(); ++i) {
        if (!kept[i])
          all.push_back(outputs[next++]);
        else
          all.push_back(i < read ? (*values)[call][*kept[i]].load() : ov::Tensor());
      }
      return all;
    }
    // For the next boundary; `tensors` are what run() gave for this call.
    Kept keep(TensorStore& store, size_t call, size_t i, const std::vector<ov::Tensor>& tensors) const {
      return kept[i] ? (*values)[call][*kept[i]] : store.keep(tensors[i]);
    }
    template <typename Visit>
    void run(size_t calls, size_t read, const Visit& visit) {
      if (!runner) {
        for (size_t c = 0; c < calls; ++c) visit(c, collect(c, {}, read));
        return;
      }
      runner->run(
          calls, [&](size_t c) { return feed(c); },
          [&](size_t c, const std::vector<ov::Tensor>& outputs) { visit(c, collect(c, outputs, read)); });
    }
  };

  Part make_part(const Outputs& wanted, bool quantized) {
    Part part;
    part.wanted = wanted;
    part.values = quantized ? &boundary_.q : &boundary_.fp;
    Outputs missing;
    for (const auto& output : wanted) {
      part.kept.push_back(boundary_.find(output));
      if (!part.kept.back()) missing.push_back(quantized ? in_quantized(output) : output);
    }
    if (missing.empty()) return part;
    Outputs cut = boundary_.outputs;
    if (quantized)
      for (auto& output : cut) output = in_quantized(output);
    part.graph = extract_subgraph(cut, boundary_.shapes(), missing);
    part.runner = std::make_unique<Runner>(core_, part.graph.model, options_.threads);
    return part;
  }

  bool needs_samples(size_t l) const {
    return prepared_.layers[l].kind != LayerKind::kEmbedding && (alone_ || !plan_[l].weights_fixed);
  }

  // What every layer that reads the weights of layer l asks of them.
  std::vector<ColumnPair> pairs_of(size_t l) const {
    std::vector<ColumnPair> pairs;
    for (size_t other = l; other < plan_.size() && pairs.empty(); ++other)
      if (plan_[other].any_cpu && plan_[other].quantize_activations &&
          (other == l || prepared_.layers[other].shares_weights_with == static_cast<int>(l)))
        pairs = prepared_.layers[other].added_pairs();
    return pairs;
  }

  // `earlier`: solutions of the layers before.
  LayerSolution solve(size_t l, const TensorCode& request, bool fixed, const std::optional<LayerSamples>& samples,
                      const std::vector<LayerSolution>& earlier) const {
    const Layer& layer = prepared_.layers[l];
    const LayerShape shape{layer.rows, layer.columns, layer.groups, pairs_of(l)};
    if (layer.shares_weights_with >= 0) {
      LayerSolution solution = earlier[static_cast<size_t>(layer.shares_weights_with)];
      solution.bias.clear();
      if (samples) correct_bias(solution, shape, *samples);
      solution.nearest_output_relative_error = solution.output_relative_error;  // no other rounding was to be had
      return solution;
    }
    if (fixed) return with_fixed_code(layer.weight_matrix(), shape, request);
    if (!samples) return quantize_rows(layer.weight_matrix(), shape, request, true, options_.solve.uniform);
    return solve_layer(layer.weight_matrix(), shape, *samples, request, options_.solve);
  }

  // Of the layer's codes, which may be another's.
  const TensorCode& request_of(size_t l) const {
    const int owner = prepared_.layers[l].shares_weights_with;
    return plan_[owner < 0 ? l : static_cast<size_t>(owner)].weights;
  }

  LayerSolution solve_or_load(size_t l) {
    const std::filesystem::path file =
        options_.checkpoints.empty() ? "" : options_.checkpoints / fmt::format("{:04}.cbor", l);
    const Layer& layer = prepared_.layers[l];
    if (!file.empty())
      if (auto solution = load_solution(file, {layer.rows, layer.columns, layer.groups}, request_of(l)))
        return *solution;
    const std::optional<LayerSamples> samples = needs_samples(l) ? std::optional(sample(l)) : std::nullopt;
    LayerSolution solution = solve(l, plan_[l].weights, plan_[l].weights_fixed, samples, solutions_);
    if (!file.empty()) save_solution(solution, file);
    return solution;
  }

  LayerSamples sample(size_t l) {
    load_inputs();
    const Layer& layer = prepared_.layers[l];
    const Outputs live = live_before(l);
    const Surroundings around = surroundings_of(layer);
    const bool with_skip =
        around.skip && !waiting_.contains(around.skip->get_node()) && touched_.contains(around.skip->get_node());
    const ov::Output<ov::Node> x = layer.node->input_value(layer.activation_port);

    // FP32: the target, what the skip path should be, what the normalization reads, and the next boundary.
    Outputs fp_wanted = {layer.node->output(0)};
    if (with_skip) fp_wanted.push_back(*around.skip);
    if (around.norm_input) fp_wanted.push_back(*around.norm_input);
    const size_t fp_live_at = fp_wanted.size();
    fp_wanted.insert(fp_wanted.end(), live.begin(), live.end());
    Part fp = make_part(fp_wanted, false);

    // Probe with the first call: how many positions, how many bytes would stay.
    size_t live_bytes = 0;
    double positions = 0, probe_elements = 1, all_elements = 1;
    fp.run(1, fp_wanted.size(), [&](size_t, const std::vector<ov::Tensor>& out) {
      for (size_t i = fp_live_at; i < out.size(); ++i) live_bytes += out[i].get_byte_size();
      positions = static_cast<double>(LayerSampler::positions(layer, out[0].get_shape()));
    });
    probe_elements = elements(0);
    all_elements = 0;
    for (size_t c = 0; c < calls_.size(); ++c) all_elements += elements(c);
    const double scale = all_elements / probe_elements;
    const bool advance = 2.0 * static_cast<double>(live_bytes) * scale <= static_cast<double>(options_.kept_bytes);
    const double largest_rows = std::clamp(5e7 / static_cast<double>(layer.groups * layer.columns), 2048.0,
                                           static_cast<double>(options_.largest_rows));
    const double share = std::min(1.0, largest_rows / (positions * scale));
    const LayerSampler sampler(layer, encoders_[l].get(), share, options_.seed + 7919 * (l + 1));

    std::vector<LayerSamples> parts(calls_.size());
    std::vector<ov::Shape> output_shapes(calls_.size());
    std::vector<std::vector<Kept>> next_fp(calls_.size());
    fp.run(calls_.size(), fp_live_at, [&](size_t c, const std::vector<ov::Tensor>& out) {
      output_shapes[c] = out[0].get_shape();
      parts[c].targets = sampler.outputs(c, out[0]);
      if (with_skip && out[1].get_shape() == output_shapes[c]) parts[c].targets += sampler.outputs(c, out[1]);
      if (around.norm_input && out[fp_live_at - 1].get_shape() == output_shapes[c])
        parts[c].weights = sampler.norm_weights(c, out[fp_live_at - 1]);
      if (!advance) return;
      for (size_t i = fp_live_at; i < out.size(); ++i) next_fp[c].push_back(fp.keep(store_, c, i, out));
    });

    // The largest matrix is filled in place, not from parts.
    std::vector<Eigen::Index> first_row(calls_.size() + 1, 0);
    for (size_t c = 0; c < calls_.size(); ++c) first_row[c + 1] = first_row[c] + parts[c].targets.rows();
    Eigen::MatrixXf inputs(first_row.back(), layer.groups * layer.columns);

    Outputs q_wanted = {x};
    if (with_skip) q_wanted.push_back(*around.skip);
    const size_t q_live_at = q_wanted.size();
    if (advance)
      for (const auto& output : live)
        if (touched_.contains(output.get_node())) q_wanted.push_back(output);
    Part q = make_part(q_wanted, true);
    std::vector<std::vector<Kept>> next_q(calls_.size());
    q.run(calls_.size(), q_live_at, [&](size_t c, const std::vector<ov::Tensor>& out) {
      inputs.middleRows(first_row[c], parts[c].targets.rows()) = sampler.inputs(c, out[0], output_shapes[c]);
      if (with_skip && out[1].get_shape() == output_shapes[c]) parts[c].targets -= sampler.outputs(c, out[1]);
      if (!advance) return;
      size_t next = q_live_at;
      for (size_t i = 0; i < live.size(); ++i) {
        if (!touched_.contains(live[i].get_node())) {  // no layer before it: the same value in both networks
          next_q[c].push_back(next_fp[c][i]);
        } else {
          next_q[c].push_back(q.keep(store_, c, next, out));
          ++next;
        }
      }
    });
    if (advance) {
      boundary_.outputs = live;
      boundary_.fp = std::move(next_fp);
      boundary_.q = std::move(next_q);
    }
    LayerSamples samples = join(std::move(parts));
    samples.inputs = std::move(inputs);
    return samples;
  }

  double elements(size_t call) const {
    double sum = 0;
    for (const Kept& tensor : boundary_.fp[call]) sum += static_cast<double>(tensor.elements());
    return std::max(sum, 1.0);
  }

  // The quantized network takes over the layer's codes and bias.
  void install(size_t l) {
    const Layer& layer = prepared_.layers[l];
    const LayerSolution& solution = solutions_[l];
    const auto node = quantized_.copy_of.at(layer.node.get());
    const std::vector<float> weights = layer.to_model_layout(decode_weights(solution, layer.columns));
    node->input(layer.weight_port)
        .replace_source_output(op::Constant::create(ov::element::f32, layer.weights()->get_shape(), weights));
    if (solution.bias.empty()) return;
    ov::Shape shape;
    if (layer.kind == LayerKind::kMatMul) {
      shape = {solution.bias.size()};
    } else {
      shape.assign(layer.node->get_output_partial_shape(0).size(), 1);
      shape[1] = solution.bias.size();
    }
    const auto readers = node->output(0).get_target_inputs();
    const auto add = std::make_shared<op::Add>(node, op::Constant::create(ov::element::f32, shape, solution.bias));
    add->set_friendly_name(layer.name + "/dnateq_bias");
    for (auto reader : readers) reader.replace_source_output(add->output(0));
    corrected_.emplace(layer.node->output(0), add->output(0));
  }

  ov::Core& core_;
  const PreparedModel& prepared_;
  const Calls& calls_;
  const std::vector<LayerPlan>& plan_;
  const PassOptions& options_;
  const bool alone_;  // no plan: layers are solved one by one in the FP32 network; nothing is installed
  ov::NodeVector order_;
  ModelCopy quantized_;
  std::map<const ov::Node*, size_t> layer_at_;
  std::vector<std::shared_ptr<const Encoder>> encoders_;            // of the tensor entering each layer
  std::map<ov::Output<ov::Node>, ov::Output<ov::Node>> corrected_;  // layer outputs -> their bias additions
  TensorStore store_;
  Boundary boundary_;
  std::set<const ov::Node*> waiting_, touched_;  // at the layer under way: behind unsolved layers; behind any layer
  std::vector<LayerSolution> solutions_;
};

}  // namespace

std::vector<LayerSolution> run_pass(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                    const std::vector<LayerPlan>& plan, const PassOptions& options) {
  return Pass(core, prepared, calls, plan, options).run();
}

std::vector<std::vector<LayerSolution>> solve_each_alone(ov::Core& core, const PreparedModel& prepared,
                                                         const Calls& calls, const std::vector<TensorCode>& requests,
                                                         const PassOptions& options) {
  return Pass(core, prepared, calls, {}, options).run_alone(requests);
}

}  // namespace dnateq
