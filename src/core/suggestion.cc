#include "core/suggestion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace dnateq {
namespace {

// Letters to change, add, drop, or swap with their neighbour.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before, row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0), row[j] + 1, next[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before = row;
    std::swap(row, next);
  }
  return row.back();
}

}  // namespace

std::vector<std::string> near_names(const std::string& text, const std::vector<std::string>& names) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& name : names) {
    const size_t distance = edit_distance(text, name);
    // A third of the letters wrong is a misspelling; a name inside the other (trcd, memory.trcd_ns) is meant, too.
    const bool inside = text.size() >= 3 && name.size() >= 3 &&
                        (name.find(text) != std::string::npos || text.find(name) != std::string::npos);
    if (distance <= std::max<size_t>(2, name.size() / 3) || inside) near.emplace_back(distance, name);
  }
  std::stable_sort(near.begin(), near.end());
  std::vector<std::string> found;
  for (size_t i = 0; i < std::min<size_t>(3, near.size()); ++i) found.push_back(near[i].second);
  return found;
}

std::string did_you_mean(const std::string& text, const std::vector<std::string>& names) {
  const std::vector<std::string> near = near_names(text, names);
  return near.empty() ? std::string() : fmt::format("did you mean {}?", fmt::join(near, " or "));
}

std::string suggestion(const std::string& text, const std::vector<std::string>& names) {
  const std::string near = did_you_mean(text, names);
  return near.empty() ? fmt::format("there are {}", fmt::join(names, ", ")) : near;
}

}  // namespace dnateq
