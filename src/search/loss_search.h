// The fewest bits within a loss limit, as a policy over a front of candidates: which are tried, and which one is taken.
// What a candidate is, how it is made and how it is judged, stays behind callbacks.
//
// Two parts of the samples, which nothing else may share:
// - on the *search part* candidates are made and judged one after another, by bisection along the front led by the
//   predicted divergence, for the fewest bits whose loss together with the margin that a certificate will ask for is
//   within the limit;
// - on the *certification part* those that the search part found within the limit are tested from most bits to fewest,
//   each at the full level, up to the first that fails; the last that passed is taken. While all pass, candidates of
//   fewer bits follow.
//
// Why the loss of the one taken exceeds the limit with a probability of at most 1 - level: which candidates stand in
// the sequence, and in what order, follows from the search part alone (as long as all pass, the certification part has
// no say in it). So for the first of the sequence whose true loss is above the limit to be taken, its own test must
// fail to notice; and nothing beyond it is taken if it notices. (Fixed-sequence testing; Maurer, Hothorn and Lehmacher
// 1995.) That is a promise about the limit. The bound that is printed beside it holds for its candidate alone.
//
// A candidate that is written in several forms passes where the bound of every form is within the limit, each at the
// full level and without correction: a candidate with one bad form must pass that form's test, and does so with a
// probability of at most 1 - level (intersection-union).
//
// What a callback throws comes through: a cancelled search throws its Cancelled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace dnateq {

// One candidate of the front, which goes from few bits to many.
struct FrontPoint {
  double bits = 0;        // mean stored bits
  double divergence = 0;  // predicted; falls along the front
};

// On the search part; of the worst form where a candidate has several.
struct LossEstimate {
  double loss = 0;
  double margin = 0;  // how far above the loss a certificate's bound will lie: the bound on this part minus the loss,
                      // times sqrt(samples here / samples to certify on)
};

// On the certification part; of the form with the highest bound.
struct LossJudgement {
  double loss = 0, upper = 0;
  std::optional<int64_t> samples_needed;  // to certify a loss as seen here; nothing where no number would
};

struct LossSearchOptions {
  double limit = 0;
  double first_bits = 4;    // where the search starts: most networks end within a bit of it
  size_t most_tries = 5;    // candidates made while looking for the fewest bits; a few more where it is not found
  size_t most_further = 2;  // and beyond the first certified ones
};

struct LossSearchSteps {
  std::function<LossEstimate(size_t point)> estimate;  // makes the candidate; called once a point
  std::function<LossJudgement(size_t point)> certify;  // only of points that were estimated; empty: no certificates
  std::function<bool()> out_of_time;                   // nothing further is made then; empty: never
};

enum class LossVerdict {
  kCertified,    // the bound is within the limit
  kUncertified,  // the loss on the search part is within the limit, and no bound showed it
  kCannotMeet,   // not even that, at most bits
  kOutOfTime,    // not found yet when time was up
};

struct LossSearchResult {
  LossVerdict verdict = LossVerdict::kCannotMeet;
  // The one taken: certified, or the fewest bits within the limit on the search part. For kCannotMeet and kOutOfTime
  // the one of least loss.
  size_t point = 0;
  double least_loss = 0;                   // on the search part, of all that were made
  std::optional<LossJudgement> judgement;  // of `point`, where it was certified or tested
  struct Tried {
    size_t point;
    LossEstimate estimate;
    std::optional<LossJudgement> judgement;
  };
  std::vector<Tried> tried;  // in the order of making
};

// Throws Error for an empty front.
LossSearchResult search_for_loss(const std::vector<FrontPoint>& front, const LossSearchOptions& options,
                                 const LossSearchSteps& steps);

// Whether a loss meets its limit, rounding aside: 0.88 - 0.87 is more than 0.01.
bool within(double loss, double limit);

// Of a candidate that is written in several forms. A form after the first that misses the limit is not asked for.
LossEstimate estimate_of_forms(size_t forms, double limit, const std::function<LossEstimate(size_t form)>& estimate);
LossJudgement judgement_of_forms(size_t forms, const std::function<LossJudgement(size_t form)>& judge);

// How far above a loss its bound by `certifying` samples will lie, where the bound by the `searched` ones is `upper`; 0
// where these bound nothing.
double expected_margin(double loss, double upper, int64_t searched, int64_t certifying);

}  // namespace dnateq
