#include "core/option.h"

#include <memory>

#include "dnateq/error.h"

namespace dnateq {
namespace {

// Control characters, which no sentence has: OPEN key [VALUE text | TAKES text] CLOSE.
constexpr char kOpen = '\x01', kClose = '\x02', kValue = '\x03', kTakes = '\x04';
constexpr char kKinds[] = {kValue, kTakes, 0};

std::string marked(std::string_view key, char kind, std::string_view text) {
  std::string mark(1, kOpen);
  mark += key;
  if (kind != 0) {
    mark += kind;
    for (const char c : text) mark += c == kOpen || c == kClose ? ' ' : c;
  }
  mark += kClose;
  return mark;
}

OptionMark read_mark(std::string_view inside) {
  const size_t at = inside.find_first_of(kKinds);
  if (at == std::string_view::npos) return {OptionMark::Kind::kAlone, std::string(inside), {}};
  return {inside[at] == kValue ? OptionMark::Kind::kValue : OptionMark::Kind::kTakes, std::string(inside.substr(0, at)),
          std::string(inside.substr(at + 1))};
}

}  // namespace

std::string option(std::string_view key) { return marked(key, 0, {}); }
std::string option(std::string_view key, std::string_view value) { return marked(key, kValue, value); }
std::string option_taking(std::string_view key, std::string_view what) { return marked(key, kTakes, what); }

std::string say_options(std::string_view message, const std::function<std::string(const OptionMark&)>& words) {
  std::string said;
  while (true) {
    const size_t open = message.find(kOpen);
    const size_t close = open == std::string_view::npos ? open : message.find(kClose, open);
    if (close == std::string_view::npos) return said.append(message);
    said += message.substr(0, open);
    said += words(read_mark(message.substr(open + 1, close - open - 1)));
    message.remove_prefix(close + 1);
  }
}

std::string neutral_words(std::string_view message) {
  return say_options(message, [](const OptionMark& mark) {
    return mark.kind == OptionMark::Kind::kAlone ? mark.key : mark.key + "=" + mark.text;
  });
}

Error::Error(const std::string& sentence)
    : std::runtime_error(neutral_words(sentence)), marked_(std::make_shared<const std::string>(sentence)) {}

}  // namespace dnateq
