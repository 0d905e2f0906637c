#include "calibrate/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <openvino/opsets/opset13.hpp>
#include <unordered_map>

#include "calibrate/lockstep.h"
#include "calibrate/parted_sensitivity.h"
#include "calibrate/weight_inputs.h"
#include "data/token_windows.h"
#include "graph/evaluate.h"
#include "graph/runner.h"
#include "graph/taps.h"
#include "search/solve.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

constexpr int kReferenceBits = 4;        // activations are disturbed by their own code at this width
constexpr int64_t kRowsAlone = 1 << 13;  // positions to solve a layer by that is only measured
// Of language models, whose outputs are a vocabulary wide, so much is looked at: few tokens say which layers matter.
constexpr size_t kWideCallsToSolve = 8;  // which have half of kRowsAlone tokens, as long as windows are by default
constexpr size_t kWideCalls = 4;
constexpr int64_t kWideTokens = 64;
constexpr size_t kStages = 8;                    // a disturbance then runs 4.5 eighths of the network, on average
constexpr size_t kStartBytes = size_t{1} << 28;  // kept of the tensors that a stage starts with, all samples

// The samples to measure by.
struct SampleSet {
  const Calls& calls;
  std::vector<std::vector<ov::Tensor>> inputs;  // of the network, by call

  SampleSet(const Calls& all, int64_t count) : calls(all) {
    int64_t samples = 0;
    for (size_t c = 0; c < calls.size() && samples < count; ++c) {
      samples += calls.sample_count(c);
      inputs.push_back(calls.tensors(c));
    }
  }
};

// One stage's part of the FP32 network, compiled once, with a tap on each of its activations, weights and biases of its
// layers as inputs.
class DisturbedNetwork {
 public:
  DisturbedNetwork(ov::Core& core, const PreparedModel& prepared, const SampleSet& samples, const Stage& stage,
                   const Outputs& producers, const MeasureOptions& options)
      : prepared_(prepared), samples_(samples), stage_(stage), options_(options) {
    const ModelCopy copy = copy_model(prepared.model);
    const auto twin = [&](const ov::Output<ov::Node>& output) {
      return copy.copy_of.at(output.get_node())->output(output.get_index());
    };
    Outputs cut;
    for (const auto& parameter : copy.model->get_parameters()) cut.push_back(parameter);
    insert_taps(copy, producers);
    weights_.emplace(prepared, copy, stage.layers);
    given_ = weights_->as_they_are();
    for (const auto& parameter : weights_->parameters()) cut.push_back(parameter);
    if (stage.start.get_node()) {
      keep_start(core);
      if (!start_.empty()) cut.push_back(twin(stage.start));
    }
    std::vector<ov::PartialShape> shapes;
    for (const auto& tensor : cut) shapes.push_back(tensor.get_partial_shape());
    Outputs wanted;
    for (size_t i = 0; i < copy.model->get_results().size(); ++i)
      if (options.all_outputs || i == options.output) wanted.push_back(copy.model->get_results()[i]->input_value(0));
    Subgraph part = extract_subgraph(cut, shapes, wanted);
    inputs_ = std::move(part.inputs);
    runner_.emplace(core, part.model, options.threads);
    reference_ = run();
  }

  // `i` counts the stage's activations.
  double activation(size_t i, const TensorCode& code) {
    taps_[i]->encoder = std::make_shared<Encoder>(code);
    const double divergence = compare(run());
    taps_[i]->encoder.reset();
    return divergence;
  }

  // `i` counts the stage's layers.
  double weights(size_t i, const LayerSolution& solution) {
    given_ = weights_->disturbed(i, solution);
    const double divergence = compare(run());
    given_ = weights_->as_they_are();
    return divergence;
  }

 private:
  using Values = std::vector<OutputValues>;

  void insert_taps(const ModelCopy& copy, const Outputs& producers) {
    for (const size_t a : stage_.activations) {
      const auto tensor = copy.copy_of.at(producers[a].get_node())->output(producers[a].get_index());
      std::vector<ov::Input<ov::Node>> readers;
      for (const Layer& layer : prepared_.layers) {
        if (layer.kind == LayerKind::kEmbedding) continue;
        const auto node = copy.copy_of.at(layer.node.get());
        if (node->input_value(layer.activation_port) == tensor) readers.push_back(node->input(layer.activation_port));
      }
      taps_.push_back(std::make_shared<TapState>());
      const auto tap = std::make_shared<Tap>(tensor, taps_.back());
      for (auto reader : readers) reader.replace_source_output(tap->output(0));
    }
  }

