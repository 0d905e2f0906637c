#include "data/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace dnateq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Samples that are one number each; a call may hold several.
class Numbers : public Samples {
 public:
  explicit Numbers(std::vector<uint64_t> values, int64_t a_call = 1) : values_(std::move(values)), a_call_(a_call) {}
  int64_t size() const override { return static_cast<int64_t>(values_.size()); }
  int64_t samples_in(int64_t) const override { return a_call_; }
  uint64_t sample_hash(int64_t index) const override { return values_.at(static_cast<size_t>(index)); }
  std::vector<NamedArray> call(int64_t) const override { return {}; }
  std::vector<std::string> inputs() const override { return {}; }
  bool stackable() const override { return true; }
  std::string source() const override { return "numbers"; }
  std::string fingerprint() const override { return ""; }

 private:
  std::vector<uint64_t> values_;
  int64_t a_call_;
};

Numbers numbers(uint64_t from, uint64_t count) {
  std::vector<uint64_t> values(count);
  std::iota(values.begin(), values.end(), from);
  return Numbers(std::move(values));
}

std::vector<int64_t> sorted(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<int64_t> all_of(int64_t count) {
  std::vector<int64_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), int64_t{0});
  return all;
}

// The numbers that these calls stand for.
std::set<uint64_t> values_of(const Samples& data, const std::vector<int64_t>& calls) {
  std::set<uint64_t> values;
  for (const int64_t call : calls) values.insert(data.sample_hash(call));
  return values;
}

bool disjoint(const std::set<uint64_t>& a, const std::set<uint64_t>& b) {
  return std::none_of(a.begin(), a.end(), [&](uint64_t value) { return b.contains(value); });
}

TEST(Permutation, IsTheSameOnEveryPlatform) {
  // As an implementation of the same in Python has it.
  EXPECT_THAT(permutation(8, 0), ElementsAre(4, 5, 2, 0, 7, 1, 3, 6));
  EXPECT_THAT(permutation(8, 7), ElementsAre(2, 3, 5, 6, 1, 0, 4, 7));
  EXPECT_THAT(permutation(0, 1), IsEmpty());
  EXPECT_THAT(permutation(1, 1), ElementsAre(0));
}

TEST(Permutation, HoldsEveryIndexOnceAndFollowsTheSeed) {
  const std::vector<int64_t> a = permutation(1000, 1), b = permutation(1000, 2);
  EXPECT_EQ(sorted(a), all_of(1000));
  EXPECT_NE(a, b);
  EXPECT_EQ(a, permutation(1000, 1));
}

TEST(Permutation, EveryOrderIsAboutAsLikely) {
  std::map<std::vector<int64_t>, int> times;
  for (uint64_t seed = 0; seed < 6000; ++seed) ++times[permutation(3, seed)];
  EXPECT_THAT(times, SizeIs(6));
  for (const auto& [order, count] : times) EXPECT_NEAR(count, 1000, 5 * 29);  // five standard deviations
}

TEST(Split, OfASortedFolderGivesEveryPartSomeOfEverything) {
  const Numbers folder = numbers(0, 1000);  // ten classes of a hundred, one after the other
  const Split split = split_samples(folder, nullptr, true, 0);
  EXPECT_THAT(split.solve, SizeIs(750));
  EXPECT_THAT(split.search, SizeIs(125));
  EXPECT_THAT(split.judge, SizeIs(125));
  EXPECT_TRUE(split.held_out);
  EXPECT_FALSE(split.from_validation);
  for (const auto* part : {&split.solve, &split.search, &split.judge}) {
    std::set<int64_t> classes;
    for (const int64_t call : *part) classes.insert(call / 100);
    EXPECT_THAT(classes, SizeIs(10));
  }
  std::vector<int64_t> together = split.solve;
  together.insert(together.end(), split.search.begin(), split.search.end());
  together.insert(together.end(), split.judge.begin(), split.judge.end());
  EXPECT_EQ(sorted(together), all_of(1000));
}

