// How good a network is: its outputs on samples, and the metrics that compare them with labels or with FP32.
#pragma once

#include <cstdint>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "openvino/calls.h"
#include "openvino/progress.h"
#include "search/loss_search.h"  // within

namespace dnateq {

enum class Metric { kTop1, kTop5, kAgreement, kCosine, kKl, kCommand, kFunction };
Metric metric_from_string(const std::string& text);  // "command:CMD" gives kCommand, "function:NAME" kFunction
std::string to_string(Metric metric);
bool lower_is_better(Metric metric);
// Judged outside, by the user's own program: a number of a whole model, not of samples.
bool is_external(Metric metric);

// Values of one output for every call, float32.
struct OutputValues {
  std::vector<std::vector<float>> values;  // [call]
  std::vector<size_t> width;               // [call] size of the last axis
  std::vector<int64_t> samples;            // [call]
};

// Index of the output called `name`; the first one for an empty name. Throws Error naming the model's outputs.
size_t find_output(const ov::Model& model, const std::string& name, const std::string& file);

// Runs the network in float32 over all calls. Only the named output is kept.
OutputValues run_output(ov::Core& core, const std::shared_ptr<ov::Model>& model, const Calls& calls, size_t output,
                        int threads, const Progress& progress, const std::string& stage);

// One score a sample. Top-k: 1 where the label is among the k largest; agreement: share of rows whose largest entry is
// FP32's; cosine: mean over the rows of the cosine to FP32's row; KL: mean over the rows of KL(FP32 || network), nats,
// both after softmax. Throws Error where labels are missing, too few, or the output has another form.
std::vector<double> score(Metric metric, const OutputValues& outputs, const OutputValues& reference,
                          const std::vector<int64_t>& labels);

double mean(const std::vector<double>& scores);

// 95 % paired bootstrap interval of mean(a) - mean(b), over samples.
std::pair<double, double> paired_interval(const std::vector<double>& a, const std::vector<double>& b, uint64_t seed);

// What a given loss means: points for top-k, agreement and cosine, nats for KL, relative for external ones.
double loss_of(Metric metric, double reference, double quantized);

}  // namespace dnateq
