#include "search/loss_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr double kWorthAnotherTry = 0.05;  // bits between a candidate that is good enough and the next to try
// Tries without a margin, after those with one found nothing that could be certified: they start where those ended.
constexpr size_t kTriesAfterMargins = 3;
// A loss of almost nothing would have the divergence grow without bounds: it counts as this share of the limit, at
// least, so that no step has it grow more than fourfold.
constexpr double kLeastShareOfLimit = 0.25;
// With a bound one margin above the loss, and the two parts' losses differing by chance by .86 margins (one standard
// deviation; equal parts), 2.4 margins within the limit are certified 19 times of 20; 3, as the first guess was chosen
// among several.
constexpr double kSafeMargins = 3;

class Search {
 public:
  Search(const std::vector<FrontPoint>& front, const LossSearchOptions& options, const LossSearchSteps& steps)
      : front_(front), options_(options), steps_(steps) {}

  LossSearchResult run() {
    const bool certifying = static_cast<bool>(steps_.certify);
    if (certifying) bisect(true, options_.most_tries);
    // Without a candidate that could be certified, the one to deliver is the best by its estimate.
    if (!certifying || !fewest(true)) bisect(false, certifying ? kTriesAfterMargins : options_.most_tries);
    fill_gaps();
    const std::optional<size_t> best = fewest(false);
    result_.least_loss = tried(least_loss()).estimate.loss;
    if (!best) {
      result_.verdict = out_of_time() && !tried_all_gaps_ ? LossVerdict::kOutOfTime : LossVerdict::kCannotMeet;
      result_.point = least_loss();
      return std::move(result_);
    }
    result_.verdict = LossVerdict::kUncertified;
    result_.point = *best;
    if (certifying) certify();
    return std::move(result_);
  }

 private:
  bool out_of_time() const { return steps_.out_of_time && steps_.out_of_time(); }

  LossSearchResult::Tried& tried(size_t point) { return result_.tried[at_.at(point)]; }

  const LossEstimate& make(size_t point) {
    if (!at_.contains(point)) {
      const LossEstimate estimate = steps_.estimate(point);
      at_[point] = result_.tried.size();
      result_.tried.push_back({point, estimate, std::nullopt});
    }
    return tried(point).estimate;
  }

  bool good(const LossEstimate& estimate, bool with_margin) const {
    return within(estimate.loss + (with_margin ? estimate.margin : 0), options_.limit);
  }

  // Of those made.
  std::optional<size_t> fewest(bool with_margin) const {
    for (const auto& [point, index] : at_)
      if (good(result_.tried[index].estimate, with_margin)) return point;
    return std::nullopt;
  }

  size_t least_loss() const {
    return std::min_element(result_.tried.begin(), result_.tried.end(),
                            [](const auto& a, const auto& b) { return a.estimate.loss < b.estimate.loss; })
        ->point;
  }

  // By how much the predicted divergence may grow, f, for the loss and some margins to stay within the limit. Loss
  // grows about in proportion to it, a margin with its root, as a standard deviation does: f loss + sqrt(f) margin =
  // limit.
  double growth(const LossEstimate& estimate, double margins) const {
    const double limit = options_.limit, loss = std::max(estimate.loss, limit * kLeastShareOfLimit);
    const double margin = margins > 0 ? margins * estimate.margin : 0;
    const double root = (std::sqrt(margin * margin + 4 * loss * limit) - margin) / (2 * loss);
    return root * root;
  }

