#include "core/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "dnateq/error.h"

namespace dnateq {
namespace {

std::vector<uint8_t> random_codes(size_t count, int bits, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> codes(count);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random() & ((1U << bits) - 1));
  return codes;
}

TEST(Pack, ComesBackWhateverTheWidthAndLength) {
  for (int bits = 1; bits <= 8; ++bits)
    for (size_t count = 0; count < 70; ++count) {
      const std::vector<uint8_t> codes = random_codes(count, bits, static_cast<unsigned>(count));
      const std::vector<uint8_t> packed = pack(codes, bits);
      EXPECT_EQ(packed.size(), packed_bytes(count, bits));
      EXPECT_EQ(unpack(packed, count, bits), codes) << bits << " bits, " << count << " codes";
    }
}

TEST(Pack, PutsCodeIAtBitITimesTheWidthLeastSignificantBitFirst) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<uint8_t> codes = random_codes(101, bits, 7);
    const std::vector<uint8_t> packed = pack(codes, bits);
    for (size_t bit = 0; bit < packed.size() * 8; ++bit) {
      const size_t width = static_cast<size_t>(bits), code = bit / width;
      const int expected = code < codes.size() ? (codes[code] >> (bit % width)) & 1 : 0;
      EXPECT_EQ((packed[bit / 8] >> (bit % 8)) & 1, expected) << bits << " bits, bit " << bit;
    }
  }
}

TEST(Pack, KeepsThisByteOrderForever) {
  EXPECT_EQ(pack(std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 0}, 3), (std::vector<uint8_t>{0xd1, 0x58, 0x1f}));
}

TEST(Pack, RefusesACodeThatIsTooWide) {
  EXPECT_THROW(pack(std::vector<uint8_t>{7, 8}, 3), Error);
  EXPECT_NO_THROW(pack(std::vector<uint8_t>{255}, 8));
}

TEST(Pack, RefusesWidthsOutsideOneToEight) {
  const std::vector<uint8_t> bytes(100);
  for (const int bits : {-1, 0, 9, 64}) {
    EXPECT_THROW(pack(bytes, bits), Error);
    EXPECT_THROW(unpack(bytes, 1, bits), Error);
  }
}

TEST(Unpack, RefusesTooFewBytes) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<uint8_t> packed(packed_bytes(33, bits) - 1);
    EXPECT_THROW(unpack(packed, 33, bits), Error) << bits;
  }
  EXPECT_THROW(unpack(std::vector<uint8_t>(8), std::numeric_limits<size_t>::max() / 4 + 2, 4), Error)
      << "the number of bits overflows";
}

TEST(Unpack, LeavesBytesBehindTheLastCodeAlone) {
  EXPECT_EQ(unpack(std::vector<uint8_t>{0x21, 0xff, 0xff}, 2, 4), (std::vector<uint8_t>{1, 2}));
}

TEST(Unpack, GivesAnyRangeOfTheCodes) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<uint8_t> codes = random_codes(61, bits, 3), packed = pack(codes, bits);
    for (size_t first = 0; first <= codes.size(); ++first)
      for (size_t count = 0; first + count <= codes.size(); ++count) {
        std::vector<uint8_t> part(count + 1, 0xEE);
        unpack_range(packed, first, count, bits, part.data());
        EXPECT_TRUE(std::equal(part.begin(), part.end() - 1, codes.begin() + static_cast<std::ptrdiff_t>(first)))
            << bits << " bits, " << count << " codes from " << first;
        EXPECT_EQ(part.back(), 0xEE) << "wrote past the last code";
      }
    uint8_t none = 0;
    EXPECT_THROW(unpack_range(packed, 8 * packed.size() / static_cast<size_t>(bits), 1, bits, &none), Error);
    EXPECT_THROW(unpack_range(packed, 2, std::numeric_limits<size_t>::max(), bits, &none), Error);
  }
}

TEST(Float16, ComesBackForEveryPattern) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = from_float16(static_cast<uint16_t>(bits));
    if ((bits & 0x7fff) > 0x7c00) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(from_float16(to_float16(value))));
    } else {
      EXPECT_EQ(to_float16(value), bits);
    }
  }
}

TEST(Float16, HasTheValuesOfTheStandard) {
  EXPECT_EQ(from_float16(0x3c00), 1.0F);
  EXPECT_EQ(from_float16(0xc000), -2.0F);
  EXPECT_EQ(from_float16(0x7bff), 65504.0F);
  EXPECT_EQ(from_float16(0x0400), 0x1p-14F);
  EXPECT_EQ(from_float16(0x0001), 0x1p-24F);
  EXPECT_EQ(from_float16(0x3555), 0.333251953125F);
  EXPECT_EQ(from_float16(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::signbit(from_float16(0x8000)));
}

TEST(Float16, RoundsToTheNearestAndTiesToEven) {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = from_float16(bits), high = from_float16(static_cast<uint16_t>(bits + 1));
    const float middle = (low + high) / 2;  // exact in float32
    const auto even = static_cast<uint16_t>(bits + (bits & 1));
    ASSERT_EQ(to_float16(middle), even);
    ASSERT_EQ(to_float16(std::nextafter(middle, low)), bits);
    ASSERT_EQ(to_float16(std::nextafter(middle, high)), bits + 1);
    ASSERT_EQ(to_float16(-middle), even | 0x8000);
  }
}

TEST(Float16, TurnsWhatIsTooLargeIntoInfinity) {
  EXPECT_EQ(to_float16(std::nextafter(65520.0F, 0.0F)), 0x7bff);
  EXPECT_EQ(to_float16(65520.0F), 0x7c00);
  EXPECT_EQ(to_float16(-std::numeric_limits<float>::max()), 0xfc00);
  EXPECT_EQ(to_float16(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(Float16, TurnsWhatIsTooSmallIntoZeroOfItsSign) {
  EXPECT_EQ(to_float16(0x1p-25F), 0x0000);
  EXPECT_EQ(to_float16(std::nextafter(0x1p-25F, 1.0F)), 0x0001);
  EXPECT_EQ(to_float16(-std::numeric_limits<float>::denorm_min()), 0x8000);
}

}  // namespace
}  // namespace dnateq
