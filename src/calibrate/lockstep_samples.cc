#include "calibrate/lockstep_samples.h"

#include <algorithm>
#include <openvino/opsets/opset13.hpp>
#include <optional>

#include "calibrate/layer_samples.h"
#include "graph/disk_constants.h"
#include "graph/patterns.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

// Values of a layer's inputs that are sampled, at most: 200 MB of float32.
constexpr double kMostInputValues = 5e7;
// Of its outputs, likewise: 400 MB. Where a table of weights was rounded already for another layer, and only a bias is
// to be found, few rows say enough of it.
constexpr double kMostTargetValues = 1e8, kMostTargetValuesOfBias = 2e7;
// Yet so many rows of them: with fewer, second moments of a thousand inputs would be mostly noise.
constexpr double kFewestRows = 2048;
constexpr uint64_t kLayerSeedStep = 7919;  // a prime, so that layers of neighbouring seeds do not choose alike

// Where a layer's output goes: through additions of constants into a residual addition, and from there perhaps into a
// normalization.
struct Surroundings {
  std::optional<ov::Output<ov::Node>> skip;        // the residual addition's other operand
  std::optional<ov::Output<ov::Node>> norm_input;  // what the normalization reads
  bool is_centred = false;                         // which takes the mean away first: a layer normalization
};

Surroundings surroundings_of(const Layer& layer) {
  Surroundings found;
  const std::optional<ov::Input<ov::Node>> reader = only_reader(after_constant_adds(layer.node->output(0)));
  if (!reader || !ov::is_type<op::Add>(reader->get_node())) return found;
  ov::Node* add = reader->get_node();
  found.skip = add->input_value(1 - reader->get_index());
  if (layer.kind != LayerKind::kMatMul) return found;
  for (const auto& consumer : add->output(0).get_target_inputs()) {
    const ov::Node& node = *consumer.get_node();
    const bool is_centred = ov::is_type<op::MVN>(&node) || ov::is_type<op::ReduceMean>(&node);
    if (!is_centred && !(is_square(node) && is_averaged_over_channels(node))) continue;
    found.norm_input = add->output(0);
    found.is_centred = found.is_centred || is_centred;
  }
  return found;
}

}  // namespace

// Which tensors a layer's samples come from, and which ones the next boundary has.
struct LockstepSampler::Reads {
  const Layer& layer;
  ov::Output<ov::Node> x;
  std::optional<ov::Output<ov::Node>> skip;  // only where the two networks differ in it
  std::optional<ov::Output<ov::Node>> norm_input;
  bool is_centred;
  Outputs live;
  bool inputs_of_fp;  // the quantized network has the same inputs: it need not run

  // Of the FP32 network: the target, what the skip path should be, what the normalization reads, perhaps the inputs,
  // the next boundary.
  Outputs of_fp() const {
    Outputs wanted = {layer.node->output(0)};
    if (skip) wanted.push_back(*skip);
    if (norm_input) wanted.push_back(*norm_input);
    if (inputs_of_fp) wanted.push_back(x);
    wanted.insert(wanted.end(), live.begin(), live.end());
    return wanted;
  }
  size_t norm_at() const { return skip ? 2 : 1; }
  size_t inputs_at() const { return norm_at() + (norm_input ? 1 : 0); }
  size_t live_at() const { return inputs_at() + (inputs_of_fp ? 1 : 0); }
};

struct LockstepSampler::Gathered {
  explicit Gathered(size_t calls) : parts(calls), output_shapes(calls), next_fp(calls), next_quantized(calls) {}

  std::optional<LayerSampler> sampler;
  bool advance = false;  // the next boundary can be kept
  std::vector<LayerSamples> parts;
  std::vector<ov::Shape> output_shapes;
  KeptTensors next_fp, next_quantized;
  std::vector<TensorStore::Kept> outputs;  // of the layer, by call; none where the next boundary has no use for them
  Eigen::MatrixXf inputs;                  // of all calls: the largest matrix is filled in place, not from parts
};

