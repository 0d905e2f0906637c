// What quantization loses by the metric: a score of each emission of a candidate beside FP32's, on the same samples.
//
// Non-goals: which samples (the caller's), and which candidate is taken (search/loss_search.h).
#pragma once

#include <map>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>
#include <vector>

#include "quantize/network.h"
#include "quantize/quantize.h"
#include "quantize/sample_sets.h"
#include "search/certificate.h"

namespace dnateq {

struct EmissionLoss {
  double score = 0, loss = 0;  // of all samples
  // What each sample loses, so that `loss` is their mean: negative where it gains. Empty where the metric gives one
  // number for all.
  std::vector<double> losses;
  std::vector<double> scores;  // by sample; empty as well
};

class Judge {
 public:
  // The references must outlive the judge.
  Judge(ov::Core& core, const std::vector<std::unique_ptr<Network>>& networks, const QuantizeOptions& options);

  bool external() const { return is_external(metric_); }
  Metric metric() const { return metric_; }
  DropType drop_type() const { return drop_type_; }
  // Whether losses are shares of FP32's score.
  bool relative() const { return drop_type_ == DropType::kRelative; }
  // As recipe and messages name it: a function by its own name.
  std::string metric_name() const;
  // Of the FP32 networks. Throws Error if a loss limit is relative to nothing.
  double reference_score(SampleSet& samples);
  // How many samples an external metric gives a score of; 0 where it gives one number.
  size_t metric_samples();

  // Of one emission of all networks with these codes, one for each network.
  EmissionLoss loss(const std::vector<Network::Codes>& codes, Emission emission, SampleSet& samples,
                    const std::string& stage);
  // The same of the n-th network alone, by an external metric, the others as they were.
  double loss_of_one(size_t n, const Network::Codes& codes);

  // What the loss on data not yet seen may be, for a candidate that was chosen without the samples of `samples`.
  // Nothing where the metric gives one number for all.
  std::optional<LossBound> bound(const EmissionLoss& found, const SampleSet& samples) const;
  // Whether the samples of `samples` are enough to certify a limit at all: if none of them lost anything.
  bool can_certify(SampleSet& samples, double limit);
  // As the recipe has it: with the bound, whether that is within the limit, if there is one, and if not, how many
  // samples would bring it there. `held_out`: neither codes nor the search are of these samples, else there is no
  // bound. `certifies`: the candidate was chosen without them, or by a sequence of tests that keeps the error rate.
  EmissionResult result_of(Emission emission, const EmissionLoss& found, const SampleSet& samples, bool held_out,
                           bool certifies) const;

  // The score of somebody else's INT8 models of the networks.
  double int8_score(SampleSet& samples);

 private:
  const Network& only() const { return *networks_.front(); }
  std::vector<double> scores(const std::shared_ptr<ov::Model>& model, SampleSet& samples, const std::string& stage);
  // Whether outputs are too wide to keep: candidates then run beside FP32, call by call.
  bool is_streamed() const;
  const std::vector<double>& fp32_scores(SampleSet& samples);
  // FP32's scores by sample, which must have been asked for; empty where the metric gives one number.
  std::vector<double> reference_scores(const SampleSet& samples) const;
  // What absolute losses are divided by. Throws Error if that is 0.
  double base_of(const std::vector<double>& reference) const;
  std::vector<std::filesystem::path> original_files() const;
  const ExternalScore& external_reference();
  ExternalScore ask(const std::vector<std::filesystem::path>& models);
  EmissionLoss external_loss(const ExternalScore& said, SampleSet& samples);
  LossRange range(const SampleSet& samples) const;  // of an absolute loss
  ScoreRange score_range() const;

  ov::Core& core_;
  const std::vector<std::unique_ptr<Network>>& networks_;
  const QuantizeOptions& options_;
  Metric metric_;
  DropType drop_type_;
  std::optional<ExternalScore> external_reference_;
  std::map<uint64_t, ExternalScore> said_;  // of candidates, by their files: judged on either part, asked for once
};

// Fills limit, certified and verdict of `metric` from what was found of the emissions, where `searched` samples beside
// those judged on led the search.
void conclude(MetricResult& metric, const std::vector<EmissionResult>& emissions, double limit, int64_t searched);

}  // namespace dnateq
