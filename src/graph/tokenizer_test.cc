#include "graph/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/test_files.h"

namespace dnateq::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// job/language_folder_test.cc has what tokenizers give: there the library of openvino-tokenizers is found.
TEST(Tokenize, SaysWhatIsMissing) {
  ov::Core core;
  const TempFolder folder;
  EXPECT_THAT(error_of([&] { tokenize(core, folder.path(), "lib.so", "text", "story.txt"); }),
              AllOf(HasSubstr(folder.path().string()), HasSubstr("holds no openvino_tokenizer.xml"),
                    HasSubstr("export the model again with its tokenizer")));
  (void)folder.write("openvino_tokenizer.xml", std::string("<net/>"));
  EXPECT_THAT(error_of([&] { tokenize(core, folder.path(), {}, "text", "story.txt"); }),
              AllOf(HasSubstr("openvino-tokenizers"), HasSubstr("install it with pip")));
  const auto library = folder.write("lib.so", std::string("no library"));
  EXPECT_THAT(error_of([&] { tokenize(core, folder.path(), library, "text", "story.txt"); }),
              AllOf(HasSubstr("openvino_tokenizer.xml' does not run with"), HasSubstr(library.string()),
                    HasSubstr("one version of OpenVINO"), ::testing::Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace dnateq::testing
