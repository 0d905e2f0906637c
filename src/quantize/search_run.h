// What the stages of one search over networks share, and what they hand on to each other.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dnateq/recipe.h"
#include "quantize/judge.h"
#include "quantize/network.h"
#include "quantize/quantize.h"
#include "quantize/sample_sets.h"
#include "search/allocation.h"

namespace dnateq {

struct SearchRun {
  // Throws Error for several networks where metric or strategy knows one only. The references must outlive the run.
  SearchRun(ov::Core& core, const std::vector<NetworkInput>& inputs, const Samples* validation,
            const std::vector<int64_t>& labels, const QuantizeOptions& options);
  SearchRun(const SearchRun&) = delete;  // its members refer to each other
  SearchRun& operator=(const SearchRun&) = delete;

  Network& only() const { return *networks.front(); }
  const std::vector<Emission>& emissions() const { return only().emissions(); }
  double seconds() const;
  bool out_of_time() const;  // no further candidate is begun then
  void note_step(const Allocation& allocation, double loss, const std::string& note = {});

  const QuantizeOptions& options;
  std::chrono::steady_clock::time_point start;
  std::vector<std::unique_ptr<Network>> networks;
  Judge judge;
  SampleSets samples;
  std::vector<SearchStep> steps;  // candidates that were judged, for the recipe

 private:
  static std::vector<std::unique_ptr<Network>> networks_of(ov::Core& core, const std::vector<NetworkInput>& inputs,
                                                           const QuantizeOptions& options);
};

// One complete assignment of codes.
struct Candidate {
  Allocation allocation;
  std::vector<Network::Codes> networks;
};

// What a loss limit is searched along, from few bits to many, and how a candidate of it is made.
struct CandidateFront {
  std::vector<Allocation> allocations;
  std::vector<double> divergences;  // predicted, or what stands for it; falling
  // With the codes of the emission that is judged first; the others' come when it met the limit.
  std::function<Candidate(size_t point, const std::string& stage)> first;
  std::function<void(Candidate& candidate, size_t point, const std::string& stage)> rest;
  std::function<std::string(size_t point)> note;  // what its step says of it

  Candidate whole(size_t point, const std::string& stage) const {
    Candidate candidate = first(point, stage);
    rest(candidate, point, stage);
    return candidate;
  }
};

// What a search ends with.
struct SearchOutcome {
  Candidate best;
  // `best` was chosen without the samples that judge it, or by a sequence of tests that keeps the error rate.
  bool certifies = false;
  std::optional<ThresholdStudy> thresholds;  // of the paper's search
};

}  // namespace dnateq
