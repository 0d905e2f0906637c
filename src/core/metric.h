// How good a network's outputs are: metrics that compare them with labels or with FP32's, and the loss by each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

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

// Of one row of `width` logits: the logarithm of the sum of their exponentials; KL(p || q) of their softmax, in nats.
double log_sum_exp(const float* row, size_t width);
double kl_divergence(const float* p, const float* q, size_t width);

// One score a sample. Top-k: 1 where the label is among the k largest; agreement: share of rows whose largest entry is
// FP32's; cosine: mean over the rows of the cosine to FP32's row; KL: mean over the rows of KL(FP32 || network), nats,
// both after softmax. Throws Error where labels are missing, too few, or the output has another form.
std::vector<double> score(Metric metric, const OutputValues& outputs, const OutputValues& reference,
                          const std::vector<int64_t>& labels);

double mean(const std::vector<double>& scores);

// 95 % paired bootstrap interval of mean(a) - mean(b), over samples.
std::pair<double, double> paired_interval(const std::vector<double>& a, const std::vector<double>& b, uint64_t seed);

// How a loss is counted, by NNCF's names: in the metric's own units (points, nats), or as a share of FP32's score.
enum class DropType { kAbsolute, kRelative };
DropType drop_type_from_string(const std::string& text);  // "absolute", "relative"; throws Error
std::string to_string(DropType type);
// Where nobody says it: relative for metrics of the user's own, whose scale is not known.
DropType usual_drop_type(Metric metric);

// Positive where `quantized` is the worse one. A relative loss to a reference of 0 is 0.
double loss_of(Metric metric, DropType type, double reference, double quantized);

}  // namespace dnateq
