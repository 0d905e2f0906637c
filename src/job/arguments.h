// What a quantization is told, as its user writes it: the program's options, which Python's keywords become too.
// Checked and made numbers of by options_of() (quantize_options.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dnateq {

struct DataArguments {
  std::string path;
  std::string mean = "0,0,0", std = "1,1,1";
  int resize = 0, crop = 0;
  std::string color = "rgb", layout = "nchw";
  int batch_axis = -1;  // of calls that hold several samples (graph/batch_axis.h); -1: found out
  // In place of `path`, for language models: a text file, read by the tokenizer beside the model, cut into windows of
  // so many tokens, of which at most so many are used (0: all).
  std::string text;
  int64_t context = 512, windows = 64;
};

struct QuantizeArguments {
  // max_loss: a limit as the metric usually counts losses (usual_drop_type()); max_drop: as drop_type says, absolute if
  // that is empty. emit: a list of emissions, or auto: see emissions_for() (quantize_options.h).
  std::string model, labels, metric, max_drop, drop_type, max_loss, target_bits, target_size, budget, output_name,
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
  bool no_rotation = false;  // of a language model's inner spaces
  std::vector<std::string> only, ignore, untie, ignore_names, ignore_types;
  bool ignore_may_miss = false;  // ImportOptions has it
  bool of_folder = false;        // the model is that of a language model's folder, which the result is a copy of
  uint64_t seed = 0;
  std::string model_fingerprint;  // of the model that an earlier run measured; empty: any
};

}  // namespace dnateq
