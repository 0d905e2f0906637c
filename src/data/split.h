// Which samples a search solves by, which lead it, and which judge what it chose.
//
// The order is a permutation that the seed alone decides, so that a sorted folder (class after class) gives every part
// some of everything. Sizes are of samples; what is shared out are calls, since not every call can be cut (Samples).
// Non-goals: strata by label, which calibration data lacks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

// 0 ... count - 1, each order as likely as any other: the same on every platform (Fisher-Yates on mt19937_64, whose
// numbers the standard fixes, as it does not those of std::shuffle).
std::vector<int64_t> permutation(int64_t count, uint64_t seed);

struct Split {
  // Calls in the order in which they are used: of the calibration samples, those that layers are solved by, and, first
  // among them, those that are measured, which are the same with and without a loss limit, so that `allocate` finds
  // what either measured.
  std::vector<int64_t> solve, measure;
  // Those that candidates and the result are judged on; of the validation samples where `from_validation`, else of the
  // calibration samples. `search` is empty where there is no limit to search for.
  std::vector<int64_t> search, judge;
  bool from_validation = false;
  bool held_out = false;     // no sample of `judge` is among the others
  std::string samples_from;  // what those of `judge` are, in words for the recipe
  std::string note;          // a sentence on what was done about samples that are both; empty if there are none

  std::string hash() const;  // 16 hex digits, of `solve`, `search` and `judge`
};

// For a metric that needs no samples of ours: all calls are solved by and measured.
Split split_for_external_metric(const Samples& calibration, uint64_t seed);

// Without `validation`, an eighth of the calibration samples is held back to judge on and another to search on; where
// `searches` is false, the latter is solved by too. Validation samples are judged on, half of them searched on where
// `searches`. Samples that are in both (by sample_hash) are left out of validation if they are at most half of it; else
// the two sets are taken for one, and calibration goes without what is held back.
Split split_samples(const Samples& calibration, const Samples* validation, bool searches, uint64_t seed);

}  // namespace dnateq
