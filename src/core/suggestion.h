// What a misspelled name may have meant.
#pragma once

#include <string>
#include <vector>

namespace dnateq {

// Up to three of `names` that a misspelled `text` may mean, nearest first. A third of the letters may be wrong, and one
// may lie inside the other.
std::vector<std::string> near_names(const std::string& text, const std::vector<std::string>& names);

// near_names() as the end of a sentence: "did you mean a or b?"; empty where none is near.
std::string did_you_mean(const std::string& text, const std::vector<std::string>& names);

// The same; where none is near, all: "there are a, b, c".
std::string suggestion(const std::string& text, const std::vector<std::string>& names);

}  // namespace dnateq
