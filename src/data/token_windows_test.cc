#include "data/token_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "data/test_files.h"

namespace dnateq::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokenText text_of(int64_t count, std::optional<int64_t> prefix = {}) {
  TokenText text{"story.txt", std::vector<int64_t>(static_cast<size_t>(count)), prefix};
  std::iota(text.tokens.begin(), text.tokens.end(), int64_t{100});
  return text;
}

std::vector<int64_t> ids(const Samples& samples, int64_t window) {
  return values_of<int64_t>(samples.call(window).front().array);
}

TEST(TokenWindows, AreTheArraysThatLanguageModelsTake) {
  const auto samples = token_windows(text_of(8), 4);
  EXPECT_THAT(samples->inputs(), ElementsAre("input_ids", "attention_mask", "position_ids", "beam_idx"));
  EXPECT_FALSE(samples->stackable());
  EXPECT_EQ(samples->source(), "story.txt");
  const std::vector<NamedArray> call = samples->call(1);
  ASSERT_EQ(call.size(), 4U);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(call[i].name, samples->inputs()[i]);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(call[i].array.type, DataType::kInt64);
    EXPECT_THAT(call[i].array.shape, ElementsAre(1, 4));
  }
  EXPECT_THAT(values_of<int64_t>(call[0].array), ElementsAre(104, 105, 106, 107));
  EXPECT_THAT(values_of<int64_t>(call[1].array), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(values_of<int64_t>(call[2].array), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(call[3].array.type, DataType::kInt32);
  EXPECT_THAT(call[3].array.shape, ElementsAre(1));
  EXPECT_THAT(values_of<int32_t>(call[3].array), ElementsAre(0));
}

TEST(TokenWindows, FollowOneAnotherAndLeaveARestOut) {
  const auto samples = token_windows(text_of(11), 4);
  ASSERT_EQ(samples->size(), 2);
  EXPECT_THAT(ids(*samples, 0), ElementsAre(100, 101, 102, 103));
  EXPECT_THAT(ids(*samples, 1), ElementsAre(104, 105, 106, 107));
}

TEST(TokenWindows, BeginWithThePrefixEach) {
  const auto samples = token_windows(text_of(9, 7), 4);
  ASSERT_EQ(samples->size(), 3);
  EXPECT_THAT(ids(*samples, 0), ElementsAre(7, 100, 101, 102));
  EXPECT_THAT(ids(*samples, 2), ElementsAre(7, 106, 107, 108));
}

TEST(TokenWindows, AreChosenEvenlyOverALongText) {
  const auto samples = token_windows(text_of(40), 4, 3);  // of 10
  ASSERT_EQ(samples->size(), 3);
  EXPECT_EQ(ids(*samples, 0).front(), 100);
  EXPECT_EQ(ids(*samples, 1).front(), 100 + 3 * 4);
  EXPECT_EQ(ids(*samples, 2).front(), 100 + 6 * 4);
  EXPECT_EQ(token_windows(text_of(40), 4, 30)->size(), 10);
  EXPECT_EQ(token_windows(text_of(40), 4, 0)->size(), 10);
}

TEST(TokenWindows, OfTextsThatFillNoneAreRefused) {
  for (const auto& given : {std::pair<int64_t, std::optional<int64_t>>{3, {}}, {2, 7}, {0, {}}, {0, 7}})
    EXPECT_THAT(error_of([&] { token_windows(text_of(given.first, given.second), 4); }),
                AllOf(HasSubstr("'story.txt' holds " + std::to_string(given.first) + " tokens"),
                      HasSubstr("window of 4"), HasSubstr("longer text"), HasSubstr("context")));
  EXPECT_EQ(token_windows(text_of(3, 7), 4)->size(), 1);
  EXPECT_THAT(error_of([&] { token_windows(text_of(9, 7), 1); }), HasSubstr("window of 1"));
}

TEST(TokenWindows, FingerprintsFollowTheTokensAndHowTheyAreCut) {
  const std::string once = token_windows(text_of(40), 4, 3)->fingerprint();
  EXPECT_EQ(once.size(), 16U);
  TokenText elsewhere = text_of(40);
  elsewhere.source = "elsewhere.txt";
  EXPECT_EQ(token_windows(elsewhere, 4, 3)->fingerprint(), once);
  TokenText other = text_of(40);
  other.tokens.back() = 0;
  EXPECT_NE(token_windows(other, 4, 3)->fingerprint(), once);
  EXPECT_NE(token_windows(text_of(40, 7), 4, 3)->fingerprint(), once);
  EXPECT_NE(token_windows(text_of(40), 5, 3)->fingerprint(), once);
  EXPECT_NE(token_windows(text_of(40), 4, 2)->fingerprint(), once);
}

TEST(ReadText, KeepsEveryByteOfUtf8) {
  const TempFolder folder;
  const std::string text = "Gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x99\x82\r\n\tlast line without an end";
  EXPECT_EQ(read_text(folder.write("story.txt", text).string()), text);
}

TEST(ReadText, RefusesWhatIsNoText) {
  const TempFolder folder;
  EXPECT_THAT(error_of([&] { read_text((folder / "absent.txt").string()); }),
              AllOf(HasSubstr("absent.txt' cannot be read"), HasSubstr("No such file")));
  EXPECT_THAT(error_of([&] { read_text(folder.path().string()); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { read_text(folder.write("empty.txt", std::string()).string()); }),
              HasSubstr("empty.txt' is empty"));
  for (const char* bytes : {"Gr\xfc\xdf\x65", "cut \xc3", "\xed\xa0\x80", "\xff\xfe", "\xc0\xaf", "\xf5\x80\x80\x80"})
    EXPECT_THAT(error_of([&] { read_text(folder.write("latin1.txt", std::string_view(bytes)).string()); }),
                AllOf(HasSubstr("latin1.txt' is not UTF-8"), HasSubstr("iconv")));
}

}  // namespace
}  // namespace dnateq::testing
