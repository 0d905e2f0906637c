// The report: one self-contained HTML file that explains what was decided for every layer.
//
// One JSON document, built by document.h, stands in a page that draws it with its own script: no network, no other
// file. Non-goals: measuring anything; the numbers come from the recipe and the histograms.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/histogram.h"
#include "dnateq/recipe.h"

namespace dnateq {

struct TensorView {   // what is drawn for one tensor
  std::string layer;  // LayerRecipe::name
  bool is_weights = false;
  Histogram histogram;  // weights: divided by their channel scale
};

struct ReportInput {
  Recipe recipe;
  double seconds = 0;  // the search took; not in the recipe, which is the same after every run
  std::vector<TensorView> tensors;
  // predicted (bits per value over all tensors, divergence) of every allocation on the Lagrangian front
  std::vector<std::pair<double, double>> bits_loss_curve;
  std::string emission = "standard";  // what bytes_standard and the metric's `quantized` are of: standard or cpu
  int64_t bytes_fp32 = 0, bytes_int8 = 0, bytes_standard = 0, bytes_exact = 0, bytes_ram = 0;  // 0 = not measured
  bool int8_is_estimate = true;                    // bytes_int8 is no file's size
  int64_t bytes_ram_fp32 = 0, bytes_ram_int8 = 0;  // the same for RAM; bytes_ram is the standard model's, or the
                                                   // exact one's where only that was emitted
  double int8_metric = 0;                          // metric of the NNCF INT8 model of the same network
  bool has_int8_metric = false;
};

// The emission whose activations have the recipe's few bits, which bytes_exact is of: exact or counting.
std::string low_bit_emission(const Recipe& recipe);

// Metrics top1, top5 and agreement are fractions (0.879) and shown in percent, their differences in points; all others
// are shown as they are. NaN is shown as "not measured".
std::string render_html(const ReportInput& input);

}  // namespace dnateq