LockstepSampler::LockstepSampler(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                 const QuantizedCopy& quantized, const PassOptions& options, bool alone)
    : core_(core),
      prepared_(prepared),
      calls_(calls),
      quantized_(quantized),
      options_(options),
      alone_(alone),
      large_(prepared.parameters >= kFewestParametersOnDisk),
      order_(prepared.model->get_ordered_ops()),
      store_(options.memory_bytes) {
  for (size_t l = 0; l < prepared.layers.size(); ++l) layer_at_.emplace(prepared.layers[l].node.get(), l);
  for (const auto& parameter : prepared.model->get_parameters()) boundary_.outputs.push_back(parameter->output(0));
}

LayerSamples LockstepSampler::sample(size_t l) {
  load_inputs();
  const Reads reads = reads_of(l);
  Gathered gathered(calls_.size());
  const Outputs of_fp = reads.of_fp();
  const auto itself = [](const ov::Output<ov::Node>& output) { return output; };
  BoundarySlice fp(core_, this->of_fp(), this->of_fp().fp, of_fp, itself, options_.threads);
  plan_rows(l, reads, fp, gathered);
  run_fp(reads, fp, gathered);
  if (reads.inputs_of_fp)
    gathered.next_quantized = gathered.next_fp;
  else
    run_quantized(reads, gathered);
  if (gathered.advance) {
    boundary_.outputs = reads.live;
    boundary_.fp = std::move(gathered.next_fp);
    boundary_.quantized = std::move(gathered.next_quantized);
  }
  if (large_) {
    fp_boundary_.outputs = boundary_.outputs;
    fp_boundary_.fp = boundary_.fp;
    if (!gathered.outputs.empty() && !boundary_.find(of_fp.front())) {
      fp_boundary_.outputs.push_back(of_fp.front());
      for (size_t c = 0; c < calls_.size(); ++c) fp_boundary_.fp[c].push_back(std::move(gathered.outputs[c]));
    }
  }
  LayerSamples samples = join(std::move(gathered.parts));
  if (!reads.inputs_of_fp) samples.inputs = std::move(gathered.inputs);
  return samples;
}

void LockstepSampler::load_inputs() {
  if (!boundary_.fp.empty()) return;
  for (size_t c = 0; c < calls_.size(); ++c) {
    boundary_.fp.emplace_back();
    for (const ov::Tensor& tensor : calls_.tensors(c)) boundary_.fp.back().push_back(store_.keep(tensor));
  }
  boundary_.quantized = boundary_.fp;
  if (large_) fp_boundary_ = boundary_;
}

