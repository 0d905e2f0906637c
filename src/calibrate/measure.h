// What is measured once on the FP32 network and then serves every allocation: activation histograms with their fits at
// every width, weight errors at every width, and how much the network's output suffers from each tensor's error.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/histogram.h"
#include "core/progress.h"
#include "graph/calls.h"
#include "graph/evaluate.h"
#include "graph/import.h"
#include "search/allocation.h"
#include "search/fit.h"

namespace dnateq {

// Whether a tensor cannot be negative whatever the input is, by the graph's structure. `depth` limits the look back.
bool cannot_be_negative(const ov::Output<ov::Node>& output, int depth = 0);
std::string tensor_name(const ov::Output<ov::Node>& output);

struct ActivationMeasurement {  // one tensor that enters one or more quantized layers
  std::string tensor;
  bool non_negative = false;   // by the graph's structure
  std::vector<int64_t> shape;  // at the first call, of one sample
  double values = 0;           // mean number of values a sample
  int layers = 0;              // how many layers read it
  Histogram histogram;
  std::array<FitResult, kMaxStoredBits + 1> fits;  // by stored bits, from 2
  FitResult uniform8;                              // the 8-bit uniform grid of the standard emission
  double sensitivity = 0;                          // output divergence per relative squared error
};

struct WeightMeasurement {
  std::array<double, kMaxStoredBits + 1> relative_error{};  // nearest rounding, by stored bits, from 2
  // Output divergence when this layer alone is quantized with error-compensating rounding, by stored bits: measured at
  // kMeasuredWidths, in between and beyond by the shape of `relative_error`.
  std::array<double, kMaxStoredBits + 1> divergence{};
};

inline constexpr std::array<int, 2> kMeasuredWidths = {3, 5};
// Fills `divergence` from its values at kMeasuredWidths.
void complete_divergence(WeightMeasurement& weights);

struct LayerMeasurement {
  std::optional<size_t> activation;  // the tensor that enters it, in Measurements::activations; none for embeddings
  float residual_limit = 0;  // largest |value| by which it enters a residual sum (graph/patterns.h); 0: it does not
  WeightMeasurement weights;
};

struct Measurements {
  std::vector<ActivationMeasurement> activations;
  std::vector<LayerMeasurement> layers;  // in the order of PreparedModel::layers
  bool has_sensitivities = false;

  // What enters the layer; null for embeddings.
  const ActivationMeasurement* entering(size_t layer) const {
    return layers[layer].activation ? &activations[*layers[layer].activation] : nullptr;
  }
};

// The histograms alone, for analysis.
struct ActivationHistograms {
  std::vector<ActivationMeasurement> tensors;
  std::vector<std::optional<size_t>> of_layer;  // in `tensors`; none for embeddings

  // What enters the layer; null for embeddings.
  const ActivationMeasurement* entering(size_t layer) const {
    return of_layer[layer] ? &tensors[*of_layer[layer]] : nullptr;
  }
};
ActivationHistograms measure_activations(ov::Core& core, const PreparedModel& prepared, const Calls& calls, int threads,
                                         const Progress& progress);

struct MeasureOptions {
  TensorCode request;         // family and arithmetic
  bool uniform = false;       // uniform grids instead of exponential curves
  bool weights_only = false;  // of activations, then, one call's values alone are looked at, and nothing is fitted
  bool sensitivities = true;
  Metric metric = Metric::kKl;  // divergence of `output`: 1 - cosine for kCosine, else KL
  size_t output = 0;
  bool all_outputs = false;  // instead: relative squared error, summed over all float32 outputs
  int64_t sensitivity_samples = 64;
  uint64_t seed = 0;
  int threads = 1;
  Progress progress;
};

// Throws Error if calibration makes a tensor non-finite.
Measurements measure(ov::Core& core, const PreparedModel& prepared, const Calls& calls, const MeasureOptions& options);

// The items that allocation chooses bits for: weights of all layers that own their codes, then activation tensors.
struct AllocationItems {
  std::vector<Allocatable> items;
  std::vector<std::optional<size_t>> of_weights;      // by layer, in `items`; none where another layer owns the codes
  std::vector<std::optional<size_t>> of_activations;  // by activation tensor, likewise; none where these get no codes
  double fp32_values = 0;
};
// `weight_bytes(layer, stored bits)`: what the emitted file will hold for a layer's weights.
AllocationItems allocation_items(const PreparedModel& prepared, const Measurements& measurements, bool weights_only,
                                 const std::function<int64_t(const Layer&, int)>& weight_bytes);

// Cache file; `key` ties it to model, data and options.
void save_measurements(const Measurements& measurements, const std::string& key, const std::filesystem::path& file);
// The bytes of such a file. Throws Error, naming `source` and the key of the document, on any mismatch or damage.
Measurements read_measurements(std::string_view bytes, const std::string& key, const std::vector<Layer>& layers,
                               const std::string& source);
// Nothing if the file is missing or refused: all is then measured again.
std::optional<Measurements> load_measurements(const std::string& key, const std::vector<Layer>& layers,
                                              const std::filesystem::path& file);

}  // namespace dnateq
