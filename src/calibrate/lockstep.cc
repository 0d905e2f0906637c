#include "calibrate/lockstep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "calibrate/lockstep_samples.h"
#include "calibrate/quantized_copy.h"
#include "core/pack.h"
#include "graph/disk_constants.h"
#include "graph/runner.h"
#include "search/solution_file.h"

namespace dnateq {
namespace {

// Of a table that is read by rows as well: there all its errors count alike, whatever the output makes of them.
// Measured on SmolLM2-135M's table alone at 4 bits: mean KL .173 by nearest rounding, .046 by the output's moments with
// this or .02, .053 with 2.
constexpr double kTableDamping = 0.3;
// Positions that a table is solved by, about: with that damping more say little more, and each runs the whole network.
constexpr size_t kTableRows = 1 << 14;

using RowMajorMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

LayerShape shape_of(const Layer& layer, const TensorCode& request, const PassOptions& options) {
  const bool is_matrix = layer.kind == LayerKind::kMatMul || layer.kind == LayerKind::kEmbedding;
  return {.rows = layer.rows,
          .columns = layer.columns,
          .groups = layer.groups,
          .may_mirror = options.weights_only && is_matrix && layer.columns % kInputsOfUnit == 0 &&
                        request.family == Family::kFree && request.arithmetic == Arithmetic::kInt8Grid};
}

SolveOptions options_of(const Layer& layer, SolveOptions options) {
  if (layer.kind != LayerKind::kEmbedding) return options;
  options.damping = kTableDamping;
  options.sweeps = 1;
  options.correct_bias = false;
  return options;
}

// Of a table of embeddings that a language model's output multiplies by, too: what enters that in the FP32 network.
class TableSampler {
 public:
  TableSampler(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const PassOptions& options)
      : core_(core), prepared_(prepared), calls_(calls), options_(options) {}

  // Null where no output reads the table. Kept for the next table, as the blocks of one are read alike.
  const LayerSamples* sample(size_t table) {
    const auto output = std::find_if(prepared_.layers.begin(), prepared_.layers.end(), [&](const Layer& layer) {
      return layer.shares_weights_with == table && layer.kind == LayerKind::kMatMul;
    });
    if (output == prepared_.layers.end() || !options_.weights_only) return nullptr;
    const ov::Output<ov::Node> tensor = output->node->input_value(output->activation_port);
    if (tensor != tensor_) samples_.inputs = values_of(tensor, output->columns);
    tensor_ = tensor;
    return &samples_;
  }

 private:
  Eigen::MatrixXf values_of(const ov::Output<ov::Node>& tensor, int64_t columns) {
    // The first calls: they were put into an order by the seed.
    const size_t a_call = std::max<size_t>(1, positions_of_first_call());
    std::vector<RowMajorMatrix> of_calls(is_large() ? std::clamp<size_t>(kTableRows / a_call, 1, calls_.size())
                                                    : calls_.size());
    visit_tensors(core_, *prepared_.model, calls_, of_calls.size(), {tensor}, options_.threads, nullptr,
                  [&](size_t call, const std::vector<ov::Tensor>& tensors) {
                    const auto rows = static_cast<Eigen::Index>(tensors[0].get_size()) / columns;
                    of_calls[call] = Eigen::Map<const RowMajorMatrix>(tensors[0].data<float>(), rows, columns);
                  });
    Eigen::Index rows = 0;
    for (const RowMajorMatrix& of_call : of_calls) rows += of_call.rows();
    Eigen::MatrixXf all(rows, columns);
    rows = 0;
    for (const RowMajorMatrix& of_call : of_calls) {
      all.middleRows(rows, of_call.rows()) = of_call;
      rows += of_call.rows();
    }
    return all;
  }

  bool is_large() const { return prepared_.parameters >= kFewestParametersOnDisk; }
  // Of the largest input: tokens.
  size_t positions_of_first_call() const {
    size_t most = 0;
    for (const ov::Tensor& tensor : calls_.tensors(0)) most = std::max(most, tensor.get_size());
    return most;
  }

