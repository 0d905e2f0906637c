#include "core/option.h"

#include <gtest/gtest.h>

#include "dnateq/error.h"

namespace dnateq {
namespace {

std::string as_flags(const std::string& message) {
  return say_options(message, [](const OptionMark& mark) {
    return "--" + mark.key + (mark.kind == OptionMark::Kind::kAlone ? "" : " " + mark.text);
  });
}

TEST(Option, IsSaidInTheWordsOfWhoShowsIt) {
  const std::string message =
      option("emit", "cpu") + " keeps 8 bits; use " + option("emit", "exact") + " or leave " + option("bits") + " out";
  EXPECT_EQ(as_flags(message), "--emit cpu keeps 8 bits; use --emit exact or leave --bits out");
  EXPECT_EQ(neutral_words(message), "emit=cpu keeps 8 bits; use emit=exact or leave bits out");
}

TEST(Option, TellsAValueFromWhatItTakes) {
  std::vector<OptionMark::Kind> kinds;
  say_options(option("shape") + option("shape", "x=1") + option_taking("shape", "NAME=DIM"),
              [&](const OptionMark& mark) {
                kinds.push_back(mark.kind);
                EXPECT_EQ(mark.key, "shape");
                return std::string();
              });
  EXPECT_EQ(kinds, (std::vector{OptionMark::Kind::kAlone, OptionMark::Kind::kValue, OptionMark::Kind::kTakes}));
}

TEST(Option, TextWithoutMarksAndHalfAMarkStay) {
  EXPECT_EQ(as_flags("plain"), "plain");
  EXPECT_EQ(as_flags(""), "");
  EXPECT_EQ(as_flags("a \x01 b"), "a \x01 b");
}

TEST(Option, AValueCannotEndItsMark) {
  EXPECT_EQ(as_flags(option("ignore",
                            "a\x02"
                            "b") +
                     "."),
            "--ignore a b.");
}

TEST(Error, KeepsTheMarksAndSaysNeutralWords) {
  const Error error(option("max_loss") + " is negative");
  EXPECT_STREQ(error.what(), "max_loss is negative");
  EXPECT_EQ(as_flags(error.marked()), "--max_loss is negative");
  const Error copy = error;  // NOLINT(performance-unnecessary-copy-initialization): as `throw` does
  EXPECT_EQ(copy.marked(), error.marked());
  EXPECT_STREQ(Cancelled("stopped").what(), "stopped");
}

}  // namespace
}  // namespace dnateq
