#include "core/blob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/channel_scale.h"
#include "core/test_error.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

TensorCode grid_code(int stored_bits, bool is_mirrored = false) {
  TensorCode code;
  code.base = 1.3;
  code = is_mirrored ? mirrored(code, stored_bits) : with_level_counts(code, stored_bits);
  code.base = stored_bits > 5 ? 1.0001 : 1.3;
  code.grid = 127;
  const double top = std::pow(code.base, std::max(code.positive_levels, code.negative_levels) - 1);
  const double lowest = stored_bits > 6 ? 1.0 / 127 : 4.0 / 127;
  code.alpha = (1.0 - lowest) / (top - 1.0);
  code.beta = lowest - code.alpha;
  return code;
}

struct Sample {
  BlobHeader header;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> gamma;
  std::vector<uint8_t> bytes;
};

Sample make_sample(int stored_bits, bool is_mirrored = false) {
  Sample sample;
  sample.header.code = grid_code(stored_bits, is_mirrored);
  sample.header.rows = 5;
  sample.header.columns = 7;
  sample.header.shape = {5, 7, 1, 1};
  std::mt19937 random(7);
  for (int i = 0; i < 35; ++i) sample.codes.push_back(static_cast<uint8_t>(random() % (1U << stored_bits)));
  for (int i = 0; i < 5; ++i) sample.gamma.push_back(to_float16(0.25F * static_cast<float>(i - 2)));
  sample.bytes = write_weight_blob(sample.header, sample.codes, sample.gamma);
  return sample;
}

TEST(Blob, CrcIsTheCommonOne) {
  const std::string text = "123456789";
  EXPECT_EQ(crc32({reinterpret_cast<const uint8_t*>(text.data()), text.size()}), 0xCBF43926U);
}

TEST(Blob, GivesBackWhatWasWrittenAtEveryWidth) {
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    for (const bool is_mirrored : {false, true}) {
      if (is_mirrored && bits > 7) continue;
      const Sample sample = make_sample(bits, is_mirrored);
      EXPECT_EQ(sample.bytes[4], is_mirrored ? 3 : 1) << "a library that knows no such codes refuses them";
      EXPECT_EQ(static_cast<int64_t>(sample.bytes.size()), weight_blob_bytes(sample.header));
      std::vector<uint8_t> unaligned(sample.bytes.size() + 1);
      std::memcpy(unaligned.data() + 1, sample.bytes.data(), sample.bytes.size());
      const Blob blob = read_blob(std::span<const uint8_t>(unaligned).subspan(1), "layer");
      EXPECT_EQ(blob.code, sample.header.code);
      EXPECT_EQ(blob.shape, sample.header.shape);
      EXPECT_EQ(blob.levels, level_table(sample.header.code));
      EXPECT_EQ(unpack(blob.codes, 35, bits), sample.codes);
      std::vector<float> values(35);
      decode_rows(blob, blob.codes, 0, 5, values.data());
      for (size_t i = 0; i < values.size(); ++i)
        EXPECT_EQ(values[i], from_float16(sample.gamma[i / 7]) * blob.levels[sample.codes[i]]);
    }
}

TEST(Blob, RealLevelsNeedNoGrid) {
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.base = 1.5;
  const std::vector<uint8_t> bytes = write_code_blob(code);
  const Blob blob = read_blob(bytes, "layer");
  EXPECT_EQ(blob.code, code);
  EXPECT_TRUE(blob.grid_levels.empty());
  EXPECT_FALSE(blob.has_codes);
}

TEST(Blob, ActivationsKeepTheirZero) {
  const std::vector<uint8_t> bytes = write_code_blob(grid_code(4, true));
  EXPECT_THAT(testing::error_of([&] { read_blob(bytes, "layer"); }), ::testing::HasSubstr("level counts"));
}

TEST(Blob, RefusesEveryTruncation) {
  const Sample sample = make_sample(3);
  for (size_t size = 0; size < sample.bytes.size(); ++size)
    EXPECT_THROW(read_blob(std::span<const uint8_t>(sample.bytes).first(size), "layer"), Error) << size;
}

