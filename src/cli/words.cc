#include "cli/words.h"

#include <algorithm>
#include <cctype>

#include "core/option.h"

namespace dnateq {
namespace {

std::string flag(std::string key) {
  if (key == "directory") return "-o";
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

// As one word of a command line.
std::string word(const std::string& text) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_-+=.,:/%@").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::string program_words(std::string_view message) {
  return say_options(message, [](const OptionMark& mark) {
    switch (mark.kind) {
      case OptionMark::Kind::kValue:
        return flag(mark.key) + " " + word(mark.text);
      case OptionMark::Kind::kTakes:
        return flag(mark.key) + " " + mark.text;
      case OptionMark::Kind::kAlone:
        break;
    }
    return flag(mark.key);
  });
}

}  // namespace dnateq