  void bisect(bool with_margin, size_t tries) {
    auto too_few = std::ptrdiff_t{-1}, enough = static_cast<std::ptrdiff_t>(front_.size());
    const auto note = [&](std::ptrdiff_t point, bool is_enough) {
      if (is_enough)
        enough = std::min(enough, point);
      else
        too_few = std::max(too_few, point);
    };
    for (const auto& [point, index] : at_)  // from few bits to many; noise may have the loss rise
      if (const auto signed_point = static_cast<std::ptrdiff_t>(point); signed_point < enough)
        note(signed_point, good(result_.tried[index].estimate, with_margin));
    if (too_few > enough) too_few = -1;
    std::ptrdiff_t next = first(too_few, enough, with_margin);
    for (size_t done = 0; next > too_few && next < enough; ++done) {
      const bool found = fewest(with_margin).has_value();
      if (done >= tries && found) break;
      if (!result_.tried.empty() && out_of_time()) {
        if (found || with_margin || fewest(false)) break;
        next = enough - 1;  // one more: what has the best chance
      }
      const LossEstimate estimate = make(static_cast<size_t>(next));
      const bool is_good = good(estimate, with_margin);
      note(next, is_good);
      if (enough - too_few <= 1 || (out_of_time() && next == enough - 1)) break;
      if (with_margin && done + 1 >= tries && !fewest(true)) {
        // One last try at most bits: what fails there is not to be certified.
        const auto last = static_cast<std::ptrdiff_t>(front_.size()) - 1;
        if (next == last) break;
        next = last;
        continue;
      }
      next = led(static_cast<size_t>(next), estimate, too_few, enough, with_margin ? 1 : 0);
      // A loss that hardly falls would be followed point by point.
      if (!fewest(with_margin) && done + 1 >= tries)
        next = std::clamp(std::max(next, (too_few + enough) / 2), too_few + 1, enough - 1);
      if (enough < static_cast<std::ptrdiff_t>(front_.size()) &&
          front_[static_cast<size_t>(enough)].bits - front_[static_cast<size_t>(next)].bits < kWorthAnotherTry)
        break;
    }
  }

  // Where to begin: at options.first_bits; where candidates are there, where the nearest of them leads.
  std::ptrdiff_t first(std::ptrdiff_t too_few, std::ptrdiff_t enough, bool with_margin) {
    if (at_.empty()) {
      const auto found = std::find_if(front_.begin(), front_.end(),
                                      [&](const FrontPoint& point) { return point.bits >= options_.first_bits; });
      return std::min(found - front_.begin(), static_cast<std::ptrdiff_t>(front_.size()) - 1);
    }
    if (enough - too_few <= 1) return enough;
    const std::ptrdiff_t from = enough < static_cast<std::ptrdiff_t>(front_.size()) ? enough : too_few;
    return led(static_cast<size_t>(from), tried(static_cast<size_t>(from)).estimate, too_few, enough,
               with_margin ? 1 : 0);
  }

  // The point between the two that the predicted divergence calls the first within the limit.
  std::ptrdiff_t led(size_t from, const LossEstimate& estimate, std::ptrdiff_t too_few, std::ptrdiff_t enough,
                     double margins) const {
    const double wanted = front_[from].divergence * growth(estimate, margins);
    std::ptrdiff_t guess = too_few + 1;
    while (guess < enough - 1 && front_[static_cast<size_t>(guess)].divergence > wanted) ++guess;
    return std::clamp(guess, too_few + 1, enough - 1);
  }

  // On few samples the loss does not fall steadily: most bits may miss by one sample what fewer bits meet. Before the
  // limit is called out of reach, the points between are tried, the middle of the widest gap first.
  void fill_gaps() {
    for (size_t i = 0; i < options_.most_tries && !fewest(false); ++i) {
      const std::optional<size_t> point = middle_of_widest_gap();
      tried_all_gaps_ = !point;
      if (!point || out_of_time()) return;
      make(*point);
    }
    tried_all_gaps_ = true;
  }

  std::optional<size_t> middle_of_widest_gap() const {  // the finer of two equal gaps
    std::optional<size_t> middle;
    size_t widest = 2;
    for (auto at = at_.begin(); at != at_.end() && std::next(at) != at_.end(); ++at) {
      const size_t low = at->first, high = std::next(at)->first;
      if (high - low < widest) continue;
      widest = high - low;
      middle = (low + high + 1) / 2;
    }
    return middle;
  }

  bool passes(size_t point) {
    LossSearchResult::Tried& one = tried(point);
    one.judgement = steps_.certify(point);
    if (!within(one.judgement->upper, options_.limit)) return false;
    result_.verdict = LossVerdict::kCertified;
    result_.point = point;
    result_.judgement = one.judgement;
    return true;
  }

