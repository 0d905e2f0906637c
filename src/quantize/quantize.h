// The main job: a trained network and samples in, the quantized network, its recipe and its report's data out.
#pragma once

#include <filesystem>
#include <functional>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/histogram.h"
#include "core/progress.h"
#include "data/samples.h"
#include "dnateq/recipe.h"
#include "graph/evaluate.h"
#include "graph/import.h"
#include "quantize/external_metric.h"
#include "search/certificate.h"

namespace dnateq {

struct QuantizeOptions {
  std::string strategy = "optimal";  // optimal, paper, uniform (the comparison: clipped uniform grids)
  Family family = Family::kFree;
  int pow2_q = 0;
  std::optional<double> max_loss;     // as `drop_type` counts it; 0.01 = one point, or 1 % of FP32's score
  std::optional<DropType> drop_type;  // none: usual_drop_type() of the metric
  std::optional<double> target_weight_bits, target_activation_bits;
  std::optional<int64_t> target_bytes;              // of the weight file, in place of target_weight_bits
  std::optional<int> weight_bits, activation_bits;  // the same width everywhere; one alone leaves the other to strategy
  std::optional<double> weight_threshold, activation_threshold;  // strategy paper: largest RMAE, both or none
  int threshold_plans = 16;  // strategy paper: so many plans of the grid are judged beside those that were tried
  std::string metric;        // empty: top1 with labels, else cosine
  // Of an external metric: what it says of the networks' model files. What it throws comes through.
  std::function<ExternalScore(const std::vector<std::filesystem::path>& models)> judge;
  ScoreRange metric_range;  // of one sample's score by an external metric
  std::string output;       // output that the metric reads; empty = the first
  bool emit_standard = true, emit_exact = true;
  bool counting = false;      // the exact emission in the exponent domain (emit_counting); needs a base that is shared
  bool packed = false;        // the standard emission with our operations where reading weights binds (emit_cpu)
  int64_t expected_rows = 0;  // of activations in a call, for `packed`; 0: as the calibration samples have them
  // any: `standard` and `cpu` compute the same integers on every CPU (core/pair_sums.h); vnni: on those with VNNI.
  TargetIsa target_isa = TargetIsa::kAny;
  bool weights_only = false;
  bool rotate = true;  // with weights_only: inner spaces of language models (calibrate/rotate.h)
  uint64_t seed = 0;
  int threads = 1;
  double budget_seconds = 0;  // no further candidate starts after this; 0 = no limit
  bool resume = false;
  std::string options_text;  // for the recipe
  bool has_labels = false;
  std::vector<std::filesystem::path> int8_models;  // of the same networks, in their order, to judge beside; empty: none
  Progress progress;
};

struct QuantizeResult {
  Recipe recipe;
  std::vector<std::pair<double, double>> bits_loss_curve;  // mean bits over all tensors' values, predicted divergence
  struct View {
    std::string layer;
    bool is_weights;
    Histogram histogram;
  };
  std::vector<View> views;  // histograms for the report
  // FP32: four for each of the network's parameters. INT8: those of an INT8 model's weights, or an estimate (a byte for
  // each weight of a quantized layer, a float32 for each of its channels and for every other parameter).
  int64_t bytes_fp32 = 0, bytes_int8 = 0;
  bool int8_is_estimate = true;
  int64_t bytes_standard = 0, bytes_exact = 0;
  std::optional<double> int8_metric;
  std::string emission = "standard";  // of DIR/model.xml, unless `exact` alone was asked for: standard or cpu
  double seconds = 0;
};

// One network to quantize.
struct NetworkInput {
  std::string name;  // of one among several, shown in progress; else empty
  const PreparedModel* prepared = nullptr;
  const Samples* calibration = nullptr;
  std::filesystem::path model_file, directory;
  std::string stem = "model";  // of the files that are written, DIR/STEM.xml and .bin
};

// The metric that the options ask for: top1 with labels, else cosine, where they name none.
Metric metric_of(const QuantizeOptions& options);

// One search for all networks: bits are shared out over the layers of all of them, and the loss is that of one metric,
// which must be an external one where there are several. Without `validation`, calibration samples are held back to
// judge on.
// Writes into each network's directory: model files (DIR/model.xml for the standard emission, DIR/exact/model.xml),
// DIR/recipe.dnateq.json and DIR/measurements. Throws Error; Cancelled if progress asked for a stop (what was solved so
// far is kept).
std::vector<QuantizeResult> quantize(ov::Core& core, const std::vector<NetworkInput>& networks,
                                     const Samples* validation, const std::vector<int64_t>& labels,
                                     const QuantizeOptions& options);

}  // namespace dnateq
