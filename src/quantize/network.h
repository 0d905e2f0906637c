// One network of a search: what was measured on it, its codes under an allocation of bits, and the files of its result.
#pragma once

#include <filesystem>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibrate/lockstep.h"
#include "calibrate/measure.h"
#include "dnateq/recipe.h"
#include "emit/emit.h"
#include "graph/calls.h"
#include "quantize/quantize.h"

namespace dnateq {

// What is written of a network: the main model, `standard` or `cpu`, whose activations have 8 bits; and `exact`.
enum class Emission { kMain, kExact };

class Network {
 public:
  // Codes of every layer under one allocation. Rounding and biases make up for what a layer's inputs lack, so that each
  // emission has those of its own where it computes with other activations: `main` holds the main emission's beside
  // `exact`, of the same widths; else all emissions share one solution.
  struct Codes {
    std::vector<SolvedLayer> shared;
    std::optional<std::vector<SolvedLayer>> main;

    const std::vector<SolvedLayer>& of(Emission emission) const {
      return emission == Emission::kMain && main ? *main : shared;
    }
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
  // Of constants of the network that are no layer's weights: norms, tables of positions.
  double bytes_beside_layers() const;
  bool has_low_bit_activations() const { return low_bit_activations_; }

  // Solves every layer under `bits`, one width for each of items(). Goes on from checkpoints of an interrupted run.
  Codes solve(std::span<const int> bits, const Calls& calls, const std::string& stage) const;
  // The two halves of it: a candidate that fails as `exact` needs no codes of the main emission.
  Codes solve_first(std::span<const int> bits, const Calls& calls, const std::string& stage) const;
  void solve_main(Codes& codes, std::span<const int> bits, const Calls& calls, const std::string& stage) const;
  // The same for a plan that fixes the codes (the paper's).
  Codes complete(const std::vector<LayerPlan>& plan, const Calls& calls) const;

  // Those asked for, in the order in which they are judged: what most likely misses a limit first.
  const std::vector<Emission>& emissions() const { return emissions_; }
  // As recipe and messages call it.
  std::string name_of(Emission emission) const;
  // Without its state, as the original.
  std::shared_ptr<ov::Model> emitted(const Codes& codes, Emission emission) const;
  // Saves emitted() in the folder measurements/candidate; returns the file.
  std::filesystem::path save_candidate(const Codes& codes, Emission emission) const;

  // Writes the files of all emissions.
  void save_models(const Codes& codes) const;
  // Bytes of the weight file that save_models() wrote for it; 0 where it is not asked for.
  int64_t weight_file_bytes(Emission emission) const;
  // Fills the sizes of what save_models() wrote for it.
  void describe_files(Emission emission, EmissionResult& result) const;
  // Fills what operations of the network pass to each other (activations.h): of `exact` where it is written.
  void describe_passed(const Codes& codes, const Calls& calls, Recipe& recipe) const;

  // Fills the recipe and the views of the report; the metric and the search's steps are the caller's.
  void describe(const Codes& codes, QuantizeResult& result) const;

 private:
  bool on_int8_kernels(size_t layer, int bits) const;
  std::vector<LayerPlan> plan_for(std::span<const int> bits) const;
  // The main emission's plan of the same widths, where `exact` is written too: 8-bit activations.
  std::vector<LayerPlan> main_plan_for(const std::vector<SolvedLayer>& shared) const;
  std::vector<SolvedLayer> run(const std::vector<LayerPlan>& plan, const Calls& calls, const std::string& stage,
                               const std::string& key) const;
  std::string key_of(std::span<const int> bits, const Calls& calls) const;
  std::vector<LayerCodes> layer_codes(const std::vector<SolvedLayer>& solved) const;
  double expected_rows(size_t layer) const;
  bool runs_packed(size_t l, int bits) const;  // in the main emission
  int64_t weight_bytes(const Layer& layer, const LayerCodes& codes) const;
  // Of layer `l`, which shares its weights: `cpu` keeps them a second time where OpenVINO's operations cannot read the
  // blob of ours.
  int64_t second_form_bytes(size_t l, const std::vector<LayerCodes>& codes) const;
  bool shares_base() const;  // of a layer's weights with its inputs
  std::shared_ptr<ov::Model> emit_low_bit(const std::vector<LayerCodes>& codes) const;  // exact, or counting
  std::shared_ptr<ov::Model> emit_main(const std::vector<LayerCodes>& codes) const;
  // emitted(), with its state.
  void save(const Codes& codes, Emission emission, const std::filesystem::path& folder) const;
  std::filesystem::path folder_of(Emission emission) const;

  ov::Core& core_;
  const NetworkInput& input_;
  const QuantizeOptions& options_;
  Progress progress_;
  PreparedModel prepared_;  // what is quantized: the original with its activations centred
  TensorCode request_;
  Metric metric_ = Metric::kKl;
  size_t output_ = 0;
  bool low_bit_activations_ = true;  // else 8-bit uniform ones, or none
  std::vector<Emission> emissions_;
  std::string key_;  // of the measurements
  Measurements measurements_;
  AllocationItems items_;
};

}  // namespace dnateq
