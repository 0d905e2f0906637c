// `analyze`: which distribution each weight and activation tensor follows (paper section III-B: the fit of least RSS).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/distribution.h"
#include "core/progress.h"
#include "data/samples.h"
#include "job/arguments.h"

namespace dnateq {

struct AnalyzeOptions {
  std::string model;
  DataArguments calibration;
  std::vector<std::string> only, ignore;                // regular expressions on layer names
  std::vector<std::string> ignore_names, ignore_types;  // of layers: whole names, types of operations
  bool ignore_may_miss = false;                         // ImportOptions has it
  std::string directory;                                // for analysis.json; empty: nothing is written
  int threads = 1;
};

struct TensorAnalysis {
  std::string layer, tensor;
  std::string kind;  // weights or activations
  uint64_t values = 0, zeros = 0;
  float minimum = 0, maximum = 0;
  std::string best;  // of the paper's families
  std::vector<DistributionFit> fits;
};

struct Analysis {
  std::string model;
  std::map<std::string, int> weights, activations;  // family: tensors that follow it
  std::vector<TensorAnalysis> tensors;
};

// Opens the samples of a network with these inputs.
using SampleSource = std::function<std::shared_ptr<const Samples>(const std::vector<std::string>& inputs)>;

// `source`: where the samples come from if not from the files that the options name. Throws Error, also where
// `directory` holds an analysis.json of another origin.
Analysis run_analyze_job(const AnalyzeOptions& options, const Progress& progress, const SampleSource& source = {});

// {"model", "weights", "activations", "tensors": [{"layer", "tensor", "kind", "values", "zeros", "minimum", "maximum",
// "best", "fits": [{"name", "rss", "ks", "parameters"}]}]}: what stands in analysis.json.
nlohmann::ordered_json analysis_document(const Analysis& analysis);

}  // namespace dnateq
