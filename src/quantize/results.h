// A search's outcome in the networks' folders: model files, the last judgement, recipes.
#pragma once

#include <vector>

#include "quantize/search_run.h"

namespace dnateq {

// Writes a candidate as a whole result that nothing has judged finally.
void keep_result(const SearchRun& run, const Candidate& candidate);

// On the samples that judge; `certifies` as in SearchOutcome.
EmissionResult judge_emission(SearchRun& run, const Candidate& candidate, Emission emission, bool certifies);

// Writes the files of the outcome, judges it, and removes what only a stopped search would need. One result a network.
std::vector<QuantizeResult> write_results(SearchRun& run, const SearchOutcome& outcome);

}  // namespace dnateq
