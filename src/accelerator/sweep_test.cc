#include "accelerator/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/test_error.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Sweep, ReadsRangesWithTheirEndAndLists) {
  const SweepAxis range = parse_axis("memory.access_pj_per_bit=1:2:0.25");
  EXPECT_EQ(range.key, "memory.access_pj_per_bit");
  EXPECT_THAT(range.values, ElementsAre(1, 1.25, 1.5, 1.75, 2));
  EXPECT_THAT(parse_axis("k=0:1:0.1").values, ::testing::SizeIs(11));
  EXPECT_THAT(parse_axis("k=1:2:0.7").values, ElementsAre(1, 1.7));
  EXPECT_THAT(parse_axis("k=5:5:1").values, ElementsAre(5));
  EXPECT_THAT(parse_axis("k=3,1,2.5").values, ElementsAre(3, 1, 2.5));
  EXPECT_EQ(parse_setting("array.rows=8"), (std::pair<std::string, double>("array.rows", 8)));
}

TEST(Sweep, RefusesWhatIsNoRange) {
  for (const char* text : {"", "k", "=1:2:1", "k=", "k=1:2", "k=1:2:0", "k=2:1:1", "k=1:2:-1", "k=1:x:1", "k=1,,2",
                           "k=nan", "k=1:2:1:1", "k=0:1e9:1e-3", "k=1:2:inf"})
    EXPECT_THAT(dnateq::testing::error_of([&] { parse_axis(text); }), HasSubstr("KEY=FROM:TO:STEP")) << text;
  EXPECT_THAT(dnateq::testing::error_of([&] { parse_setting("k"); }), HasSubstr("KEY=NUMBER"));
  EXPECT_THAT(dnateq::testing::error_of([&] {
                point_count({parse_axis("a=1:1000:1"), parse_axis("b=1:1000:1")});
              }),
              HasSubstr("points"));
}

TEST(Sweep, OrderDoesNotDependOnTheThreads) {
  const std::vector<SweepAxis> axes = {{"a", {1, 2, 3}}, {"b", {10, 20}}};
  for (const int threads : {1, 2, 7}) {
    size_t last = 0;
    const auto points = run_sweep(
        axes, threads,
        [](const std::vector<double>& at) {
          Outcome outcome;
          outcome.cycles = static_cast<int64_t>(at[0] + at[1]);
          return std::vector<Outcome>{outcome};
        },
        [&](size_t done) { EXPECT_EQ(done, ++last); });
    ASSERT_EQ(points.size(), 6U);
    EXPECT_EQ(last, 6U);
    EXPECT_THAT(points[0].at, ElementsAre(1, 10));
    EXPECT_THAT(points[1].at, ElementsAre(1, 20));
    EXPECT_THAT(points[5].at, ElementsAre(3, 20));
    for (const SweepPoint& point : points)
      EXPECT_EQ(static_cast<double>(point.outcomes.at(0).cycles), point.at[0] + point.at[1]);
  }
}

TEST(Sweep, StopsWhereProgressThrows) {
  std::atomic<int> evaluated{0};
  const std::vector<SweepAxis> axes = {parse_axis("a=1:1000:1")};
  EXPECT_THROW(run_sweep(
                   axes, 2, [&](const std::vector<double>&) { return ++evaluated, std::vector<Outcome>(); },
                   [](size_t done) {
                     if (done == 5) throw Cancelled("stopped");
                   }),
               Cancelled);
  EXPECT_LT(evaluated, 1000);
}

}  // namespace
}  // namespace dnateq::accelerator
