#include "quantize/limit_search.h"

#include <fmt/format.h>

#include <optional>

#include "core/option.h"
#include "dnateq/error.h"
#include "quantize/results.h"
#include "search/loss_search.h"

namespace dnateq {
namespace {

class LimitSearch {
 public:
  LimitSearch(SearchRun& run, const CandidateFront& front)
      : run_(run),
        front_(front),
        limit_(*run.options.max_loss),
        certifies_(run.samples.held_out() && run.judge.can_certify(run.samples.judge(), limit_)) {}

  LimitSearchResult search() {
    std::vector<FrontPoint> points;
    for (size_t i = 0; i < front_.allocations.size(); ++i)
      points.push_back({tensor_mean(front_.allocations[i]), front_.divergences[i]});
    LossSearchOptions search;
    search.limit = limit_;
    LossSearchSteps steps;
    steps.estimate = [this](size_t point) { return estimate(point); };
    steps.out_of_time = [this] { return run_.out_of_time(); };
    if (certifies_) steps.certify = [this](size_t point) { return certify(point); };
    const LossSearchResult found = search_for_loss(points, search, steps);
    refuse_failure(found);
    result_.point = found.point;
    // Where a candidate of more bits failed, the samples that judge have had their say: no second try of another.
    result_.certified = found.verdict == LossVerdict::kCertified;
    return std::move(result_);
  }

 private:
  // Emission by emission, as far as the limit is met.
  LossEstimate estimate(size_t point) {
    const std::string stage = fmt::format("candidate {}", run_.steps.size() + 1);
    Candidate candidate = front_.first(point, stage);
    const std::vector<Emission>& emissions = run_.emissions();
    const LossEstimate worst = estimate_of_forms(emissions.size(), limit_, [&](size_t form) {
      if (emissions[form] == Emission::kMain) front_.rest(candidate, point, stage);
      const EmissionLoss found = run_.judge.loss(candidate.networks, emissions[form], run_.samples.search(), "judging");
      return LossEstimate{found.loss, certifies_ ? margin_of(found) : 0};
    });
    run_.note_step(candidate.allocation, worst.loss, front_.note(point));
    result_.judged.emplace_back(point, worst.loss);
    if (within(worst.loss, limit_) && (!kept_ || point < *kept_)) {
      keep_result(run_, candidate);
      kept_ = point;
    }
    return worst;
  }

  double margin_of(const EmissionLoss& found) const {
    const SampleSet& searched = run_.samples.search();
    return expected_margin(found.loss, run_.judge.bound(found, searched)->upper, searched.size(),
                           run_.samples.judge().size());
  }

  LossJudgement certify(size_t point) {
    const Candidate candidate = front_.whole(point, "solving layers");  // from the checkpoints
    const std::vector<Emission>& emissions = run_.emissions();
    return judgement_of_forms(emissions.size(), [&](size_t form) {
      const EmissionResult found = judge_emission(run_, candidate, emissions[form], certifies_);
      LossJudgement judgement{found.loss, found.upper_bound, {}};
      if (found.samples_needed > 0) judgement.samples_needed = found.samples_needed;
      return judgement;
    });
  }

  void refuse_failure(const LossSearchResult& found) const {
    if (found.verdict == LossVerdict::kOutOfTime)
      throw Error(fmt::format(
          "the time of {} was over before a loss of at most {:.4g} ({}) was met; {:.4g} is the least that "
          "was reached; raise {} or {}",
          option("budget"), limit_, run_.judge.metric_name(), found.least_loss, option("budget"), option("max_drop")));
    if (found.verdict == LossVerdict::kCannotMeet)
      throw Error(
          fmt::format("a loss of at most {:.4g} ({}) cannot be met: {:.4g} is the least that was reached; raise {}, {}",
                      limit_, run_.judge.metric_name(), found.least_loss, option("max_drop"),
                      run_.options.strategy == "paper"
                          ? "or use " + option("strategy", "optimal")
                          : "give more calibration samples, or leave layers out with " + option("ignore")));
  }

  SearchRun& run_;
  const CandidateFront& front_;
  double limit_;
  bool certifies_;  // the samples that judge can certify the limit for what the search takes
  LimitSearchResult result_;
  std::optional<size_t> kept_;  // the point whose candidate lies in the folder
};

}  // namespace

LimitSearchResult search_within_limit(SearchRun& run, const CandidateFront& front) {
  return LimitSearch(run, front).search();
}

}  // namespace dnateq