  // The values of the tensor that the stage starts with; none if they are too many to keep.
  void keep_start(ov::Core& core) {
    const size_t count = samples_.inputs.size();
    start_.resize(count);
    std::vector<uint8_t> kept(count, 0);
    visit_tensors(core, *prepared_.model, samples_.calls, count, {stage_.start}, options_.threads, nullptr,
                  [&](size_t c, const std::vector<ov::Tensor>& tensors) {
                    if (tensors[0].get_byte_size() * count > kStartBytes) return;
                    start_[c] = ov::Tensor(tensors[0].get_element_type(), tensors[0].get_shape());
                    if (tensors[0].get_size() > 0) tensors[0].copy_to(start_[c]);  // it may crash on an empty one
                    kept[c] = 1;
                  });
    if (std::find(kept.begin(), kept.end(), 0) != kept.end()) start_.clear();
  }

  Values run() {
    const size_t count = samples_.inputs.size();
    Values values(runner_->compiled().outputs().size());
    for (OutputValues& output : values) {
      output.values.resize(count);
      output.width.resize(count);
      for (size_t c = 0; c < count; ++c) output.samples.push_back(samples_.calls.sample_count(c));
    }
    runner_->run(
        count,
        [&](size_t c) {
          std::vector<ov::Tensor> all = samples_.inputs[c], used;
          all.insert(all.end(), given_.begin(), given_.end());
          if (!start_.empty()) all.push_back(start_[c]);
          for (const size_t i : inputs_) used.push_back(all[i]);
          return used;
        },
        [&](size_t c, const std::vector<ov::Tensor>& outputs) {
          for (size_t i = 0; i < outputs.size(); ++i) {
            if (outputs[i].get_element_type() != ov::element::f32) continue;
            values[i].values[c].assign(outputs[i].data<float>(), outputs[i].data<float>() + outputs[i].get_size());
            values[i].width[c] = outputs[i].get_shape().empty() ? 1 : outputs[i].get_shape().back();
          }
        });
    return values;
  }

  double compare(const Values& values) const {
    if (!options_.all_outputs) {
      const Metric metric = options_.metric == Metric::kCosine ? Metric::kCosine : Metric::kKl;
      const double mean_score = mean(score(metric, values[0], reference_[0], {}));
      return metric == Metric::kCosine ? 1 - mean_score : mean_score;
    }
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      double error = 0, power = 0;
      for (size_t c = 0; c < values[i].values.size(); ++c)
        for (size_t j = 0; j < values[i].values[c].size(); ++j) {
          const double wanted = static_cast<double>(reference_[i].values[c][j]);
          const double difference = static_cast<double>(values[i].values[c][j]) - wanted;
          error += difference * difference;
          power += wanted * wanted;
        }
      sum += power > 0 ? error / power : 0;
    }
    return sum;
  }

  const PreparedModel& prepared_;
  const SampleSet& samples_;
  const Stage& stage_;
  const MeasureOptions& options_;
  std::vector<std::shared_ptr<TapState>> taps_;  // by the stage's activations
  std::optional<WeightInputs> weights_;          // of the stage's layers
  std::vector<ov::Tensor> given_;                // for these inputs, at present
  std::vector<ov::Tensor> start_;                // by call
  std::vector<size_t> inputs_;                   // of the part, as places in inputs, weights and biases, start
  std::optional<Runner> runner_;
  Values reference_;
};

std::vector<int64_t> first_of(std::vector<int64_t> all, size_t count) {
  all.resize(std::min(all.size(), count));
  return all;
}

}  // namespace

