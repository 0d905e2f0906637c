#include "data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <unordered_set>
#include <utility>

#include "data/file.h"
#include "dnateq/recipe.h"

namespace dnateq {
namespace {

constexpr int64_t kParts = 8;                               // one of them is held back
constexpr uint64_t kValidationStream = 0x9e3779b97f4a7c15;  // so that two sets of one size get two orders

// Below `bound`, each as likely: 2^64 is no multiple of it, so that the engine's lowest numbers, which would make small
// results likelier, are drawn again.
uint64_t below(std::mt19937_64& engine, uint64_t bound) {
  const uint64_t excess = (0 - bound) % bound;  // 2^64 modulo bound
  uint64_t drawn = engine();
  while (drawn < excess) drawn = engine();
  return drawn % bound;
}

int64_t samples_of(const Samples& data, const std::vector<int64_t>& calls) {
  int64_t sum = 0;
  for (const int64_t call : calls) sum += data.samples_in(call);
  return sum;
}

// Takes calls from the end of `calls` until they hold `samples` samples; one call stays.
std::vector<int64_t> take(const Samples& data, std::vector<int64_t>& calls, int64_t samples) {
  int64_t held = 0;
  auto begin = calls.end();
  while (begin - calls.begin() > 1 && held < samples) held += data.samples_in(*--begin);
  std::vector<int64_t> taken(begin, calls.end());
  calls.erase(begin, calls.end());
  return taken;
}

// Nothing can be held back: everything serves for everything.
Split unsplit(std::vector<int64_t> calibration, std::vector<int64_t> judge, bool searches) {
  Split split;
  split.solve = split.measure = std::move(calibration);
  if (searches) split.search = judge;
  split.judge = std::move(judge);
  split.samples_from = "calibration itself (too few samples to hold any back)";
  return split;
}

// `measured`, and what leads the search: `search`, which is `reserve` as calibration samples.
void share(Split& split, std::vector<int64_t> measured, std::vector<int64_t> search,
           const std::vector<int64_t>& reserve, bool searches) {
  split.solve = split.measure = std::move(measured);
  if (searches)
    split.search = std::move(search);
  else
    split.solve.insert(split.solve.end(), reserve.begin(), reserve.end());
}

std::vector<uint64_t> hashes_of(const Samples& data) {
  std::vector<uint64_t> hashes;
  for (int64_t call = 0; call < data.size(); ++call) hashes.push_back(data.sample_hash(call));
  return hashes;
}

// A sample that is there twice belongs to the judges alone.
void leave_to_judges(std::vector<int64_t>& others, const std::vector<int64_t>& judge,
                     const std::vector<uint64_t>& hashes) {
  std::unordered_set<uint64_t> judged;
  for (const int64_t call : judge) judged.insert(hashes[static_cast<size_t>(call)]);
  std::erase_if(others, [&](int64_t call) { return judged.contains(hashes[static_cast<size_t>(call)]); });
}

Split split_calibration(const Samples& data, bool searches, uint64_t seed) {
  const std::vector<int64_t> all = permutation(data.size(), seed);
  const int64_t samples = samples_of(data, all);
  std::vector<int64_t> rest = all;
  std::vector<int64_t> judge = take(data, rest, samples / kParts), search = take(data, rest, samples / kParts);
  const std::vector<uint64_t> hashes = hashes_of(data);
  leave_to_judges(search, judge, hashes);
  leave_to_judges(rest, judge, hashes);
  if (judge.empty() || search.empty() || 2 * samples_of(data, rest) < samples) return unsplit(all, all, searches);
  Split split;
  split.judge = std::move(judge);
  split.held_out = true;
  split.samples_from = "calibration split";
  const std::vector<int64_t> reserve = search;
  share(split, std::move(rest), std::move(search), reserve, searches);
  return split;
}

void split_validation(const Samples& data, const std::vector<uint64_t>& hashes, std::vector<int64_t> calls,
                      bool searches, Split& split) {
  split.from_validation = true;
  if (searches && calls.size() >= 2) {
    split.search = take(data, calls, samples_of(data, calls) / 2);
    leave_to_judges(split.search, calls, hashes);
    split.held_out = !split.search.empty();
    if (!split.held_out) split.search = calls;
  } else if (searches) {
    split.search = calls;
  } else {
    split.held_out = true;
  }
  split.judge = std::move(calls);
}

// Most of the validation samples are calibration samples too: what is held back comes from the former, which may have
// labels, and is missing from the latter.
Split split_merged(const Samples& calibration, const std::vector<uint64_t>& hashes, const Samples& validation,
                   const std::vector<uint64_t>& validation_hashes, int64_t shared, bool searches, uint64_t seed) {
  const auto hashes_in = [&](const std::vector<int64_t>& calls) {
    std::unordered_set<uint64_t> set;
    for (const int64_t call : calls) set.insert(validation_hashes[static_cast<size_t>(call)]);
    return set;
  };
  const std::vector<int64_t> all = permutation(calibration.size(), seed);
  const std::vector<int64_t> all_validation = permutation(validation.size(), seed + kValidationStream);
  const int64_t samples = samples_of(calibration, all);
  const int64_t held = std::min(samples / kParts, samples_of(validation, all_validation) / 2);
  std::vector<int64_t> rest = all_validation;
  std::vector<int64_t> judge = take(validation, rest, held), search = take(validation, rest, held);
  leave_to_judges(search, judge, validation_hashes);
  const std::unordered_set<uint64_t> judged = hashes_in(judge), searched = hashes_in(search);
  std::vector<int64_t> measured, reserve;
  for (const int64_t call : all) {
    const uint64_t hash = hashes[static_cast<size_t>(call)];
    if (!judged.contains(hash)) (searched.contains(hash) ? reserve : measured).push_back(call);
  }
  const int64_t given = samples_of(validation, all_validation);
  const std::string found =
      fmt::format("{} validation samples are calibration samples too",
                  shared == given ? std::string("all") : fmt::format("{} of the {}", shared, given));
  if (judge.empty() || search.empty() || 2 * samples_of(calibration, measured) < samples) {
    Split split = unsplit(all, all_validation, searches);
    split.from_validation = true;
    split.note = found + ", and they are too few to hold any back";
    return split;
  }
  Split split;
  split.from_validation = split.held_out = true;
  split.judge = std::move(judge);
  split.samples_from = "validation, held back from calibration";
  share(split, std::move(measured), std::move(search), reserve, searches);
  split.note =
      fmt::format("{}: {} are held back from calibration to judge on{}", found, samples_of(validation, split.judge),
                  searches ? fmt::format(", {} to search on", samples_of(validation, split.search)) : "");
  return split;
}

}  // namespace

std::vector<int64_t> permutation(int64_t count, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::mt19937_64 engine(seed);
  for (size_t left = order.size(); left > 1; --left) std::swap(order[left - 1], order[below(engine, left)]);
  return order;
}

std::string Split::hash() const {
  Fingerprint fingerprint;
  for (const std::vector<int64_t>* part : {&solve, &search, &judge}) {
    fingerprint.add_integer(static_cast<int64_t>(part->size()));
    for (const int64_t call : *part) fingerprint.add_integer(call);
  }
  return fingerprint.hex();
}

Split split_for_external_metric(const Samples& calibration, uint64_t seed) {
  Split split;
  split.solve = split.measure = permutation(calibration.size(), seed);
  split.samples_from = kMetricsOwnSamples;
  return split;
}

Split split_samples(const Samples& calibration, const Samples* validation, bool searches, uint64_t seed) {
  if (validation == nullptr) return split_calibration(calibration, searches, seed);
  const std::vector<uint64_t> hashes = hashes_of(calibration), validation_hashes = hashes_of(*validation);
  const std::unordered_set<uint64_t> known(hashes.begin(), hashes.end());
  std::vector<int64_t> all = permutation(validation->size(), seed + kValidationStream), only_there;
  for (const int64_t call : all)
    if (!known.contains(validation_hashes[static_cast<size_t>(call)])) only_there.push_back(call);
  const int64_t samples = samples_of(*validation, all), shared = samples - samples_of(*validation, only_there);
  if (2 * shared > samples)
    return split_merged(calibration, hashes, *validation, validation_hashes, shared, searches, seed);
  Split split;
  split.solve = split.measure = permutation(calibration.size(), seed);
  split_validation(*validation, validation_hashes, std::move(only_there), searches, split);
  split.samples_from = "validation";
  if (shared > 0)
    split.note = fmt::format("{} of the {} validation samples are calibration samples too and are not judged on",
                             shared, samples);
  return split;
}

}  // namespace dnateq
