#include "calibrate/parted_sensitivity.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "calibrate/boundary.h"
#include "calibrate/weight_inputs.h"
#include "graph/disk_constants.h"
#include "graph/evaluate.h"
#include "graph/parts.h"
#include "graph/runner.h"
#include "graph/tensor_store.h"

namespace dnateq {
namespace {

constexpr size_t kVariantMemoryBytes = size_t{64} << 20;  // of the tensors between parts; the rest lies on disk

// A network that differs from the original in one layer's weights; the original itself.
struct Variant {
  size_t w = 0, layer = 0;
  KeptTensors kept;                         // of the boundary
  std::vector<std::vector<double>> scores;  // by call, at the end
};

class VariedNetwork {
 public:
  VariedNetwork(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                const std::vector<std::vector<LayerSolution>>& solutions, const MeasureOptions& options,
                size_t part_bytes)
      : core_(core),
        prepared_(prepared),
        calls_(calls),
        solutions_(solutions),
        options_(options),
        plan_(plan_parts(*prepared.model, part_bytes)),
        output_(prepared.model->get_results()[options.output]->input_value(0)),
        store_(kVariantMemoryBytes),
        original_(1),
        outputs_(calls.size()) {
    for (size_t c = 0; c < calls.size(); ++c) inputs_.push_back(calls.tensors(c));
    for (const auto& parameter : prepared.model->get_parameters()) parameters_.push_back(parameter->output(0));
    original_.front().kept.resize(calls.size());
    std::map<const ov::Node*, size_t> layers;
    for (size_t l = 0; l < prepared.layers.size(); ++l) layers[prepared.layers[l].node.get()] = l;
    layers_.resize(plan_.ends.size());
    for (size_t p = 0, part = 0; p < plan_.order.size(); ++p) {
      const ov::Node* node = plan_.order[p].get();
      const auto layer = layers.find(node);
      bool touched = layer != layers.end();
      if (touched) layers_[part].push_back(layer->second);
      for (const auto& input : node->input_values()) touched = touched || touched_.contains(input.get_node());
      if (touched) touched_.insert(node);
      if (p == plan_.ends[part]) ++part;
    }
  }

