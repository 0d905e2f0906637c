// How much may a candidate lose on data not yet seen: one-sided upper confidence bounds on the mean of a *paired loss*.
//
// One loss a sample: the reference's score minus the candidate's (the other way round where lower scores are better),
// so that a positive loss is a loss. Each bound is exceeded by the true mean with a probability of at most 1 - level.
//
// What that rests on: the samples are independent draws from the distribution that the promise is about, and the
// candidate was chosen without them. A validation set is thus taken as a sample of what the network will see; its own
// mean needs no bound.
//
// - losses of 0 or 1: Clopper-Pearson, which always holds;
// - losses of -1, 0 or 1: exact trinomial, Buehler's bound, worst case over the number of discordant pairs
//   (discrete_bound.h), which always holds;
// - losses within a known range: betting (betting_bound.h), which always holds;
// - anything else: studentized bootstrap, which holds for many samples only, and is infinite for fewer than
//   kFewestForBootstrap. A rare huge loss that no sample showed is unknown to it.
//
// Non-goals: a bound below a loss of 0 is given as 0; intervals on both sides; samples drawn without replacement from a
// small population (the bounds then hold, and are wider than need be).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dnateq {

inline constexpr double kCertificateLevel = 0.95;
inline constexpr int64_t kFewestForBootstrap = 100;

// What values the loss of one sample can take.
enum class LossKind {
  kZeroOrOne,  // the reference is always right: agreement of one row with the reference
  kSign,       // -1, 0, 1: top-k
  kBounded,    // between `lowest` and `highest`
  kUnbounded,
};

struct LossRange {
  LossKind kind = LossKind::kUnbounded;
  double lowest = 0, highest = 0;  // of one loss; for kUnbounded without meaning

  static LossRange zero_or_one() { return {LossKind::kZeroOrOne, 0, 1}; }
  static LossRange sign() { return {LossKind::kSign, -1, 1}; }
  static LossRange bounded(double lowest, double highest) { return {LossKind::kBounded, lowest, highest}; }
  static LossRange unbounded() { return {}; }
};

// "Clopper-Pearson", "exact trinomial", "betting", "bootstrap".
std::string method_of(const LossRange& range);

struct LossBound {
  double loss = 0;   // mean over the samples
  double upper = 0;  // infinity where the samples say nothing: none, too few for the bootstrap
  double level = kCertificateLevel;
  int64_t samples = 0;
  std::string method;
};

// `seed` shuffles the samples for betting and draws for the bootstrap; the same seed gives the same bound. Throws Error
// for a loss outside its range, or NaN.
LossBound upper_bound(std::span<const double> losses, const LossRange& range, double level = kCertificateLevel,
                      uint64_t seed = 0);

// The loss relative to the reference's mean score, (mean reference - mean candidate) / |mean reference|, by sample
// scores whose values lie in [lowest, highest] where `known`, or are all 0 or 1, else by the bootstrap. The bound is
// the least r whose excess loss, reference - candidate - r·|reference's sign|·reference, is bounded by 0, so that
// `upper <= limit` is a test at the level of `limit`. Infinite where the reference's mean may be 0.
struct ScoreRange {
  bool known = false;
  double lowest = 0, highest = 0;
};
LossBound relative_upper_bound(std::span<const double> reference, std::span<const double> candidate,
                               const ScoreRange& range, double level = kCertificateLevel, uint64_t seed = 0);

// About how many samples would bring the bound to `limit` if they were like these; nothing where the loss itself is not
// below the limit, so that no number would. At least as many as there are.
std::optional<int64_t> samples_needed(std::span<const double> losses, const LossRange& range, double limit,
                                      double level = kCertificateLevel, uint64_t seed = 0);
std::optional<int64_t> relative_samples_needed(std::span<const double> reference, std::span<const double> candidate,
                                               const ScoreRange& range, double limit, double level = kCertificateLevel,
                                               uint64_t seed = 0);

// The bound that `samples` losses of 0 would have: with a limit below it nothing can be certified. 0 for kUnbounded,
// and enough samples.
double least_upper_bound(const LossRange& range, int64_t samples, double level = kCertificateLevel);

}  // namespace dnateq
