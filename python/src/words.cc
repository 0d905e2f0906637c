#include "words.h"

#include <map>

#include "core/option.h"

namespace dnateq::python {
namespace {

// Keywords that are called otherwise than their keys.
std::string keyword(const std::string& key) {
  static const std::map<std::string, std::string> names = {{"ignore", "ignored"},
                                                           {"ignore_name", "ignored.names"},
                                                           {"ignore_type", "ignored.types"},
                                                           {"resume", "resume=True"},
                                                           {"shape", "shapes"},
                                                           {"set", "settings"},
                                                           {"result", "results"}};
  const auto found = names.find(key);
  return found == names.end() ? key : found->second;
}

std::string literal(const std::string& text) {
  if (!text.empty() && text.find_first_not_of("0123456789.") == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::string python_words(std::string_view message) {
  return say_options(message, [](const OptionMark& mark) {
    return mark.kind == OptionMark::Kind::kValue ? keyword(mark.key) + "=" + literal(mark.text) : keyword(mark.key);
  });
}

}  // namespace dnateq::python
