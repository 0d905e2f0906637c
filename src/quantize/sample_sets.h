// Which samples of a search over networks serve for what, and their labels.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/split.h"
#include "dnateq/recipe.h"
#include "graph/calls.h"
#include "graph/evaluate.h"

namespace dnateq {

class Judge;
class Network;
struct QuantizeOptions;

struct SampleSet {                 // samples for one purpose
  std::unique_ptr<Calls> calls;    // none for external metrics
  std::vector<int64_t> of_metric;  // by number, those of an external metric that gives a score a sample
  std::vector<int64_t> labels;
  std::optional<OutputValues> reference;           // FP32's outputs, once they were asked for
  std::optional<std::vector<double>> fp32_scores;  // by sample, likewise

  int64_t size() const { return calls ? calls->samples() : static_cast<int64_t>(of_metric.size()); }
};

class SampleSets {
 public:
  // Splits the samples. A metric of the caller's is asked for the FP32 networks' score here, before all else: one that
  // fails should not cost the measurements. Without `validation`, calibration samples are held back to judge on. Throws
  // Error where labels and samples don't belong together. The references must outlive the sets.
  SampleSets(const std::vector<std::unique_ptr<Network>>& networks, const Samples* validation,
             const std::vector<int64_t>& labels, const QuantizeOptions& options, Judge& judge);

  const Calls& solve(size_t network) const { return *solve_[network]; }
  // The same with and without a loss limit: `allocate` finds what either measured.
  const Calls& measure(size_t network) const { return measure_ ? *measure_ : *solve_[network]; }
  SampleSet& search() { return search_; }  // candidates are judged on; empty where there is no limit to search for
  SampleSet& judge() { return judge_; }    // the result is judged on
  const SampleSet& search() const { return search_; }
  const SampleSet& judge() const { return judge_; }
  // Some of judge(), evenly over them, for where many candidates are judged by each.
  SampleSet some_of_judge() const;
  bool held_out() const { return split_.held_out; }  // nothing but the result is judged on those of judge()
  const std::string& samples_from() const { return split_.samples_from; }

  SplitRecipe recipe(size_t network) const;

 private:
  SampleSet set_of(const Samples& samples, const std::vector<int64_t>& calls) const;
  void split_for_metric(Judge& judge);

  const std::vector<std::unique_ptr<Network>>& networks_;
  const Samples* validation_;
  const std::vector<int64_t>& labels_;
  const QuantizeOptions& options_;
  bool external_;
  Split split_;                                // of the first network's samples
  std::vector<std::unique_ptr<Calls>> solve_;  // by network
  std::unique_ptr<Calls> measure_;             // where these are not those of solve()
  SampleSet search_, judge_;                   // of the only network, for metrics that are not external
};

}  // namespace dnateq