std::vector<Stage> stages_of(const PreparedModel& prepared, const Outputs& producers, size_t wanted) {
  const auto ordered = prepared.model->get_ordered_ops();
  std::unordered_map<const ov::Node*, size_t> place;
  for (size_t p = 0; p < ordered.size(); ++p) place[ordered[p].get()] = p;
  std::vector<size_t> layers_before(ordered.size() + 1, 0);  // layers at places before p
  for (const Layer& layer : prepared.layers) ++layers_before[place.at(layer.node.get()) + 1];
  for (size_t p = 0; p < ordered.size(); ++p) layers_before[p + 1] += layers_before[p];

  // `open`: nodes up to p that depend on a layer and are still read after p. Alone among them, p carries everything on.
  std::vector<bool> of_a_layer(ordered.size(), false);
  std::vector<size_t> closing(ordered.size() + 1, 0);
  std::vector<size_t> cuts;
  size_t open = 0;
  for (size_t p = 0; p < ordered.size(); ++p) {
    const ov::Node& node = *ordered[p];
    of_a_layer[p] = layers_before[p + 1] > layers_before[p];
    for (const auto& input : node.input_values())
      of_a_layer[p] = of_a_layer[p] || of_a_layer[place.at(input.get_node())];
    size_t last = p;
    for (const auto& output : node.outputs())
      for (const auto& reader : output.get_target_inputs()) last = std::max(last, place.at(reader.get_node()));
    open -= closing[p];
    if (!of_a_layer[p] || last == p) continue;
    ++open;
    ++closing[last];
    if (open == 1 && node.get_output_size() == 1 && node.get_output_element_type(0) == ov::element::f32)
      cuts.push_back(p);
  }

  std::vector<size_t> starts;  // places; a stage holds what lies behind its start
  for (size_t s = 1; s < wanted; ++s) {
    const size_t layers = prepared.layers.size() * s / wanted;
    const auto cut = std::find_if(cuts.begin(), cuts.end(), [&](size_t p) { return layers_before[p + 1] >= layers; });
    if (cut == cuts.end() || layers_before[*cut + 1] == prepared.layers.size()) break;
    const size_t before = starts.empty() ? 0 : layers_before[starts.back() + 1];
    if (layers_before[*cut + 1] > before) starts.push_back(*cut);
  }
  std::vector<Stage> stages(1);
  for (const size_t p : starts) stages.push_back({ordered[p]->output(0), {}, {}});
  for (size_t l = 0; l < prepared.layers.size(); ++l) {  // a layer that computes a start lies before it
    const size_t p = place.at(prepared.layers[l].node.get());
    stages[static_cast<size_t>(std::lower_bound(starts.begin(), starts.end(), p) - starts.begin())].layers.push_back(l);
  }
  for (size_t a = 0; a < producers.size(); ++a) {  // the readers of a start lie behind it
    const size_t p = place.at(producers[a].get_node());
    stages[static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), p) - starts.begin())]
        .activations.push_back(a);
  }
  return stages;
}

void measure_sensitivities(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const Outputs& producers,
                           const MeasureOptions& options, Measurements& measurements) {
  PassOptions alone;
  alone.solve.uniform = options.uniform;
  alone.solve.sweeps = 1;
  alone.weights_only = options.weights_only;
  alone.largest_rows = kRowsAlone;
  alone.seed = options.seed;
  alone.threads = options.threads;
  alone.progress = options.progress;
  alone.stage = "solving layers one by one";
  std::vector<TensorCode> requests;
  const bool wide = is_wide(std::as_const(*prepared.model).output(options.output));
  const std::vector<int> widths(kMeasuredWidths.begin(), wide ? kMeasuredWidths.begin() + 1 : kMeasuredWidths.end());
  for (const int bits : widths) requests.push_back(with_level_counts(options.request, bits));
  std::unique_ptr<Samples> short_samples;
  std::optional<Calls> short_calls, calls_to_solve;
  if (wide) {
    short_samples = first_tokens(calls.source(), kWideTokens);
    short_calls.emplace(*short_samples, *prepared.model, first_of(calls.chosen(), kWideCalls));
    calls_to_solve.emplace(calls.source(), *prepared.model, first_of(calls.chosen(), kWideCallsToSolve));
  }
  // A base can only be shared once the activations' is chosen.
  for (TensorCode& request : requests)
    if (request.family == Family::kSharedBase) request.family = Family::kFree;
  const auto solutions = solve_each_alone(core, prepared, calls_to_solve ? *calls_to_solve : calls, requests, alone);

  Task task(options.progress, "measuring sensitivities",
            (options.weights_only ? 0 : producers.size()) + widths.size() * prepared.layers.size());
  if (wide && options.weights_only && !options.all_outputs) {
    measure_part_by_part(
        core, prepared, *short_calls, solutions, options, [&task] { task.advance(); },
        [&](size_t w, size_t layer, double divergence) {
          measurements.layers[layer].weights.divergence[static_cast<size_t>(widths[w])] = divergence;
        });
    for (LayerMeasurement& layer : measurements.layers) complete_divergence(layer.weights);
    measurements.has_sensitivities = true;
    return;
  }
  const SampleSet samples(short_calls ? *short_calls : calls, options.sensitivity_samples);
  for (const Stage& stage : stages_of(prepared, producers, kStages)) {
    DisturbedNetwork network(core, prepared, samples, stage, producers, options);
    for (size_t i = 0; i < stage.activations.size(); ++i) {
      ActivationMeasurement& m = measurements.activations[stage.activations[i]];
      const FitResult& fit = m.fits[kReferenceBits];
      if (!options.weights_only && fit.relative_error > 0)
        m.sensitivity = network.activation(i, fit.code) / fit.relative_error;
      if (!options.weights_only) task.advance();
    }
    for (size_t i = 0; i < stage.layers.size(); ++i) {
      WeightMeasurement& m = measurements.layers[stage.layers[i]].weights;
      for (size_t w = 0; w < widths.size(); ++w) {
        m.divergence[static_cast<size_t>(widths[w])] = network.weights(i, solutions[w][stage.layers[i]]);
        task.advance();
      }
      complete_divergence(m);
    }
  }
  measurements.has_sensitivities = true;
}

}  // namespace dnateq