  const std::vector<Variant>& run(const std::function<void()>& begun) {
    for (part_ = 0; part_ < plan_.ends.size(); ++part_) {
      next_ = is_last() ? Outputs() : read_behind(plan_, plan_.ends[part_]);
      std::erase_if(next_, [this](const auto& output) { return in(parameters_, output).has_value(); });
      wanted_.clear();
      for (const auto& output : next_)
        if (!in(boundary_, output)) wanted_.push_back(output);
      if (is_last()) wanted_.push_back(output_);
      std::vector<Variant> own = variants_of_part();
      run_as_it_is();
      run_disturbed(own, begun);
      variants_.insert(variants_.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
      boundary_ = next_;
    }
    return variants_;
  }

 private:
  static std::optional<size_t> in(const Outputs& outputs, const ov::Output<ov::Node>& output) {
    const auto at = std::find(outputs.begin(), outputs.end(), output);
    return at == outputs.end() ? std::nullopt : std::optional<size_t>(at - outputs.begin());
  }

  bool is_last() const { return part_ + 1 == plan_.ends.size(); }

  std::vector<Variant> variants_of_part() const {
    std::vector<Variant> variants;
    for (const size_t layer : layers_[part_])
      for (size_t w = 0; w < solutions_.size(); ++w) variants.push_back({w, layer, original_.front().kept, {}});
    return variants;
  }

  // The original first, since others are compared with it, and share with it what no layer changes.
  void run_as_it_is() {
    Outputs cut = parameters_;
    cut.insert(cut.end(), boundary_.begin(), boundary_.end());
    const Subgraph part = extract_subgraph(cut, shapes_of(cut), wanted_);
    Runner runner(core_, part.model, options_.threads);
    run_variants(runner, part, original_, {});
    run_variants(runner, part, variants_, {});
  }

  void run_disturbed(std::vector<Variant>& own, const std::function<void()>& begun) {
    if (own.empty()) return;
    const ModelCopy copy = copy_model(prepared_.model);
    const WeightInputs weights(prepared_, copy, layers_[part_]);
    Outputs cut, wanted;
    for (const Outputs* outputs : {&parameters_, &boundary_})
      for (const auto& output : *outputs) cut.push_back(weights.twin(output));
    for (const auto& parameter : weights.parameters()) cut.push_back(parameter->output(0));
    for (const auto& output : wanted_) wanted.push_back(weights.twin(output));
    const Subgraph part = extract_subgraph(cut, shapes_of(cut), wanted);
    Runner runner(core_, part.model, options_.threads);
    for (Variant& variant : own) {
      begun();
      const std::vector<size_t>& layers = layers_[part_];
      const auto at = std::find(layers.begin(), layers.end(), variant.layer) - layers.begin();
      run_variants(runner, part, std::span(&variant, 1),
                   weights.disturbed(static_cast<size_t>(at), solutions_[variant.w][variant.layer]));
    }
    for (const size_t layer : layers_[part_]) leave_memory(*prepared_.layers[layer].weights());
  }

  static std::vector<ov::PartialShape> shapes_of(const Outputs& cut) {
    std::vector<ov::PartialShape> shapes;
    for (const auto& output : cut) shapes.push_back(output.get_partial_shape());
    return shapes;
  }

  // `more`: inputs behind those of the network and the boundary.
  void run_variants(Runner& runner, const Subgraph& part, std::span<Variant> variants,
                    const std::vector<ov::Tensor>& more) {
    const size_t count = calls_.size();
    std::vector<KeptTensors> next(variants.size(), KeptTensors(count));
    for (Variant& variant : variants) variant.scores.resize(count);
    runner.run(
        variants.size() * count, [&](size_t job) { return fed(part, variants[job / count], job % count, more); },
        [&](size_t job, const std::vector<ov::Tensor>& outputs) {
          Variant& variant = variants[job / count];
          const size_t c = job % count;
          if (!is_last())
            next[job / count][c] = kept_next(variant, c, outputs);
          else if (&variant == original_.data())
            outputs_[c] = values_of(c, outputs.back());
          else
            variant.scores[c] = score(metric(), values_of(c, outputs.back()), outputs_[c], {});
        });
    for (size_t v = 0; v < variants.size(); ++v) variants[v].kept = std::move(next[v]);
  }

  std::vector<ov::Tensor> fed(const Subgraph& part, const Variant& variant, size_t call,
                              const std::vector<ov::Tensor>& more) const {
    std::vector<ov::Tensor> inputs;
    for (const size_t i : part.inputs) {
      const size_t behind = i - parameters_.size();  // where i is no parameter
      inputs.push_back(i < parameters_.size()      ? inputs_[call][i]
                       : behind < boundary_.size() ? variant.kept[call][behind].load()
                                                   : more[behind - boundary_.size()]);
    }
    return inputs;
  }

  std::vector<TensorStore::Kept> kept_next(const Variant& variant, size_t call,
                                           const std::vector<ov::Tensor>& outputs) {
    const bool is_original = &variant == original_.data();
    std::vector<TensorStore::Kept> kept;
    for (size_t i = 0, computed = 0; i < next_.size(); ++i) {
      const std::optional<size_t> at = in(boundary_, next_[i]);
      if (at)
        kept.push_back(variant.kept[call][*at]);
      else if (is_original || touched_.contains(next_[i].get_node()))
        kept.push_back(store_.keep(outputs[computed]));
      else
        kept.push_back(original_.front().kept[call][i]);
      computed += at ? 0 : 1;
    }
    return kept;
  }

  Metric metric() const { return options_.metric == Metric::kCosine ? Metric::kCosine : Metric::kKl; }

  OutputValues values_of(size_t call, const ov::Tensor& tensor) const {
    return {{{tensor.data<float>(), tensor.data<float>() + tensor.get_size()}},
            {tensor.get_shape().back()},
            {calls_.sample_count(call)}};
  }

  ov::Core& core_;
  const PreparedModel& prepared_;
  const Calls& calls_;
  const std::vector<std::vector<LayerSolution>>& solutions_;
  const MeasureOptions& options_;
  const PartPlan plan_;
  const ov::Output<ov::Node> output_;
  TensorStore store_;
  std::vector<std::vector<ov::Tensor>> inputs_;  // of the network, by call
  std::vector<std::vector<size_t>> layers_;      // by part
  std::set<const ov::Node*> touched_;            // behind any layer
  Outputs parameters_;
  size_t part_ = 0;                   // under way
  Outputs boundary_, next_, wanted_;  // what it reads, what the next one reads, what is to be computed
  std::vector<Variant> original_, variants_;
  std::vector<OutputValues> outputs_;  // of the original, by call
};

}  // namespace

void measure_part_by_part(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                          const std::vector<std::vector<LayerSolution>>& solutions, const MeasureOptions& options,
                          const std::function<void()>& begun,
                          const std::function<void(size_t w, size_t layer, double divergence)>& found,
                          size_t part_bytes) {
  VariedNetwork network(core, prepared, calls, solutions, options, part_bytes);
  for (const Variant& variant : network.run(begun)) {
    std::vector<double> scores;
    for (const auto& of_call : variant.scores) scores.insert(scores.end(), of_call.begin(), of_call.end());
    const double mean_score = mean(scores);
    found(variant.w, variant.layer, options.metric == Metric::kCosine ? 1 - mean_score : mean_score);
  }
}

}  // namespace dnateq
