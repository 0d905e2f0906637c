#include "quantize/external_metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/test_error.h"
#include "data/test_files.h"

namespace dnateq {
namespace {

using ::dnateq::testing::error_of;
using ::dnateq::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ExternalScore parse(const std::string& text) { return parse_external_score(text, "metric command 'judge'"); }

TEST(ExternalScore, IsTheLastNumberThatIsPrinted) {
  EXPECT_EQ(parse("accuracy 12\n0.25\n").score, 0.25);
  EXPECT_EQ(parse("-1e-3").score, -1e-3);
  EXPECT_EQ(parse(" 7 \r\n\n").score, 7);
  EXPECT_EQ(parse("[INFO] accuracy 0.25").score, 0.25);
  EXPECT_THAT(parse("7").per_sample, IsEmpty());
}

TEST(ExternalScore, HasOneScoreASampleWhereJsonGivesThem) {
  const ExternalScore list = parse("loading\n[1, 0, true, 0.5]\n");
  EXPECT_THAT(list.per_sample, ElementsAre(1, 0, 1, 0.5));
  EXPECT_DOUBLE_EQ(list.score, 0.625);
  EXPECT_FALSE(list.has_score_of_its_own());

  const ExternalScore object = parse("{\"per_sample\": [1, 0]}");
  EXPECT_THAT(object.per_sample, ElementsAre(1, 0));
  EXPECT_FALSE(object.has_score_of_its_own());

  const ExternalScore corpus = parse("{\n  \"score\": 31.2,\n  \"per_sample\": [30, 34]\n}\n");
  EXPECT_EQ(corpus.score, 31.2);
  EXPECT_THAT(corpus.per_sample, ElementsAre(30, 34));
  EXPECT_TRUE(corpus.has_score_of_its_own());

  EXPECT_EQ(parse("{\"score\": 3}").score, 3);
}

TEST(ExternalScore, ThatIsNoneIsAnErrorInASentence) {
  for (const std::string text : {"", "\n", "accuracy", "0.5 percent", "nan", "inf", "0.5x"})
    EXPECT_THAT(error_of([&] { parse(text); }), HasSubstr("number last")) << text;
  for (const std::string text : {"[1, 2", "[", "{\"score\": 1", "0.5\n{\"score\": nan}"})
    EXPECT_THAT(error_of([&] { parse(text); }), HasSubstr("JSON whole")) << text;
  EXPECT_THAT(error_of([] { parse("[]"); }), HasSubstr("empty list"));
  EXPECT_THAT(error_of([] { parse("[1, \"two\"]"); }), HasSubstr("score of sample 1"));
  EXPECT_THAT(error_of([] { parse("[1, null]"); }), HasSubstr("null"));
  EXPECT_THAT(error_of([] { parse("{\"per_sample\": 3}"); }), HasSubstr("no list"));
  EXPECT_THAT(error_of([] { parse("{\"score\": \"high\"}"); }), HasSubstr("\"score\""));
  EXPECT_THAT(error_of([] { parse("{\"accuracy\": 1}"); }), HasSubstr("neither"));
}

TEST(ExternalScore, ThatNestsDeepIsAnErrorAndNoStackOverflow) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_THAT(error_of([&] { parse("{\"per_sample\": [" + deep + "]}"); }), HasSubstr("sample 0"));
  EXPECT_THAT(error_of([&] { parse(deep); }), HasSubstr("sample 0"));
  EXPECT_EQ(parse("{\"details\": " + deep + ", \"score\": 0.5}").score, 0.5);
}

TEST(RunCommand, PassesTheModelAsTheLastArgumentWhateverItsName) {
  const TempFolder folder;
  const auto script = folder.write("score.sh", std::string("cat \"$1\"\n"));
  for (const std::string name : {"plain", "with blank", "with'quote", "$HOME", "a;b"}) {
    folder.write(name, std::string("3.5\n"));
    EXPECT_EQ(run_command("sh " + script.string(), folder / name).score, 3.5) << name;
  }
  EXPECT_THAT(run_command("echo '[0, 1]' #", "model.xml").per_sample, ElementsAre(0, 1));
}

TEST(RunCommand, ThatFailsIsAnError) {
  EXPECT_THAT(error_of([] { run_command("false", "model.xml"); }), HasSubstr("'false' failed"));
  EXPECT_THAT(error_of([] { run_command("kill -9 $$ #", "model.xml"); }), HasSubstr("failed"));
  EXPECT_THAT(error_of([] { run_command("/no/such/program", "model.xml"); }), HasSubstr("failed"));
  EXPECT_THAT(error_of([] { run_command("echo none #", "model.xml"); }), HasSubstr("'echo none #'"));
}

}  // namespace
}  // namespace dnateq
