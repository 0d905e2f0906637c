// The program's own words for options that messages mark by their keys (core/option.h).
#pragma once

#include <string>
#include <string_view>

namespace dnateq {

// "max_loss" becomes `--max-loss`, "directory" `-o`, and a value stands behind, quoted where a shell would need it.
std::string program_words(std::string_view message);

}  // namespace dnateq
