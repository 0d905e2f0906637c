#include "core/row_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/pack.h"
#include "core/test_error.h"
#include "core/test_row_block.h"

namespace dnateq {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::random_floats;
using testing::random_weight_blob;

// y = swish(norm(x) . w0 + bias) * (norm(x) . w1), and the first half of it.
struct SampleBlock {
  std::vector<uint8_t> first = random_weight_blob(6, 4, 4, 1), second = random_weight_blob(6, 4, 3, 2);
  RowBlock block;

  SampleBlock() {
    block.input_widths = {4};
    block.steps = {{RowStepKind::kRmsNorm, 0, 0, 0, 1e-5F, 0, 4}, {RowStepKind::kScale, 1, 0, 0, 0, 0, 4},
                   {RowStepKind::kMatMul, 2, 0, 0, 0, 0, 6},      {RowStepKind::kMatMul, 2, 0, 1, 0, 0, 6},
                   {RowStepKind::kSwish, 3, 0, 0, 0, 0, 6},       {RowStepKind::kMultiply, 5, 4, 0, 0, 0, 6},
                   {RowStepKind::kSlice, 6, 0, 0, 0, 0, 3}};
    block.outputs = {6, 7};
    block.matrices = {{"gate", first, random_floats(6, 3)}, {"up", second, {}}};
    block.vectors = {random_floats(4, 4)};
  }
};

TEST(RowBlock, GivesBackWhatWasWritten) {
  const SampleBlock sample;
  const std::vector<uint8_t> bytes = write_row_block(sample.block);
  std::vector<uint8_t> unaligned(bytes.size() + 1);
  std::memcpy(unaligned.data() + 1, bytes.data(), bytes.size());
  EXPECT_TRUE(is_row_block(bytes));
  EXPECT_FALSE(is_row_block(sample.first));
  EXPECT_FALSE(is_row_block(std::span<const uint8_t>(bytes).first(3)));
  const RowBlock block = read_row_block(std::span<const uint8_t>(unaligned).subspan(1), "layer");
  EXPECT_EQ(block.input_widths, sample.block.input_widths);
  EXPECT_EQ(block.outputs, sample.block.outputs);
  EXPECT_EQ(block.vectors, sample.block.vectors);
  ASSERT_EQ(block.steps.size(), sample.block.steps.size());
  for (size_t i = 0; i < block.steps.size(); ++i) {
    EXPECT_EQ(block.steps[i].kind, sample.block.steps[i].kind);
    EXPECT_EQ(block.steps[i].a, sample.block.steps[i].a);
    EXPECT_EQ(block.steps[i].b, sample.block.steps[i].b);
    EXPECT_EQ(block.steps[i].constant, sample.block.steps[i].constant);
    EXPECT_EQ(block.steps[i].epsilon, sample.block.steps[i].epsilon);
    EXPECT_EQ(block.steps[i].begin, sample.block.steps[i].begin);
    EXPECT_EQ(block.steps[i].width, sample.block.steps[i].width);
  }
  ASSERT_EQ(block.matrices.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(block.matrices[i].name, sample.block.matrices[i].name);
    EXPECT_EQ(block.matrices[i].bias, sample.block.matrices[i].bias);
    EXPECT_TRUE(std::equal(block.matrices[i].blob.begin(), block.matrices[i].blob.end(),
                           sample.block.matrices[i].blob.begin(), sample.block.matrices[i].blob.end()));
  }
}

TEST(RowBlock, KeepsBiasesInHalfTheBytesWhereNothingIsLost) {
  SampleBlock sample;
  const std::vector<uint8_t> whole = write_row_block(sample.block);
  EXPECT_EQ(whole[4], 1);
  for (float& bias : sample.block.matrices[0].bias) bias = from_float16(to_float16(bias));
  const std::vector<uint8_t> halves = write_row_block(sample.block);
  EXPECT_EQ(halves[4], 2);
  EXPECT_EQ(halves.size(), whole.size() - 6 * sizeof(uint16_t));
  EXPECT_EQ(read_row_block(halves, "layer").matrices[0].bias, sample.block.matrices[0].bias);
}

TEST(RowBlock, RefusesEveryTruncationAndEveryFlippedBit) {
  const std::vector<uint8_t> bytes = write_row_block(SampleBlock().block);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(read_row_block(std::span<const uint8_t>(bytes).first(size), "layer"), Error) << size;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<uint8_t> flipped = bytes;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_THROW(read_row_block(flipped, "layer"), Error) << bit;
  }
}

