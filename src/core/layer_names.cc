#include "core/layer_names.h"

#include <map>

namespace dnateq {
namespace {

std::string without_last_part(const std::string& name) {
  const size_t slash = name.rfind('/');
  return slash == std::string::npos || slash == 0 ? name : name.substr(0, slash);
}

// The last `width` characters of UTF-8 text, the first of them "…" if there were more.
std::string last_characters(const std::string& text, size_t width) {
  const auto starts_character = [&](size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U; };
  size_t characters = 0, last = text.size();
  for (size_t at = text.size(); at-- > 0;) {
    if (!starts_character(at)) continue;
    if (++characters > width) return "…" + text.substr(last);
    if (characters < width) last = at;
  }
  return text;
}

}  // namespace

std::vector<std::string> short_layer_names(std::span<const std::string> names, size_t width) {
  std::map<std::string, int> times;
  for (const std::string& name : names) {
    const std::string shorter = without_last_part(name);
    ++times[name];
    if (shorter != name) ++times[shorter];
  }
  std::vector<std::string> result;
  for (const std::string& name : names) {
    const std::string shorter = without_last_part(name);
    result.push_back(last_characters(times[shorter] == 1 ? shorter : name, width));
  }
  return result;
}

}  // namespace dnateq