  // The first test decides whether there is any certificate, and the one chosen passes its own about every second time:
  // it was chosen for a bound just within the limit. So one comes before it that most likely passes, made for this if
  // there is none.
  void make_a_safe_one() {
    const auto& [most_bits, index] = *at_.rbegin();
    const auto from = static_cast<std::ptrdiff_t>(most_bits), end = static_cast<std::ptrdiff_t>(front_.size());
    const bool there = std::any_of(result_.tried.begin(), result_.tried.end(), [&](const auto& one) {
      return within(one.estimate.loss + kSafeMargins * one.estimate.margin, options_.limit);
    });
    if (there || from + 1 >= end || out_of_time()) return;
    make(static_cast<size_t>(led(most_bits, result_.tried[index].estimate, from, end, kSafeMargins)));
  }

  // Fixed-sequence testing. Nothing in here may look at more of a judgement than whether it passed.
  void certify() {
    if (fewest(true)) make_a_safe_one();
    std::vector<size_t> sequence;
    for (auto at = at_.rbegin(); at != at_.rend(); ++at)
      if (good(result_.tried[at->second].estimate, false)) sequence.push_back(at->first);
    for (const size_t point : sequence)
      if (!passes(point)) {
        if (result_.verdict != LossVerdict::kCertified) {  // to say by how much the one delivered misses
          LossSearchResult::Tried& best = tried(result_.point);
          if (!best.judgement) best.judgement = steps_.certify(result_.point);
          result_.judgement = best.judgement;
        }
        return;
      }
    for (size_t i = 0; i < options_.most_further && !out_of_time(); ++i) {
      const std::optional<size_t> next = below(result_.point);
      if (!next || !good(make(*next), false) || !passes(*next)) return;
    }
  }

  // Half-way from a candidate that passed to the next of fewer bits, which was found to lose too much.
  std::optional<size_t> below(size_t point) const {
    const auto at = at_.find(point);
    const std::ptrdiff_t low = at == at_.begin() ? -1 : static_cast<std::ptrdiff_t>(std::prev(at)->first);
    const std::ptrdiff_t middle = (low + static_cast<std::ptrdiff_t>(point) + 1) / 2;
    if (middle <= low || middle >= static_cast<std::ptrdiff_t>(point)) return std::nullopt;
    const auto next = static_cast<size_t>(middle);
    if (front_[point].bits - front_[next].bits < kWorthAnotherTry) return std::nullopt;
    return next;
  }

  const std::vector<FrontPoint>& front_;
  const LossSearchOptions& options_;
  const LossSearchSteps& steps_;
  LossSearchResult result_;
  std::map<size_t, size_t> at_;  // by point of the front: its place in result_.tried
  bool tried_all_gaps_ = false;
};

}  // namespace

LossSearchResult search_for_loss(const std::vector<FrontPoint>& front, const LossSearchOptions& options,
                                 const LossSearchSteps& steps) {
  if (front.empty()) throw Error("there is no candidate to search among");
  return Search(front, options, steps).run();
}

bool within(double loss, double limit) {
  constexpr double kRounding = 1e-9;
  return loss <= limit + kRounding;
}

LossEstimate estimate_of_forms(size_t forms, double limit, const std::function<LossEstimate(size_t form)>& estimate) {
  double worst = -std::numeric_limits<double>::infinity(), highest = worst;  // loss, and loss with its margin
  for (size_t form = 0; form < forms; ++form) {
    const LossEstimate found = estimate(form);
    worst = std::max(worst, found.loss);
    highest = std::max(highest, found.loss + found.margin);
    if (!within(found.loss, limit)) break;
  }
  return {worst, highest - worst};
}

LossJudgement judgement_of_forms(size_t forms, const std::function<LossJudgement(size_t form)>& judge) {
  std::optional<LossJudgement> worst;
  for (size_t form = 0; form < forms; ++form) {
    const LossJudgement found = judge(form);
    if (!worst || found.upper > worst->upper) worst = found;
  }
  return worst.value_or(LossJudgement{});
}

double expected_margin(double loss, double upper, int64_t searched, int64_t certifying) {
  const double here = upper - loss;
  if (!std::isfinite(here)) return 0;
  return here * std::sqrt(static_cast<double>(searched) / static_cast<double>(certifying));
}

}  // namespace dnateq
