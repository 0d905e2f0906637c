// How messages name an option. The program spells it `--max-loss 1%`, Python `max_loss='1%'`, and neither is known
// here: a message marks the option's key and, where it matters, a value. Who shows the message says it in words of its
// own (say_options); an Error keeps the marks beside the neutral words of its what().
//
//   Error(fmt::format("{} keeps activations at 8 bits; use {}", option("emit", "cpu"), option("emit", "exact")))
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace dnateq {

std::string option(std::string_view key);
std::string option(std::string_view key, std::string_view value);
// With what it takes, which is no value: ("shape", "NAME=DIM,...").
std::string option_taking(std::string_view key, std::string_view what);

struct OptionMark {
  enum class Kind { kAlone, kValue, kTakes };
  Kind kind = Kind::kAlone;
  std::string key, text;  // `text`: the value, or what it takes
};

// The message with every mark replaced by what `words` says of it.
std::string say_options(std::string_view message, const std::function<std::string(const OptionMark&)>& words);

// By their keys: "max_loss", "emit=exact".
std::string neutral_words(std::string_view message);

}  // namespace dnateq