  ov::Core& core_;
  const PreparedModel& prepared_;
  const Calls& calls_;
  const PassOptions& options_;
  ov::Output<ov::Node> tensor_;
  LayerSamples samples_;
};

// `earlier`: solutions of the layers before. `spare`: the samples, where nobody needs them any more.
LayerSolution solve(const Layer& layer, const LayerShape& shape, const TensorCode& request, bool fixed,
                    const LayerSamples* samples, LayerSamples* spare, const std::vector<LayerSolution>& earlier,
                    const SolveOptions& options) {
  if (layer.shares_weights_with) {
    LayerSolution solution = earlier[*layer.shares_weights_with];
    solution.bias.clear();
    if (samples) correct_bias(solution, shape, *samples);
    solution.nearest_output_relative_error = solution.output_relative_error;  // no other rounding was to be had
    return solution;
  }
  if (fixed) return with_fixed_code(layer.weight_matrix(), shape, request);
  if (!samples) return quantize_rows(layer.weight_matrix(), shape, request, true, options.uniform);
  if (spare) return solve_layer(layer.weight_matrix(), shape, std::move(*spare), request, options);
  return solve_layer(layer.weight_matrix(), shape, *samples, request, options);
}

// To float16, which files then hold them in (core/row_block.h): beside weights of 3 bits, float32 biases are a
// hundredth of a network of 135M parameters.
void round_biases(LayerSolution& solution) {
  for (float& bias : solution.bias) {
    const float rounded = from_float16(to_float16(bias));
    if (std::isfinite(rounded)) bias = rounded;
  }
}

// One layer after another, each with those before it as they were solved.
class Pass {
 public:
  Pass(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const std::vector<LayerPlan>& plan,
       const PassOptions& options)
      : prepared_(prepared),
        plan_(plan),
        options_(options),
        quantized_(prepared),
        sampler_(core, prepared, calls, quantized_, options, false),
        tables_(core, prepared, calls, options) {
    for (size_t l = 0; l < plan.size(); ++l)
      if (prepared.layers[l].kind != LayerKind::kEmbedding && plan[l].activations)
        quantized_.round_activations(l, *plan[l].activations);
  }

  std::vector<LayerSolution> run() {
    Task task(options_.progress, options_.stage, prepared_.layers.size());
    for (size_t l = 0; l < prepared_.layers.size(); ++l) {
      solutions_.push_back(solve_or_load(l));
      quantized_.install(l, solutions_.back());
      task.advance();
    }
    return std::move(solutions_);
  }

 private:
  // What every layer that reads the weights of layer l asks of them.
  std::vector<ColumnPair> pairs_of(size_t l) const {
    std::vector<ColumnPair> pairs;
    for (size_t other = l; other < plan_.size() && pairs.empty(); ++other)
      if (plan_[other].any_cpu && plan_[other].activations &&
          (other == l || prepared_.layers[other].shares_weights_with == l))
        pairs = prepared_.layers[other].added_pairs();
    return pairs;
  }

  LayerSolution solve_or_load(size_t l) {
    const Layer& layer = prepared_.layers[l];
    const LayerPlan& plan = plan_[l];
    const std::filesystem::path file =
        options_.checkpoints.empty() ? "" : options_.checkpoints / fmt::format("{:04}.cbor", l);
    const TensorCode& of_codes = plan_[layer.shares_weights_with.value_or(l)].weights;  // which may be another's
    if (!file.empty())
      if (auto solution = load_solution(file, shape_of(layer, of_codes, options_), of_codes)) return *solution;
    std::optional<LayerSamples> own;
    const LayerSamples* samples = nullptr;
    if (layer.kind == LayerKind::kEmbedding && !plan.weights_fixed) samples = tables_.sample(l);
    if (layer.kind != LayerKind::kEmbedding && !plan.weights_fixed) samples = &own.emplace(sampler_.sample(l));
    LayerShape shape = shape_of(layer, plan.weights, options_);
    shape.pairs = pairs_of(l);
    LayerSolution solution = solve(layer, shape, plan.weights, plan.weights_fixed, samples, own ? &*own : nullptr,
                                   solutions_, options_of(layer, options_.solve));
    if (options_.weights_only) round_biases(solution);
    if (!file.empty()) save_solution(solution, file);
    return solution;
  }

  const PreparedModel& prepared_;
  const std::vector<LayerPlan>& plan_;
  const PassOptions& options_;
  QuantizedCopy quantized_;
  LockstepSampler sampler_;
  TableSampler tables_;
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
  const QuantizedCopy nothing_quantized(prepared);
  LockstepSampler sampler(core, prepared, calls, nothing_quantized, options, true);
  TableSampler tables(core, prepared, calls, options);
  Task task(options.progress, options.stage, prepared.layers.size());
  std::vector<std::vector<LayerSolution>> solutions(requests.size());
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    std::optional<LayerSamples> own;
    const LayerSamples* samples =
        layer.kind == LayerKind::kEmbedding ? tables.sample(l) : &own.emplace(sampler.sample(l));
    for (size_t r = 0; r < requests.size(); ++r)
      solutions[r].push_back(solve(layer, shape_of(layer, requests[r], options), requests[r], false, samples,
                                   own && r + 1 == requests.size() ? &*own : nullptr, solutions[r],
                                   options_of(layer, options.solve)));
    task.advance();
  }
  return solutions;
}

}  // namespace dnateq
