#include "core/sentence.h"

#include <gtest/gtest.h>

namespace dnateq {
namespace {

TEST(PlainSentence, DropsThePlacesInOpenVinosSources) {
  EXPECT_EQ(plain_sentence("Exception from src/inference/src/cpp/core.cpp:94:\n"
                           "Check 'header.has_codes == with_codes' failed at src/openvino/ops/blob_input.h:41:\n"
                           "'layer1/weights': the blob is of another kind.\n"),
            "'layer1/weights': the blob is of another kind");
  EXPECT_EQ(plain_sentence("Exception from src/core/a.cpp:1: Exception from src/b.cpp:2:\n\nUnable to read the model."),
            "Unable to read the model");
}

TEST(PlainSentence, KeepsPlainTextAndNeverIsEmpty) {
  EXPECT_EQ(plain_sentence("no space left\nsecond line"), "no space left");
  EXPECT_EQ(plain_sentence("Exception from src/core/a.cpp:1:\n\n"), "no reason given");
  EXPECT_EQ(plain_sentence(""), "no reason given");
}

TEST(OneLine, ReplacesLineEndsAndDropsTheLast) { EXPECT_EQ(one_line("a\nb\r\n"), "a b"); }

}  // namespace
}  // namespace dnateq
