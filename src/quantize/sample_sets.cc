#include "quantize/sample_sets.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/option.h"
#include "dnateq/error.h"
#include "quantize/judge.h"
#include "quantize/network.h"

namespace dnateq {

SampleSets::SampleSets(const std::vector<std::unique_ptr<Network>>& networks, const Samples* validation,
                       const std::vector<int64_t>& labels, const QuantizeOptions& options, Judge& judge)
    : networks_(networks), validation_(validation), labels_(labels), options_(options), external_(judge.external()) {
  if (external_) {
    split_for_metric(judge);
    return;
  }
  const Samples& calibration = *networks_.front()->input().calibration;
  if (validation_ == nullptr && !labels_.empty())
    throw Error(fmt::format("{} belong to {} samples; give those too", option("labels"), option("validation")));
  split_ = split_samples(calibration, validation_, options_.max_loss.has_value(), options_.seed);
  const Samples& judged = split_.from_validation ? *validation_ : calibration;
  solve_.push_back(set_of(calibration, split_.solve).calls);
  if (!split_.search.empty()) search_ = set_of(judged, split_.search);
  judge_ = set_of(judged, split_.judge);
  if (split_.measure.size() < split_.solve.size()) measure_ = set_of(calibration, split_.measure).calls;
}

// Of a metric that gives a score a sample, half of its samples lead a search and the others judge what it took.
void SampleSets::split_for_metric(Judge& judge) {
  if (validation_ != nullptr || !labels_.empty())
    throw Error(fmt::format("the metric {} judges by samples of its own; leave {} and {} out", judge.metric_name(),
                            option("validation"), option("labels")));
  split_ = split_for_external_metric(*networks_.front()->input().calibration, options_.seed);
  for (const auto& network : networks_) {
    const Samples& own = *network->input().calibration;
    solve_.push_back(
        std::make_unique<Calls>(own, *network->original().model, split_for_external_metric(own, options_.seed).solve));
  }
  judge.reference_score(judge_);
  const std::vector<int64_t> order = permutation(static_cast<int64_t>(judge.metric_samples()), options_.seed);
  const size_t searched = options_.max_loss ? order.size() / 2 : 0;
  search_.of_metric.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(searched));
  judge_.of_metric.assign(order.begin() + static_cast<std::ptrdiff_t>(searched), order.end());
  split_.held_out = searched > 0 || (!options_.max_loss && networks_.size() == 1);  // several are weighed by them
}

SampleSet SampleSets::set_of(const Samples& samples, const std::vector<int64_t>& calls) const {
  SampleSet set;
  set.calls = std::make_unique<Calls>(samples, *networks_.front()->original().model, calls);
  if (labels_.empty() || &samples != validation_) return set;
  std::vector<int64_t> first_label(1, 0);
  for (int64_t call = 0; call < samples.size(); ++call)
    first_label.push_back(first_label.back() + samples.samples_in(call));
  if (static_cast<int64_t>(labels_.size()) != first_label.back())
    throw Error(fmt::format("there are {} labels for the {} samples of '{}'; give one label a sample", labels_.size(),
                            first_label.back(), samples.source()));
  for (const int64_t call : calls)
    set.labels.insert(set.labels.end(), labels_.begin() + first_label[static_cast<size_t>(call)],
                      labels_.begin() + first_label[static_cast<size_t>(call) + 1]);
  return set;
}

SampleSet SampleSets::some_of_judge() const {
  constexpr size_t kMost = 1024;  // a standard error of .016 where half of the samples lose: enough for a picture
  const size_t count = std::min(kMost, split_.judge.size());
  std::vector<int64_t> calls;
  for (size_t i = 0; i < count; ++i) calls.push_back(split_.judge[i * split_.judge.size() / count]);
  return set_of(split_.from_validation ? *validation_ : *networks_.front()->input().calibration, calls);
}

SplitRecipe SampleSets::recipe(size_t network) const {
  const Split split =
      external_ ? split_for_external_metric(*networks_[network]->input().calibration, options_.seed) : split_;
  SplitRecipe recipe;
  recipe.solve = solve(network).samples();
  recipe.search = search_.size();
  recipe.judge = judge_.size();
  recipe.hash = split.hash();
  recipe.note = split.note;
  return recipe;
}

}  // namespace dnateq
