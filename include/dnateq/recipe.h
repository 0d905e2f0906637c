// The recipe: what was decided for every layer and why. Search writes it; emission, report and accelerator read it.
//
// On disk it is `recipe.dnateq.json` (versioned, readable, diffable). Codes and channel scales are not in it: they lie
// in the emitted weight file. An older version always loads; a newer one is refused with a sentence.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "dnateq/code.h"

namespace dnateq {

inline constexpr int kRecipeVersion = 1;

struct TensorRecipe {
  std::string tensor;          // name of the tensor in the model
  std::vector<int64_t> shape;  // weights: [output channels, inputs per channel]; activations: shape at batch 1
  int64_t elements = 0;        // weights: number of values; activations: values entering the layer at batch 1
  TensorCode code;
  double rmae = 0;  // sum |x - x^| / sum |x| on calibration data (the paper's measure)
  double sqnr_db = 0;
  double uniform_sqnr_db = 0;  // best clipped uniform grid with as many codes
  int64_t bytes = 0;           // weights: bytes in the file for codes, table and channel scales
  double sensitivity = 0;      // predicted divergence that this tensor's quantization adds
  std::string distribution;    // best fit by residual sum of squares: normal, exponential, pareto, uniform
  int scale_exponent = 0;      // weights: a channel's scale is the stored float16 times this power of two
  bool centered = false;       // activations: without their channel means, which the layer's bias makes up for
};

// A layer's weights in the model of 8-bit activations, where that stands beside an exact one: its inputs lack less, so
// that curve, codes and bias are its own, of the same width.
struct StandardCodes {
  TensorCode code;
  double rmae = 0, sqnr_db = 0;  // as in TensorRecipe
  double output_sqnr_db = 0;     // as in LayerRecipe
  int scale_exponent = 0;        // as in TensorRecipe
};

struct LayerRecipe {
  std::string name;                   // friendly name of the node
  std::string type;                   // Convolution, GroupConvolution, MatMul, Gather
  std::vector<int64_t> weight_shape;  // as in the model
  int64_t macs = 0;                   // multiply-accumulates at batch 1
  TensorRecipe weights;
  std::optional<TensorRecipe> activations;        // none for embeddings and weights-only
  double output_sqnr_db = 0;                      // layer output against its FP32 target on calibration data
  double nearest_output_sqnr_db = 0;              // the same for nearest rounding of the weights
  std::optional<StandardCodes> standard_weights;  // none: as `weights`
  std::string shares_weights_with;                // name of an earlier layer that holds the same codes, or empty
  bool had_own_copy = false;                      // shares, but the FP32 network holds these weights a second time
};

struct UnquantizedLayer {
  std::string name, type, reason;
  int64_t weight_elements = 0;  // counted at 32 bits
};

inline constexpr double kNotJudged = std::numeric_limits<double>::quiet_NaN();

// `samples_from` of a metric that brings samples of its own. Whether those are new to the search is not known here.
inline constexpr const char* kMetricsOwnSamples = "the metric's own";

struct MetricResult {
  std::string name;                                // top1, agreement, cosine, kl, command
  double reference = 0, quantized = 0, exact = 0;  // FP32; emitted standard model; exact emission (NaN = not measured)
  double confidence_low = 0, confidence_high = 0;  // 95 % paired bootstrap interval of exact - reference
  int64_t samples = 0;
  std::string samples_from;            // what they are: "validation", "calibration split", the metric's own, ...
  bool held_out = false;               // the search saw none of these samples
  std::string drop_type = "absolute";  // losses in the metric's units, or "relative": shares of FP32's score
  double limit = kNotJudged;           // of the loss, where one was asked for
  bool certified = false;              // every emission is, at this limit
  std::string verdict;                 // a sentence on how sure the limit is; empty without a limit
};

// An emission that was written, and what its files lose against FP32 on the samples of MetricResult.
struct EmissionResult {
  std::string emission;  // exact, cpu, standard, counting
  double score = kNotJudged;
  double loss = kNotJudged;  // as MetricResult::drop_type counts it: 0.01 is one point, or 1 % of FP32's
  double low = kNotJudged, high = kNotJudged;  // two-sided 95 % interval of the loss, paired by sample
  double upper_bound = kNotJudged;             // one-sided 95 % bound: the loss on unseen data is at most this
  std::string bound_method;                    // how the bound was found; empty where there is none
  bool certified = false;                      // upper_bound is within the limit, on samples the search never saw
  int64_t samples = 0;                         // with a score each; 0 where the metric gives one number
  int64_t samples_needed = 0;                  // about as many would certify this loss; 0: it is, or none would
  int64_t bytes = 0;                           // of its weight file, model.bin
  int64_t graph_bytes = 0;                     // of its model.xml
  double bits_on_disk = 0;                     // 8 * bytes / Recipe::parameters; 0: not known
};

// Which samples served for what (data/split.h); the permutation is that of Recipe::seed.
struct SplitRecipe {
  int64_t solve = 0, search = 0, judge = 0;  // samples that layers were solved by, candidates and the result judged on
  std::string hash;                          // of the three lists of indices, hex
  std::string note;                          // what became of samples that are both calibration and validation
};

struct SearchStep {  // one judged candidate of the search
  double weight_bits = 0, activation_bits = 0, loss = 0, predicted = 0;
  std::string note;
};

// The paper's search: the thresholds on RMAE that were taken, and a grid of others with bits and loss.
struct ThresholdStudy {
  struct Plan {  // the bits that one or more pairs of thresholds come to
    double weight_bits = 0,
           activation_bits = 0;   // stored bits, mean over values; tables and scales of weights included
    double tensor_mean_bits = 0;  // plain mean of stored bits over tensors
    double loss = 0;              // as in SearchStep; NaN: this plan was not judged
  };
  double weights = 0, activations = 0;                           // the pair that the recipe's codes are of
  std::string chosen_by;                                         // "loss", "bits", "given"
  int64_t samples = 0;                                           // that losses were measured on; 0: the metric's own
  std::vector<double> weight_thresholds, activation_thresholds;  // of the grid, loosest first
  std::vector<Plan> plans;                                       // distinct ones; each is judged at most once
  std::vector<int64_t> cells;  // index in `plans` of each pair, activation thresholds running fastest
};

struct FloatActivation {   // a tensor that an operation passes on in float32
  std::string name, type;  // of the operation
  int64_t elements = 0;    // a sample
  double share = 0;        // of the values of all tensors that operations pass on
};

// All that operations of the network pass to each other, each tensor once: what enters quantized layers, and what stays
// in float32 beside it (sums, products of attention, softmax, normalisation ...).
struct PassedActivations {
  std::string emission;  // of which network: exact where it was written, else the main one; empty: not counted
  int64_t values = 0;    // a sample
  double mean_bits = 0;  // over the values, those in float32 at 32
  std::vector<FloatActivation> in_float;  // in the network's order
};

// Which CPUs the layers that run on OpenVINO's INT8 kernels (emissions standard and cpu) compute exactly on: every one,
// or those with VNNI alone, where sums of two products are not made in 16 bits. `exact` runs on any.
enum class TargetIsa { kAny, kVnni };
const char* to_string(TargetIsa target);
TargetIsa target_isa_from_string(const std::string& text);  // "any", "vnni"

struct Recipe {
  int version = kRecipeVersion;
  std::string model_file;                           // file name, without folder
  std::string model_fingerprint, data_fingerprint;  // hex
  std::string options;                              // the command line's options, as given
  std::string strategy;                             // optimal, paper, uniform
  uint64_t seed = 0;
  TargetIsa target_isa = TargetIsa::kAny;  // older recipes, whose levels were not made safe, load as kVnni
  std::vector<LayerRecipe> layers;
  std::vector<UnquantizedLayer> unquantized;
  int64_t parameters = 0;  // of the FP32 network: values of all its floating-point constants; 0: not counted
  PassedActivations passed;
  std::vector<SearchStep> steps;
  std::optional<ThresholdStudy> thresholds;  // of strategy paper alone
  std::optional<MetricResult> metric;
  std::vector<EmissionResult> emissions;  // those that were written
  std::optional<SplitRecipe> split;       // older recipes have none
};

struct BitSummary {
  double stored_bits = 0;       // weights: file bytes * 8 / values, FP32 layers at 32; activations: mean over values
  double tensor_mean_bits = 0;  // plain mean of stored bits over tensors
  double compression_vs_fp32 = 0, compression_vs_int8 = 0;
};
BitSummary weight_bits(const Recipe& recipe);
BitSummary activation_bits(const Recipe& recipe);
double all_tensor_mean_bits(const Recipe& recipe);
double share_in_float(const PassedActivations& passed);  // of the values

std::string to_json(const Recipe& recipe);
// `source` names the origin in errors. Throws Error on syntax errors, missing or ill-typed keys, newer versions.
Recipe recipe_from_json(const std::string& text, const std::string& source);
Recipe load_recipe(const std::filesystem::path& file);
void save_recipe(const Recipe& recipe, const std::filesystem::path& file);  // temporary name, then rename

}  // namespace dnateq
