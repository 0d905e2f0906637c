// What `dnateq simulate` found, as the JSON document of DIR/result.json, as CSV tables and as one self-contained page.
//
// The document: `workload`, `recipe` (or null), `config` (values, sources, what is assumed), `designs` (totals, energy,
// area, whose codes they are of, layers; the first is the INT8 baseline), `readings` and, after a sweep, `sweep`.
// Ratios are the baseline's figure over the design's: above 1 is better. The page draws this document and nothing else;
// every number in it is computed here.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "accelerator/code_fit.h"
#include "accelerator/config.h"
#include "accelerator/precision.h"
#include "accelerator/simulate.h"
#include "accelerator/sweep.h"
#include "accelerator/workload.h"
#include "dnateq/recipe.h"

namespace dnateq {

// The recipe that a workload's bits are of.
struct SimulatedRecipe {
  std::string strategy, options;
  std::optional<MetricResult> metric;
};

// What one reading of the same mean bits comes to.
struct Reading {
  accelerator::BitsAre bits_are = accelerator::BitsAre::kStored;
  double weight_bits = 0, activation_bits = 0;  // stored, mean over layers
  std::vector<accelerator::Outcome> outcomes;   // of the run's designs
};

struct SimulationRun {
  accelerator::Workload workload;     // in the codes' precision
  accelerator::Workload int8;         // the baseline's
  std::vector<std::string> left_out;  // layers that were not simulated, and why
  accelerator::Config config;
  std::vector<accelerator::DesignResult> designs;  // the baseline first
  std::vector<std::string> notes;                  // options that changed the machine or the operands
  std::optional<SimulatedRecipe> recipe;           // none for built-in lists and models
  std::vector<Reading> readings;                   // both, where the bits are the paper's averages; else none
};

// DNA-TEQ's claims against INT8 on the same memory, which the maps and the check are drawn for.
inline constexpr double kPaperSpeed = 1.5, kPaperEnergy = 2.5;

// Which share of the baseline's energy the processing elements (lanes, quantizers, post-processing) would have to be so
// that the design needs `times` less energy. With e and m the design's energy over the baseline's inside and outside
// them, s e + (1 - s) m = 1 / times gives s = (m - 1 / times) / (m - e). No share: s is not within 0 ... 1.
struct ShareCheck {
  double share = 0, inside_ratio = 0, outside_ratio = 0;  // of this run: share of the baseline, e, m
  std::optional<double> needed;                           // s
  bool holds = false;                                     // energy ratio of this run >= times
};
ShareCheck share_check(const accelerator::Energy& baseline, const accelerator::Energy& design, double times);

// Of a design of the run: its layers' codes against those that it runs. Layers on INT8 lanes are left out.
accelerator::CodeFit code_fit(const SimulationRun& run, const accelerator::DesignResult& design);

nlohmann::ordered_json simulation_document(const SimulationRun& run);
nlohmann::ordered_json sweep_document(const std::vector<accelerator::SweepAxis>& axes,
                                      const std::vector<accelerator::SweepPoint>& points);
std::string layers_csv(const SimulationRun& run);  // a row a design and layer; units in the headers
std::string sweep_csv(const std::vector<accelerator::SweepAxis>& axes,
                      const std::vector<accelerator::SweepPoint>& points);
std::string render_accelerator_html(const nlohmann::ordered_json& document);

}  // namespace dnateq
