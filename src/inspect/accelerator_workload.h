// A network as the accelerator's simulator sees it: geometry from the graph, bits and code statistics from a recipe or
// from codes fitted here.
//
// Every Convolution, GroupConvolution and MatMul is a layer, products of two activations (attention) included;
// embedding tables and element-wise operations are none. Geometry needs closed shapes, see close_shapes(). The INT8
// baseline gets a workload of its own: the same layers, with the zeros that 8-bit grids leave, which are fewer.
//
// Non-goals: loops and recurrent cells (listed in `left_out`), running the network other than for histograms.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "accelerator/workload.h"
#include "calibrate/measure.h"
#include "core/histogram.h"
#include "core/progress.h"
#include "graph/calls.h"
#include "graph/import.h"

namespace dnateq {

struct ModelWorkload {
  accelerator::Workload coded;  // bits and statistics of the codes
  accelerator::Workload int8;   // the same layers in 8 bits
  std::vector<int> source;      // for each layer: its index in PreparedModel::layers, -1 = the recipe leaves it alone
  std::vector<std::string> left_out;  // "NAME (TYPE): reason"
};

// Sets every open axis of the model's inputs, in place: `shapes` by input name (NAME* for all that begin so; a name of
// its own comes before it), else the first axis to `batch`. A first
// axis that the model fixes stays. Throws Error naming the inputs whose other axes are still open.
void close_shapes(PreparedModel& prepared, int64_t batch, const std::map<std::string, std::vector<int64_t>>& shapes);
// Shapes of the inputs at the first call of `calls`, with `batch` samples.
std::map<std::string, std::vector<int64_t>> shapes_of(const Calls& calls, const PreparedModel& prepared, int64_t batch);

// Geometry of every layer; operands in 8 bits, nothing measured. Needs closed shapes. Throws Error if nothing is left.
ModelWorkload workload_of(const PreparedModel& prepared, int64_t batch);

// How often each code number occurs in a tensor; 2^k counts.
using CodeCounts = std::vector<double>;
CodeCounts count_codes(const TensorCode& code, const Histogram& histogram);
CodeCounts count_codes(const TensorCode& code, std::span<const uint8_t> codes);
// Operand of `code`; without counts nothing is measured (zero_fraction 0, no shares).
accelerator::Operand operand_of(const TensorCode& code, const std::optional<CodeCounts>& counts, std::string origin);

// Counts of the weights' codes as emitted, by the name of the layer that owns them, from a model file of `exact`
// emission (of `cpu`: of the layers that run packed; of `standard`: none).
std::map<std::string, CodeCounts> emitted_code_counts(ov::Core& core, const std::filesystem::path& model);

struct RecipeStatistics {
  std::map<std::string, CodeCounts> weight_counts;        // by layer, from the emitted codes
  std::map<std::string, Histogram> weights, activations;  // by layer; weights divided by their channel scale
};

// Fills the operands from `recipe` (whose origin `source` is named in errors). Weights' statistics: of the emitted
// codes, else of the histogram rounded to the nearest level, else unmeasured. What the recipe leaves in FP32, products
// of two activations (attention) among it, for which no recipe has codes, runs in 8 bits on INT8 lanes in every design;
// `origin` says so. Throws Error if the recipe is not of this model.
void apply_recipe(ModelWorkload& workload, const PreparedModel& prepared, const Recipe& recipe,
                  const std::string& source, const RecipeStatistics& statistics);

// The same width everywhere, products of two activations included (there is no recipe that says otherwise): codes
// fitted to the weights, and to the activations where histograms are given.
void apply_bits(ModelWorkload& workload, const PreparedModel& prepared, int weight_bits, int activation_bits,
                const std::optional<ActivationHistograms>& activations, const Progress& progress);

}  // namespace dnateq
