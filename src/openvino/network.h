// One network of a search: what was measured on it, its codes under an allocation of bits, and the files of its result.
#pragma once

#include <filesystem>
#include <memory>
#include <openvino/openvino.hpp>
#include <span>
#include <string>
#include <vector>

#include "dnateq/recipe.h"
#include "openvino/calls.h"
#include "openvino/emit.h"
#include "openvino/lockstep.h"
#include "openvino/measure.h"
#include "openvino/quantize.h"

namespace dnateq {

class Network {
 public:
  // Codes of every layer under one allocation.
  struct Codes {
    std::vector<LayerPlan> plan;
    std::vector<LayerSolution> solutions;
  };

  // The references must outlive the network. Throws Error if nothing in it can be quantized, or it has no such output.
  Network(ov::Core& core, const NetworkInput& input, const QuantizeOptions& options);

  const NetworkInput& input() const { return input_; }
  const PreparedModel& original() const { return *input_.prepared; }
  const PreparedModel& prepared() const { return prepared_; }
  const std::filesystem::path& directory() const { return input_.directory; }
  size_t output() const { return output_; }  // that the metric reads; 0 for external metrics
  const Progress& progress() const { return progress_; }

  // Centres activations and measures, or loads what an earlier run measured on the same samples; makes the folder.
  void measure(const Calls& calls);
  const Measurements& measurements() const { return measurements_; }
  const AllocationItems& items() const { return items_; }
  bool has_low_bit_activations() const { return low_bit_activations_; }

  // Solves every layer under `bits`, one width for each of items(). Goes on from checkpoints of an interrupted run.
  Codes solve(std::span<const int> bits, const Calls& calls, const std::string& stage) const;
  // The same for a plan that fixes the codes (the paper's).
  Codes complete(std::vector<LayerPlan> plan, const Calls& calls) const;

  // The emission that is judged: `exact` where it is asked for.
  std::shared_ptr<ov::Model> emitted(const Codes& codes) const;
  // Saves emitted() in the folder measurements/candidate; returns the file.
  std::filesystem::path save_candidate(const Codes& codes) const;

  struct Emitted {
    std::shared_ptr<ov::Model> main, exact;  // null where not asked for
  };
  Emitted save_models(const Codes& codes) const;
  // Bytes of the weight files that save_models() wrote; 0 where not asked for.
  int64_t main_bytes() const, exact_bytes() const;

  // Fills the recipe and the views of the report; the metric and the search's steps are the caller's.
  void describe(const Codes& codes, QuantizeResult& result) const;

 private:
  std::vector<LayerPlan> plan_for(std::span<const int> bits) const;
  std::string key_of(std::span<const int> bits, const Calls& calls) const;
  std::vector<LayerCodes> layer_codes(const Codes& codes) const;
  double expected_rows(size_t layer) const;
  int64_t weight_bytes(const Layer& layer, const LayerCodes& codes) const;
  std::shared_ptr<ov::Model> emit_main(const std::vector<LayerCodes>& codes) const;
  std::filesystem::path exact_folder() const;

  ov::Core& core_;
  const NetworkInput& input_;
  const QuantizeOptions& options_;
  Progress progress_;
  PreparedModel prepared_;  // what is quantized: the original with its activations centred
  TensorCode request_;
  Metric metric_ = Metric::kKl;
  size_t output_ = 0;
  bool low_bit_activations_ = true;  // else 8-bit uniform ones, or none
  std::string key_;                  // of the measurements
  Measurements measurements_;
  AllocationItems items_;
};

}  // namespace dnateq