TEST(Split, MeasuresTheSameSamplesWithAndWithoutALossLimit) {
  const Numbers data = numbers(0, 100);
  const Split with = split_samples(data, nullptr, true, 3), without = split_samples(data, nullptr, false, 3);
  EXPECT_EQ(with.measure, without.measure);
  EXPECT_EQ(with.measure, with.solve);
  EXPECT_EQ(with.judge, without.judge);
  EXPECT_THAT(without.search, IsEmpty());
  EXPECT_EQ(without.solve.size(), with.solve.size() + with.search.size());
  EXPECT_TRUE(std::equal(without.measure.begin(), without.measure.end(), without.solve.begin()));
}

TEST(Split, OfTooFewSamplesUsesThemForEverythingAndSaysSo) {
  const Split split = split_samples(numbers(0, 7), nullptr, true, 0);
  EXPECT_EQ(sorted(split.solve), all_of(7));
  EXPECT_EQ(split.search, split.solve);
  EXPECT_EQ(split.judge, split.solve);
  EXPECT_FALSE(split.held_out);
  EXPECT_THAT(split.samples_from, HasSubstr("too few"));
  EXPECT_TRUE(split_samples(numbers(0, 8), nullptr, true, 0).held_out);
}

TEST(Split, CallsThatCannotBeCutAreSharedOutWholeByTheirSamples) {
  const Numbers batches({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 64);  // 640 samples: 80 of them are an eighth
  const Split split = split_samples(batches, nullptr, true, 0);
  EXPECT_THAT(split.judge, SizeIs(2));
  EXPECT_THAT(split.search, SizeIs(2));
  EXPECT_THAT(split.solve, SizeIs(6));
  EXPECT_FALSE(split_samples(Numbers({0, 1}, 64), nullptr, true, 0).held_out);  // 128 samples, but two calls
}

TEST(Split, OfValidationSamplesSearchesOnOneHalfAndJudgesOnTheOther) {
  const Numbers calibration = numbers(0, 50), validation = numbers(1000, 41);
  const Split split = split_samples(calibration, &validation, true, 7);
  EXPECT_EQ(sorted(split.solve), all_of(50));
  EXPECT_EQ(split.measure, split.solve);
  EXPECT_THAT(split.search, SizeIs(20));
  EXPECT_THAT(split.judge, SizeIs(21));
  EXPECT_TRUE(disjoint(values_of(validation, split.search), values_of(validation, split.judge)));
  EXPECT_TRUE(split.from_validation);
  EXPECT_TRUE(split.held_out);
  EXPECT_EQ(split.samples_from, "validation");
  EXPECT_EQ(split.note, "");
  EXPECT_THAT(split_samples(calibration, &validation, false, 7).judge, SizeIs(41));
}

TEST(Split, ASampleThatIsThereTwiceIsTheJudgesAlone) {
  std::vector<uint64_t> values(80);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 1000 + i / 2;  // every one twice
  const Numbers calibration = numbers(0, 50), twice(values);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Split validated = split_samples(calibration, &twice, true, seed);
    EXPECT_TRUE(validated.held_out);
    EXPECT_THAT(validated.judge, SizeIs(40));
    EXPECT_TRUE(disjoint(values_of(twice, validated.search), values_of(twice, validated.judge)));
    const Split calibrated = split_samples(twice, nullptr, true, seed);
    EXPECT_TRUE(calibrated.held_out);
    EXPECT_TRUE(disjoint(values_of(twice, calibrated.search), values_of(twice, calibrated.judge)));
    EXPECT_TRUE(disjoint(values_of(twice, calibrated.solve), values_of(twice, calibrated.judge)));
  }
  const Numbers one(std::vector<uint64_t>(16, 3));
  EXPECT_FALSE(split_samples(one, nullptr, true, 0).held_out);
  EXPECT_FALSE(split_samples(calibration, &one, true, 0).held_out);
}

