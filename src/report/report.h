// The report: one self-contained HTML file that explains what was decided for every layer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/histogram.h"
#include "dnateq/recipe.h"

namespace dnateq {

struct TensorView {               // what is drawn for one tensor
  std::string layer;              // LayerRecipe::name
  bool is_weights = false;
  Histogram histogram;            // weights: divided by their channel scale
};

struct ReportInput {
  Recipe recipe;
  std::vector<TensorView> tensors;
  // predicted (bits per value over all tensors, divergence) of every allocation on the Lagrangian front
  std::vector<std::pair<double, double>> bits_loss_curve;
  int64_t bytes_fp32 = 0, bytes_int8 = 0, bytes_standard = 0, bytes_exact = 0, bytes_ram = 0;  // 0 = not measured
  double int8_metric = 0;         // metric of the NNCF INT8 model of the same network
  bool has_int8_metric = false;
};

std::string render_html(const ReportInput& input);

}  // namespace dnateq
