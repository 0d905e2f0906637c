// Python's own words for options that messages mark by their keys (core/option.h).
#pragma once

#include <string>
#include <string_view>

namespace dnateq::python {

// "ignore" becomes `ignored`, as the keyword is called, and a value stands behind: `emit='exact'`.
std::string python_words(std::string_view message);

}  // namespace dnateq::python
