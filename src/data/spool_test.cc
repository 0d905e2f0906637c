#include "data/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "dnateq/error.h"

namespace dnateq {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Spool::View view_of(const std::vector<float>& values, std::vector<int64_t> shape) {
  return {DataType::kFloat32, std::move(shape), std::as_bytes(std::span(values))};
}

Spool two_inputs() { return Spool(testing::TempDir(), "calibration", {"x", "y"}); }

std::vector<float> floats_of(const Array& array) {
  std::vector<float> values(static_cast<size_t>(array.elements()));
  std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

TEST(Spool, GivesBackWhatItWasGiven) {
  Spool spool = two_inputs();
  const std::vector<float> a = {1, 2, 3, 4}, b = {5}, c = {6, 7};
  spool.add(std::vector{view_of(a, {1, 2, 2}), view_of(b, {1, 1})});
  spool.add(std::vector{view_of(c, {1, 1, 2}), view_of(b, {1, 1})});
  ASSERT_EQ(spool.size(), 2);
  const std::vector<NamedArray> second = spool.call(1);
  EXPECT_EQ(second[0].name, "x");
  EXPECT_THAT(second[0].array.shape, ElementsAre(1, 1, 2));
  EXPECT_THAT(floats_of(second[0].array), ElementsAre(6, 7));
  EXPECT_THAT(floats_of(spool.call(0)[0].array), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(floats_of(spool.call(0)[1].array), ElementsAre(5));
}

TEST(Spool, IsStackableWhileShapesAreEqualAndSingle) {
  const std::vector<float> one = {1}, two = {1, 2};
  Spool spool(testing::TempDir(), "calibration", {"x"});
  spool.add(std::vector{view_of(two, {1, 2})});
  spool.add(std::vector{view_of(two, {1, 2})});
  EXPECT_TRUE(spool.stackable());
  spool.add(std::vector{view_of(one, {1, 1})});
  EXPECT_FALSE(spool.stackable());
  Spool batches(testing::TempDir(), "calibration", {"x"});
  batches.add(std::vector{view_of(two, {2, 1})});
  EXPECT_FALSE(batches.stackable());
}

TEST(Spool, FingerprintsTellContentShapesAndOrderApart) {
  const std::vector<float> a = {1, 2}, b = {2, 1};
  const auto print = [](std::vector<std::vector<Spool::View>> calls) {
    Spool spool(testing::TempDir(), "anything", {"x"});
    for (const auto& call : calls) spool.add(call);
    return spool.fingerprint();
  };
  const std::string wanted = print({{view_of(a, {1, 2})}, {view_of(b, {1, 2})}});
  EXPECT_EQ(print({{view_of(a, {1, 2})}, {view_of(b, {1, 2})}}), wanted);
  EXPECT_NE(print({{view_of(b, {1, 2})}, {view_of(a, {1, 2})}}), wanted);
  EXPECT_NE(print({{view_of(a, {2, 1})}, {view_of(b, {1, 2})}}), wanted);
  EXPECT_NE(print({{view_of(a, {1, 2})}}), wanted);
}

TEST(Spool, RefusesWhatIsNotFiniteAndKeepsTheRest) {
  const std::vector<float> good = {1}, bad = {std::numeric_limits<float>::infinity()};
  Spool spool = two_inputs();
  spool.add(std::vector{view_of(good, {1}), view_of(good, {1})});
  try {
    spool.add(std::vector{view_of(good, {1}), view_of(bad, {1})});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("sample 1 of calibration: array 'y' holds NaN or infinity"));
  }
  EXPECT_THROW(spool.add(std::vector{view_of(good, {1})}), Error);
  EXPECT_EQ(spool.size(), 1);
  EXPECT_THROW(static_cast<void>(spool.call(1)), Error);
}

TEST(Spool, SaysWhereItCannotLie) { EXPECT_THROW(Spool("/no/such/folder", "calibration", {"x"}), Error); }

}  // namespace
}  // namespace dnateq
