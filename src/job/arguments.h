// What a quantization is told, as its user writes it: the program's options, which Python's keywords become too.
// Checked and made numbers of by options_of().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/progress.h"
#include "quantize/quantize.h"

namespace dnateq {

struct DataArguments {
  std::string path;
  std::string mean = "0,0,0", std = "1,1,1";
  int resize = 0, crop = 0;
  std::string color = "rgb", layout = "nchw";
  int batch_axis = -1;  // of calls that hold several samples (openvino/batch_axis.h); -1: found out
};

struct QuantizeArguments {
  // max_loss: a limit as the metric usually counts losses (usual_drop_type()); max_drop: as drop_type says, absolute if
  // that is empty. emit: a list of emissions, or auto: see emissions_for().
  std::string model, labels, metric, max_drop, drop_type, max_loss, target_bits, budget, output_name,
      strategy = "optimal", family = "free", emit = "auto", int8, target_isa = "any";
  DataArguments calibration;
  std::string validation;
  int weight_bits = 0, activation_bits = 0;
  std::string thr_weights, thr_activations;  // the paper's thresholds, "0.1" or "10%"
  int thr_plans = -1;                        // of their grid, to judge; below 0: as options_of() has it
  int64_t expect_rows = 0;                   // 0: as the calibration samples have them
  std::string metric_range;          // "LO,HI": of one sample's score by a metric of the user's own; empty: unknown
  bool require_certificate = false;  // what is written without one is a failure to whoever asked
  bool weights_only = false, resume = false;
  std::vector<std::string> only, ignore, untie, ignore_names, ignore_types;
  bool ignore_may_miss = false;  // ImportOptions has it
  uint64_t seed = 0;
  std::string model_fingerprint;  // of the model that an earlier run measured; empty: any
};

// Which layers they choose.
ImportOptions import_options_of(const QuantizeArguments& arguments);

// Throws Error for what is neither a list of emissions nor auto.
void check_emit(const std::string& list);

// The emissions that are written: what was asked for; or by auto `cpu`, and `exact` beside it where activations of less
// than 8 bits are asked for, which `cpu` does not have; `exact` alone for strategy paper, whose levels are real.
std::string emissions_for(const QuantizeArguments& arguments);

// Whether the options agree with each other, and what they ask for. `has_validation`, `has_labels`: such were given, by
// whatever way. Throws Error naming the option. `judge` is left empty, but for metrics that are commands.
QuantizeOptions options_of(const QuantizeArguments& arguments, int threads, Progress progress, bool has_validation,
                           bool has_labels);

}  // namespace dnateq
