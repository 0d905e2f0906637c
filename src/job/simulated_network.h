// The network of a simulation as workloads: of a built-in list, whose bits and batch may be set anew at each point of a
// sweep, of a model file in bits that were asked for, and of a recipe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "accelerator/config.h"
#include "accelerator/precision.h"
#include "accelerator/simulate.h"
#include "accelerator/workload.h"
#include "job/simulate_job.h"
#include "report/accelerator_document.h"

namespace dnateq {

struct SimulatedNetwork {
  accelerator::Workload coded, int8;
  std::vector<std::string> left_out;
  std::optional<SimulatedRecipe> recipe = {};

  // Layers that exponential lanes do not run as in `int8`.
  accelerator::Workload with_int8_layers(const accelerator::Config& config) const;
  // What a design runs; of `shift`, in bases that it can run.
  accelerator::Workload of(accelerator::Design design, const accelerator::Config& config) const;
};

// Which of the three kinds of network it is. Throws Error where there is none, or an option is of another kind.
enum class NetworkKind { kList, kRecipe, kModel };
NetworkKind kind_of_network(const SimulateOptions& options);

// What makes a built-in list's workload: settings and sweeps may change each.
class ListSettings {
 public:
  explicit ListSettings(const SimulateOptions& options);

  // bits, weight_bits, activation_bits, weight_zeros, activation_zeros, batch.
  static bool has(const std::string& key);
  void set(const std::string& key, double value);
  void read_bits_as(accelerator::BitsAre bits_are);

  // Whether the bits are the paper's averages, and nobody said how to read them.
  bool is_open_to_both_readings() const { return !bits_asked_for_ && !reading_asked_for_; }
  const accelerator::Precision& precision() const { return precision_; }
  SimulatedNetwork make() const;

 private:
  void describe();

  std::string name_;
  accelerator::Precision precision_;
  int64_t batch_ = 1;
  bool reading_asked_for_ = false, bits_asked_for_ = false, zeros_asked_for_ = false;
};

// Throw Error.
SimulatedNetwork network_of_model(const SimulateOptions& options, const Progress& progress);
SimulatedNetwork network_of_recipe(const SimulateOptions& options, const Progress& progress);

}  // namespace dnateq
