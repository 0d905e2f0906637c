#include "core/sentence.h"

#include <algorithm>
#include <regex>
#include <sstream>

namespace dnateq {

std::string plain_sentence(const std::string& message) {
  static const std::regex place(
      "^(Exception from [^:]*:[0-9]+:|Check '.*' failed at [^:]*:[0-9]+:"
      "|While validating node .*|Exception during .*:)\\s*");
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) {
    for (std::string rest; rest = std::regex_replace(line, place, ""), rest != line;) line = rest;
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) continue;
    const size_t end = line.find_last_not_of(" \t\r.");
    if (end != std::string::npos && end >= begin) return line.substr(begin, end - begin + 1);
  }
  return "no reason given";
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

}  // namespace dnateq