TEST(Split, LeavesAFewSharedSamplesOutOfValidation) {
  const Numbers calibration = numbers(0, 50), validation = numbers(45, 40);
  const Split split = split_samples(calibration, &validation, true, 0);
  EXPECT_EQ(split.search.size() + split.judge.size(), 35U);
  EXPECT_THAT(split.solve, SizeIs(50));
  EXPECT_TRUE(disjoint(values_of(validation, split.judge), values_of(calibration, split.solve)));
  EXPECT_TRUE(disjoint(values_of(validation, split.search), values_of(calibration, split.solve)));
  EXPECT_EQ(split.note, "5 of the 40 validation samples are calibration samples too and are not judged on");
}

TEST(Split, OfOneSetGivenTwiceHoldsSomeBackFromCalibration) {
  const Numbers data = numbers(0, 400);
  std::vector<uint64_t> backwards(400);
  std::iota(backwards.rbegin(), backwards.rend(), uint64_t{0});
  const Numbers again(std::move(backwards));  // another file, say, in another order
  const Split split = split_samples(data, &again, true, 0);
  EXPECT_THAT(split.solve, SizeIs(300));
  EXPECT_THAT(split.search, SizeIs(50));
  EXPECT_THAT(split.judge, SizeIs(50));
  const std::set<uint64_t> solve = values_of(data, split.solve), search = values_of(again, split.search),
                           judge = values_of(again, split.judge);
  EXPECT_TRUE(disjoint(solve, search) && disjoint(solve, judge) && disjoint(search, judge));
  EXPECT_TRUE(split.held_out);
  EXPECT_TRUE(split.from_validation);
  EXPECT_EQ(split.note,
            "all validation samples are calibration samples too: 50 are held back from calibration to judge on, 50 to "
            "search on");
  const Split without = split_samples(data, &again, false, 0);
  EXPECT_EQ(without.measure, split.measure);
  EXPECT_EQ(without.judge, split.judge);
  EXPECT_THAT(without.solve, SizeIs(350));
  EXPECT_TRUE(disjoint(values_of(data, without.solve), values_of(again, without.judge)));
}

TEST(Split, OfValidationInsideALargerCalibrationSetCostsTheLatterWhatIsHeldBack) {
  const Numbers calibration = numbers(0, 1000), validation = numbers(0, 40);
  const Split split = split_samples(calibration, &validation, true, 0);
  EXPECT_TRUE(disjoint(values_of(validation, split.judge), values_of(calibration, split.solve)));
  EXPECT_TRUE(disjoint(values_of(validation, split.search), values_of(calibration, split.solve)));
  EXPECT_TRUE(disjoint(values_of(validation, split.search), values_of(validation, split.judge)));
  EXPECT_THAT(split.judge, SizeIs(20));
  EXPECT_THAT(split.search, SizeIs(19));
  EXPECT_THAT(split.solve, SizeIs(961));
}

TEST(Split, OfAFewSamplesGivenTwiceSaysThatNoneAreHeldBack) {
  const Numbers data = numbers(0, 4);
  const Split split = split_samples(data, &data, true, 0);
  EXPECT_FALSE(split.held_out);
  EXPECT_EQ(sorted(split.judge), all_of(4));
  EXPECT_THAT(split.note, HasSubstr("too few"));
}

TEST(Split, OfAnExternalMetricMeasuresEverything) {
  const Split split = split_for_external_metric(numbers(0, 30), 5);
  EXPECT_EQ(sorted(split.solve), all_of(30));
  EXPECT_EQ(split.measure, split.solve);
  EXPECT_THAT(split.judge, IsEmpty());
}

TEST(Split, IsKnownByItsHash) {
  const Numbers data = numbers(0, 64);
  const Split split = split_samples(data, nullptr, true, 1);
  EXPECT_EQ(split.hash(), split_samples(data, nullptr, true, 1).hash());
  EXPECT_NE(split.hash(), split_samples(data, nullptr, true, 2).hash());
  EXPECT_NE(split.hash(), split_samples(data, nullptr, false, 1).hash());
  EXPECT_THAT(split.hash(), SizeIs(16));
}

}  // namespace
}  // namespace dnateq
