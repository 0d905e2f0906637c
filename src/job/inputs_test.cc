#include "job/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dnateq/error.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const auto& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(ParseShapes, ReadsOneInputAText) {
  EXPECT_EQ(parse_shapes({"ids=1,64", "past_*=1,6,13,32"}),
            (InputShapes{{"ids", {1, 64}}, {"past_*", {1, 6, 13, 32}}}));
  EXPECT_TRUE(parse_shapes({}).empty());
}

TEST(ParseShapes, RefusesWhatIsNoShapeAndSaysSo) {
  for (const char* text : {"", "image", "image=", "=1,3", "image=1,,3", "image=1,3,", "image=1,x", "image=0,3"})
    EXPECT_THAT(error_of([&] { parse_shapes({text}); }), AllOf(HasSubstr(text), HasSubstr("NAME=DIM")));
}

TEST(OpenData, NamesTheNumbersThatItCannotRead) {
  DataArguments data;
  data.path = "absent";
  data.mean = "1,2,x";
  EXPECT_THAT(error_of([&] { open_data(data, {"image"}, "model.xml"); }),
              HasSubstr("mean '1,2,x' is not a list of numbers"));
}

TEST(OpenLabels, AreNoneWhereNoneWereNamed) { EXPECT_TRUE(open_labels("", {}).empty()); }

TEST(BatchAxis, IsFoundOutBelowZero) {
  DataArguments data;
  EXPECT_FALSE(batch_axis(data));
  data.batch_axis = 0;
  EXPECT_EQ(batch_axis(data), 0);
}

}  // namespace
}  // namespace dnateq
