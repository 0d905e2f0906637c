// `explain`: which kernel runs each layer of a model or a result, and what binds it on this machine.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dnateq/recipe.h"
#include "inspect/explanation.h"
#include "job/float_kernels.h"

namespace dnateq {

struct ExplainOptions {
  std::string path;                 // model file or result folder
  std::vector<std::string> shapes;  // NAME=DIM,...
  int64_t expect_rows = 1;          // of activations, where the model leaves them open
  int threads = 1;                  // of the network
};

struct ExplainResult {
  std::string model;  // the file
  int threads = 1;
  std::string cpu, cap;  // its name; ONEDNN_MAX_CPU_ISA, empty where it is not set
  double bytes_per_second = 0, int8_macs_per_second = 0, f32_macs_per_second = 0;  // this machine, at best
  Explanation explanation;
  int64_t weight_bytes = 0;                    // read in a call
  std::optional<FloatKernels> float_kernels;   // of networks that promise the same bits everywhere
  std::map<std::string, LayerRecipe> recipes;  // of a result's layers, by name
};

// Throws Error.
ExplainResult run_explain_job(const ExplainOptions& options);

}  // namespace dnateq
