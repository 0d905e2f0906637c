#include "core/hash.h"

#include <gtest/gtest.h>

#include <string_view>

namespace dnateq {
namespace {

uint64_t digest_of(std::string_view text, uint64_t start = kFnvStart) {
  return fnv1a(std::as_bytes(std::span(text)), start);
}

TEST(Hash, MatchesTheReferenceVectorsOfFnv) {
  EXPECT_EQ(digest_of(""), 0xcbf29ce484222325ULL);
  EXPECT_EQ(digest_of("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(digest_of("foobar"), 0x85944171f73967e8ULL);
}

TEST(Hash, OfPartsInARowIsTheHashOfTheWhole) { EXPECT_EQ(digest_of("bar", digest_of("foo")), digest_of("foobar")); }

TEST(Hash, SeesOrderAndZeroBytes) {
  EXPECT_NE(digest_of("ab"), digest_of("ba"));
  EXPECT_NE(digest_of(std::string_view("\0", 1)), digest_of(""));
}

TEST(Hash, HexAlwaysHasSixteenDigits) {
  EXPECT_EQ(to_hex(0), "0000000000000000");
  EXPECT_EQ(to_hex(0x0123456789abcdefULL), "0123456789abcdef");
  EXPECT_EQ(to_hex(~uint64_t{0}), "ffffffffffffffff");
}

}  // namespace
}  // namespace dnateq
