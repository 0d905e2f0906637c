#include "cli/words.h"

#include <gtest/gtest.h>

#include "core/option.h"

namespace dnateq {
namespace {

TEST(ProgramWords, SpellOptionsAsFlags) {
  EXPECT_EQ(program_words(option("max_drop") + " is too much"), "--max-drop is too much");
  EXPECT_EQ(program_words("choose another " + option("directory")), "choose another -o");
  EXPECT_EQ(program_words("no option, --and no mark"), "no option, --and no mark");
}

TEST(ProgramWords, PutTheValueBehindAsAShellTakesIt) {
  EXPECT_EQ(program_words(option("emit", "cpu,exact")), "--emit cpu,exact");
  EXPECT_EQ(program_words(option("ignore", "layer.0/a b")), "--ignore 'layer.0/a b'");
  EXPECT_EQ(program_words(option("ignore", "it's")), "--ignore 'it'\\''s'");
  EXPECT_EQ(program_words(option("ignore", "")), "--ignore ''");
  EXPECT_EQ(program_words(option_taking("shape", "NAME=DIM,DIM,...")), "--shape NAME=DIM,DIM,...");
}

}  // namespace
}  // namespace dnateq
