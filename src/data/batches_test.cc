#include "data/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "data/test_files.h"

namespace dnateq {
namespace {

using testing::bytes_of;
using ::testing::ElementsAre;
using testing::values_of;

Array floats(std::vector<int64_t> shape, float from) {
  Array array{.type = DataType::kFloat32, .shape = std::move(shape), .bytes = {}};
  std::vector<float> values(static_cast<size_t>(array.elements()));
  std::iota(values.begin(), values.end(), from);
  array.bytes = bytes_of(values);
  return array;
}

// Calls of 3 and 2 samples of two values along the first axis, beside an array that belongs to all of them.
class TwoCalls : public Samples {
 public:
  int64_t size() const override { return 2; }
  std::vector<NamedArray> call(int64_t index) const override {
    ++reads;
    return {{"x", floats({index == 0 ? 3 : 2, 2}, index == 0 ? 0.0F : 100.0F)}, {"scale", floats({1}, 7)}};
  }
  std::vector<std::string> inputs() const override { return {"x", "scale"}; }
  bool stackable() const override { return false; }
  std::string source() const override { return "folder"; }
  std::string fingerprint() const override { return "0123456789abcdef"; }
  mutable int reads = 0;
};

TEST(Batches, CutAlongAnyAxis) {
  const std::vector<NamedArray> call = {{"x", floats({2, 3, 2}, 0)}, {"mask", floats({4}, 50)}};
  const std::vector<NamedArray> one = cut(call, 1, 3, 2);
  EXPECT_THAT(one[0].array.shape, ElementsAre(2, 1, 2));
  EXPECT_THAT(values_of<float>(one[0].array), ElementsAre(4, 5, 10, 11));
  EXPECT_THAT(values_of<float>(one[1].array), ElementsAre(50, 51, 52, 53));
}

TEST(Batches, CutCallsAreSamplesOneAfterTheOther) {
  const auto calls = std::make_shared<TwoCalls>();
  const auto samples = cut_calls(calls, 0, {3, 2}, true);
  ASSERT_EQ(samples->size(), 5);
  EXPECT_TRUE(samples->stackable());
  EXPECT_EQ(samples->samples_in(4), 1);
  for (int64_t i = 0; i < 5; ++i) {
    const auto call = samples->call(i);
    EXPECT_THAT(call[0].array.shape, ElementsAre(1, 2));
    const float first = static_cast<float>(i < 3 ? 2 * i : 100 + 2 * (i - 3));
    EXPECT_THAT(values_of<float>(call[0].array), ElementsAre(first, first + 1));
    EXPECT_THAT(values_of<float>(call[1].array), ElementsAre(7));
  }
  EXPECT_EQ(calls->reads, 2);  // each call once
  EXPECT_NE(samples->fingerprint(), calls->fingerprint());
  EXPECT_NE(samples->sample_hash(0), samples->sample_hash(1));
  EXPECT_EQ(samples->sample_hash(2), cut_calls(calls, 0, {3, 2}, false)->sample_hash(2));
}

TEST(Batches, CountedCallsStayWhole) {
  const auto calls = std::make_shared<TwoCalls>();
  const auto samples = count_in_calls(calls, {3, 2});
  EXPECT_EQ(samples->size(), 2);
  EXPECT_EQ(samples->samples_in(0), 3);
  EXPECT_EQ(samples->samples_in(1), 2);
  EXPECT_FALSE(samples->stackable());
  EXPECT_THAT(samples->call(0)[0].array.shape, ElementsAre(3, 2));
  EXPECT_EQ(samples->fingerprint(), calls->fingerprint());
}

}  // namespace
}  // namespace dnateq
