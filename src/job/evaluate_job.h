// `eval`: what a metric says of a network on samples, beside its reference.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "core/progress.h"
#include "job/arguments.h"

namespace dnateq {

struct EvaluateOptions {
  std::string model;
  std::string metric;       // as in quantize; empty: top1 with labels, else cosine
  std::string labels;       // a file, or "names"
  std::string reference;    // the FP32 model that agreement, cosine and kl compare with
  std::string output_name;  // that the metric reads; empty: the first in float32
  DataArguments data;
  int threads = 1;
};

struct EvaluateResult {
  std::string metric;
  double value = 0;
  std::optional<size_t> samples;  // unknown where a metric of the user's own gives one number
  struct Reference {
    double value = 0;
    std::pair<double, double> difference;  // within these at 95 %, sample by sample
  };
  std::optional<Reference> reference;
  std::string note;  // on the output that was read, options marked; may be empty
};

// Throws Error.
EvaluateResult run_evaluate_job(const EvaluateOptions& options, const Progress& progress);

}  // namespace dnateq