// Outputs that the unsolved layers from `l` on will still read and that no unsolved layer changes.
Outputs LockstepSampler::live_before(size_t l) {
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

LockstepSampler::Reads LockstepSampler::reads_of(size_t l) {
  const Layer& layer = prepared_.layers[l];
  Reads reads{layer, layer.node->input_value(layer.activation_port), {}, {}, false, live_before(l), large_ && alone_};
  const Surroundings around = surroundings_of(layer);
  if (around.skip && !waiting_.contains(around.skip->get_node()) && behind_a_layer(*around.skip))
    reads.skip = around.skip;
  reads.norm_input = around.norm_input;
  reads.is_centred = around.is_centred;
  return reads;
}

// Probes with the first call: how many positions there are, and how many bytes would stay.
void LockstepSampler::plan_rows(size_t l, const Reads& reads, BoundarySlice& fp, Gathered& gathered) const {
  const Layer& layer = reads.layer;
  size_t live_bytes = 0;
  double positions = 0, output_bytes = 0;
  fp.run(1, reads.live_at() + reads.live.size(), [&](size_t, const std::vector<ov::Tensor>& out) {
    for (size_t i = reads.live_at(); i < out.size(); ++i) live_bytes += out[i].get_byte_size();
    positions = static_cast<double>(LayerSampler::positions(layer, out[0].get_shape()));
    output_bytes = static_cast<double>(out[0].get_byte_size());
  });
  double all_elements = 0;
  for (size_t c = 0; c < calls_.size(); ++c) all_elements += boundary_.elements(c);
  const double scale = all_elements / boundary_.elements(0);
  const double bytes_of_both = 2.0 * static_cast<double>(live_bytes) * scale;
  if (large_ && output_bytes * scale <= static_cast<double>(options_.kept_bytes))
    gathered.outputs.resize(calls_.size());
  gathered.advance = bytes_of_both <= static_cast<double>(options_.kept_bytes);
  const double most_targets = layer.shares_weights_with ? kMostTargetValuesOfBias : kMostTargetValues;
  const double largest_rows = std::min(std::clamp(kMostInputValues / static_cast<double>(layer.groups * layer.columns),
                                                  kFewestRows, static_cast<double>(options_.largest_rows)),
                                       most_targets / static_cast<double>(layer.rows));
  const double share = std::min(1.0, largest_rows / (positions * scale));
  gathered.sampler.emplace(layer, quantized_.encoder(l), share, options_.seed + kLayerSeedStep * (l + 1));
}

// Targets, what the skip path should add to them, and the rows' importance.
void LockstepSampler::run_fp(const Reads& reads, BoundarySlice& fp, Gathered& gathered) {
  fp.run(calls_.size(), reads.live_at(), [&](size_t c, const std::vector<ov::Tensor>& out) {
    const ov::Shape& shape = gathered.output_shapes[c] = out[0].get_shape();
    LayerSamples& part = gathered.parts[c];
    part.targets = gathered.sampler->outputs(c, out[0]);
    if (reads.skip && out[1].get_shape() == shape) part.targets += gathered.sampler->outputs(c, out[1]);
    if (reads.norm_input && out[reads.norm_at()].get_shape() == shape)
      part.weights = gathered.sampler->norm_weights(c, out[reads.norm_at()], reads.is_centred);
    if (reads.inputs_of_fp) part.inputs = gathered.sampler->inputs(c, out[reads.inputs_at()], shape);
    if (!gathered.outputs.empty()) gathered.outputs[c] = store_.keep(out[0]);
    if (!gathered.advance) return;
    for (size_t i = reads.live_at(); i < out.size(); ++i) gathered.next_fp[c].push_back(fp.keep(store_, c, i, out));
  });
}

// Inputs, and what the skip path adds to the targets by now.
void LockstepSampler::run_quantized(const Reads& reads, Gathered& gathered) {
  std::vector<Eigen::Index> first_row(calls_.size() + 1, 0);
  for (size_t c = 0; c < calls_.size(); ++c) first_row[c + 1] = first_row[c] + gathered.parts[c].targets.rows();
  gathered.inputs.resize(first_row.back(), reads.layer.groups * reads.layer.columns);

  Outputs wanted = {reads.x};
  if (reads.skip) wanted.push_back(*reads.skip);
  const size_t live_at = wanted.size();
  if (gathered.advance)
    for (const auto& output : reads.live)
      if (behind_a_layer(output)) wanted.push_back(output);
  const auto in_quantized = [this](const ov::Output<ov::Node>& output) { return quantized_.twin(output); };
  BoundarySlice quantized(core_, boundary_, boundary_.quantized, wanted, in_quantized, options_.threads);
  quantized.run(calls_.size(), live_at, [&](size_t c, const std::vector<ov::Tensor>& out) {
    const ov::Shape& shape = gathered.output_shapes[c];
    LayerSamples& part = gathered.parts[c];
    gathered.inputs.middleRows(first_row[c], part.targets.rows()) = gathered.sampler->inputs(c, out[0], shape);
    if (reads.skip && out[1].get_shape() == shape) part.targets -= gathered.sampler->outputs(c, out[1]);
    if (!gathered.advance) return;
    size_t next = live_at;
    for (size_t i = 0; i < reads.live.size(); ++i) {
      if (behind_a_layer(reads.live[i]))
        gathered.next_quantized[c].push_back(quantized.keep(store_, c, next++, out));
      else  // the same value in both networks
        gathered.next_quantized[c].push_back(gathered.next_fp[c][i]);
    }
  });
}

}  // namespace dnateq