TEST(Blob, RefusesEveryFlippedBit) {
  const Sample sample = make_sample(4);
  for (size_t bit = 0; bit < sample.bytes.size() * 8; ++bit) {
    std::vector<uint8_t> bytes = sample.bytes;
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_THROW(read_blob(bytes, "layer"), Error) << bit;
  }
}

TEST(Blob, SurvivesFalseHeadersWithAValidCrc) {
  const Sample sample = make_sample(5);
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> bytes = sample.bytes;
    for (int change = 0; change < 3; ++change) bytes[12 + random() % 120] = static_cast<uint8_t>(random());
    const uint32_t crc = crc32(std::span<const uint8_t>(bytes).subspan(12));
    std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
    try {
      const Blob blob = read_blob(bytes, "layer");
      std::vector<float> values(static_cast<size_t>(blob.rows * blob.columns));
      decode_rows(blob, blob.codes, 0, blob.rows, values.data());
    } catch (const Error&) {
    }
  }
}

void seal_again(std::vector<uint8_t>& bytes) {
  const uint32_t crc = crc32(std::span<const uint8_t>(bytes).subspan(12));
  std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
}

TEST(Blob, ScalesCarryAPowerOfTwo) {
  Sample sample = make_sample(4);
  EXPECT_EQ(sample.bytes[4], 1) << "without one, the format is as it was";
  for (const int exponent : {kLeastScaleExponent, -30, 20, kMostScaleExponent}) {
    sample.header.scale_exponent = exponent;
    const std::vector<uint8_t> bytes = write_weight_blob(sample.header, sample.codes, sample.gamma);
    EXPECT_EQ(bytes.size(), sample.bytes.size());
    EXPECT_EQ(bytes[4], 2) << "a library that knows no exponent refuses it";
    const Blob blob = read_blob(bytes, "layer");
    EXPECT_EQ(blob.scale_exponent, exponent);
    std::vector<float> values(35);
    decode_rows(blob, blob.codes, 0, 5, values.data());
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(values[i], std::ldexp(from_float16(sample.gamma[i / 7]), exponent) * blob.levels[sample.codes[i]]);
  }
}

TEST(Blob, RefusesFieldsThatNoWriterSetsThoughTheCrcIsRight) {
  const Sample sample = make_sample(4);
  const size_t levels = kBlobHeaderBytes + 4 * sizeof(uint64_t), grid = levels + 16 * sizeof(float),
               gamma = grid + 16 * sizeof(int16_t);
  const auto refused = [&](size_t at, std::initializer_list<uint8_t> with, const char* what) {
    std::vector<uint8_t> bytes = sample.bytes;
    std::copy(with.begin(), with.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    seal_again(bytes);
    EXPECT_THAT(testing::error_of([&] { read_blob(bytes, "layer"); }),
                ::testing::AllOf(::testing::HasSubstr("layer"), ::testing::HasSubstr(what)))
        << at;
  };
  refused(12, {1}, "reserved");
  refused(25, {2}, "arithmetic");
  refused(26, {4}, "family");
  refused(27, {2}, "rounding");
  refused(4, {3}, "level counts");                // a zero, in the version of codes without
  refused(28, {8}, "level counts");               // no zero, in another
  refused(68, {1}, "scale exponent");             // in version 1
  refused(levels, {0, 0, 0x80, 0x3f}, "levels");  // of code 0
  refused(levels + 4, {0, 0, 0x80, 0x7f}, "levels");
  refused(grid, {1}, "grid levels");
  refused(grid + 2, {128, 0}, "grid levels");
  refused(grid + 2, {0x80, 0xff}, "grid levels");
  refused(gamma, {0x00, 0x7c}, "channel scales");
  refused(gamma, {0xff, 0xff}, "channel scales");
}

TEST(Blob, NamesLayerAndVersionOfANewerFormat) {
  Sample sample = make_sample(4);
  sample.bytes[4] = 4;
  try {
    read_blob(sample.bytes, "conv7");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("conv7"), ::testing::HasSubstr("version 4")));
  }
}

}  // namespace
}  // namespace dnateq
