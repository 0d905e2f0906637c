// The fewest bits within a loss limit on real networks: candidates of a front are made, judged, and certified where the
// samples that judge can do that. Which are tried and which one is taken is search/loss_search's.
#pragma once

#include <utility>
#include <vector>

#include "quantize/search_run.h"

namespace dnateq {

struct LimitSearchResult {
  size_t point = 0;                               // of the front
  bool certified = false;                         // its loss is within the limit on unseen data, too
  std::vector<std::pair<size_t, double>> judged;  // points that were made and their losses, in that order
};

// The candidate of fewest bits that met the limit so far lies in the folder as a whole result, should the search be
// stopped. Throws Error where the limit cannot be met, or not in time.
LimitSearchResult search_within_limit(SearchRun& run, const CandidateFront& front);

}  // namespace dnateq