TEST(RowBlock, NamesALaterVersion) {
  std::vector<uint8_t> bytes = write_row_block(SampleBlock().block);
  bytes[4] = 3;
  EXPECT_THAT(error_of([&] { read_row_block(bytes, "layer"); }), HasSubstr("format version 3 of blocks"));
}

// Each change makes a block that no writer gives out; reader and writer have one check.
TEST(RowBlock, RefusesStepsThatDoNotFit) {
  const auto refused = [](auto change) {
    SampleBlock sample;
    change(sample.block);
    EXPECT_THAT(error_of([&] { write_row_block(sample.block); }), HasSubstr("is damaged"));
  };
  refused([](RowBlock& block) { block.input_widths = {}; });
  refused([](RowBlock& block) { block.input_widths = {5}; });
  refused([](RowBlock& block) { block.input_widths = {0}; });
  refused([](RowBlock& block) { block.outputs = {}; });
  refused([](RowBlock& block) { block.outputs = {0}; });
  refused([](RowBlock& block) { block.outputs = {6, 6}; });
  refused([](RowBlock& block) { block.outputs = {8}; });
  refused([](RowBlock& block) { block.steps[0].kind = static_cast<RowStepKind>(0); });
  refused([](RowBlock& block) { block.steps[0].kind = static_cast<RowStepKind>(13); });
  refused([](RowBlock& block) { block.steps[0].a = 1; });
  refused([](RowBlock& block) { block.steps[0].b = 1; });
  refused([](RowBlock& block) { block.steps[0].constant = 1; });
  refused([](RowBlock& block) { block.steps[0].epsilon = -1; });
  refused([](RowBlock& block) { block.steps[0].epsilon = std::numeric_limits<float>::infinity(); });
  refused([](RowBlock& block) { block.steps[0].epsilon = std::numeric_limits<float>::quiet_NaN(); });
  refused([](RowBlock& block) { block.steps[1].constant = 1; });
  refused([](RowBlock& block) { block.steps[1].begin = 1; });
  refused([](RowBlock& block) { block.steps[2].constant = 2; });
  refused([](RowBlock& block) { block.steps[2].width = 7; });
  refused([](RowBlock& block) { block.steps[2].a = 3; });
  refused([](RowBlock& block) { block.steps[4].epsilon = 1; });
  refused([](RowBlock& block) { block.steps[5].b = 2; });
  refused([](RowBlock& block) { block.steps[5].b = 7; });
  refused([](RowBlock& block) { block.steps[6].begin = 4; });
  refused([](RowBlock& block) { block.steps[6].begin = ~uint64_t{0}; });
  refused([](RowBlock& block) { block.steps[6].width = 0; });
  for (const uint64_t transform : {0, 3, 4, 8})  // of rows of 6 values
    refused([&](RowBlock& block) { block.steps[4] = {RowStepKind::kHadamard, 3, 0, 0, 0, transform, 6}; });
  refused([](RowBlock& block) { block.matrices[0].bias.pop_back(); });
  refused([](RowBlock& block) { block.matrices[0].blob = block.matrices[0].blob.first(50); });
  refused([](RowBlock& block) { block.vectors[0].pop_back(); });
}

TEST(RowBlock, SurvivesFalseFieldsWithAValidCrc) {
  const std::vector<uint8_t> whole = write_row_block(SampleBlock().block);
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> bytes = whole;
    for (int change = 0; change < 2; ++change)
      bytes[12 + random() % (bytes.size() - 12)] = static_cast<uint8_t>(random() % (round % 2 == 0 ? 256 : 4));
    const uint32_t crc = crc32(std::span<const uint8_t>(bytes).subspan(12));
    std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
    try {
      const RowBlock block = read_row_block(bytes, "layer");
      for (const RowBlock::Matrix& matrix : block.matrices) read_blob(matrix.blob, matrix.name);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace dnateq
