// Other libraries' error messages as the one sentence that a user can read.
#pragma once

#include <string>

namespace dnateq {

// The first line that says something: OpenVINO puts the place in its source ("Exception from src/...:12:", "Check '...'
// failed at src/...:12:") and the node under validation before it. One line, without the closing full stop.
std::string plain_sentence(const std::string& message);

// The same text on one line, without control characters: what a file says may be meant for a terminal.
std::string one_line(std::string text);

}  // namespace dnateq
