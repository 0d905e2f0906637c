#include "core/row_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/blob.h"
#include "core/hadamard.h"
#include "core/pack.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

static_assert(std::endian::native == std::endian::little, "blocks are written as the machine's own bytes");

constexpr uint32_t kBlockMagic = 0x42544E44;  // "DNTB"
constexpr uint16_t kVersion = 1, kVersionOfFloat16Biases = 2;
constexpr size_t kBlockCrcFrom = 12;
constexpr uint64_t kMostWidth = uint64_t{1} << 24;  // keeps sums and products of widths in 64 bits
constexpr uint32_t kMostSteps = 4096;

struct FixedBlockHeader {
  uint32_t magic;
  uint16_t version, inputs;
  uint32_t crc, steps;
  uint64_t size;
  uint32_t outputs, matrices, vectors, reserved;
};
static_assert(sizeof(FixedBlockHeader) == kRowBlockHeaderBytes);

struct StoredStep {
  uint32_t kind, a, b, constant;
  float epsilon;
  uint32_t reserved;
  uint64_t begin, width;
};
static_assert(sizeof(StoredStep) == 40);

struct StoredMatrix {
  uint64_t name, blob, bias;
};

[[noreturn]] void damaged(const std::string& source, const std::string& what) {
  throw Error(fmt::format("the quantized data of '{}' is damaged ({}); write the model again", source, what));
}

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& source) : left_(bytes), source_(source) {}

  std::span<const uint8_t> bytes(uint64_t count) {
    if (count > left_.size()) damaged(source_, "its size is not the one it states");
    const auto taken = left_.first(static_cast<size_t>(count));
    left_ = left_.subspan(static_cast<size_t>(count));
    return taken;
  }
  template <typename T>
  std::vector<T> values(uint64_t count) {
    if (count > left_.size() / sizeof(T)) damaged(source_, "its size is not the one it states");
    const auto taken = bytes(count * sizeof(T));
    std::vector<T> all(static_cast<size_t>(count));
    if (!taken.empty()) std::memcpy(all.data(), taken.data(), taken.size());
    return all;
  }
  bool empty() const { return left_.empty(); }

 private:
  std::span<const uint8_t> left_;
  const std::string& source_;
};

bool is_float16(float value) {
  return std::bit_cast<uint32_t>(from_float16(to_float16(value))) == std::bit_cast<uint32_t>(value);
}

bool has_float16_biases(const RowBlock& block) {
  return std::all_of(block.matrices.begin(), block.matrices.end(), [](const RowBlock::Matrix& matrix) {
    return std::all_of(matrix.bias.begin(), matrix.bias.end(), is_float16);
  });
}

bool uses_vector(RowStepKind kind) { return kind == RowStepKind::kScale || kind == RowStepKind::kShift; }

bool is_norm(RowStepKind kind) { return kind == RowStepKind::kRmsNorm || kind == RowStepKind::kMeanNorm; }

void check_step(const RowBlock& block, size_t index, const std::string& source) {
  const RowStep& step = block.steps[index];
  const size_t own = block.input_widths.size() + index;
  const auto check = [&](bool holds) {
    if (!holds) damaged(source, fmt::format("step {}", index));
  };
  check(step.kind >= RowStepKind::kMatMul && step.kind <= RowStepKind::kHadamard);
  check(step.a < own && (takes_two_values(step.kind) ? step.b < own : step.b == 0));
  check(step.width > 0 && step.width <= kMostWidth);
  check(is_norm(step.kind) ? std::isfinite(step.epsilon) && step.epsilon >= 0 : step.epsilon == 0);
  const uint64_t width = block.width(step.a);
  if (step.kind == RowStepKind::kMatMul) {
    check(step.constant < block.matrices.size());
    const RowBlock::Matrix& matrix = block.matrices[step.constant];
    const BlobHeader header = read_blob_header(matrix.blob, source);
    check(header.has_codes && static_cast<uint64_t>(header.columns) == width &&
          static_cast<uint64_t>(header.rows) == step.width);
    check(matrix.bias.empty() || matrix.bias.size() == step.width);
  } else if (step.kind == RowStepKind::kSlice) {
    check(step.begin <= width && step.width <= width - step.begin);
  } else {
    check(step.width == width && (!takes_two_values(step.kind) || block.width(step.b) == width));
  }
  if (uses_vector(step.kind))
    check(step.constant < block.vectors.size() && block.vectors[step.constant].size() == step.width);
  else if (step.kind != RowStepKind::kMatMul)
    check(step.constant == 0);
  if (step.kind == RowStepKind::kHadamard)
    check(step.begin > 0 && hadamard_block(step.begin) == step.begin && width % step.begin == 0);
  else
    check(step.kind == RowStepKind::kSlice || step.begin == 0);
}

void check_block(const RowBlock& block, const std::string& source) {
  if (block.input_widths.empty() || block.outputs.empty()) damaged(source, "inputs and outputs");
  for (const uint64_t width : block.input_widths)
    if (width == 0 || width > kMostWidth) damaged(source, "width of an input");
  for (size_t i = 0; i < block.steps.size(); ++i) check_step(block, i, source);
  std::vector<bool> seen(block.value_count());
  for (const uint32_t value : block.outputs) {
    if (value < block.input_widths.size() || value >= seen.size() || seen[value]) damaged(source, "outputs");
    seen[value] = true;
  }
}

template <typename T>
void append(std::vector<uint8_t>& bytes, const T* values, size_t count) {
  if (count == 0) return;
  const size_t end = bytes.size();
  bytes.resize(end + count * sizeof(T));
  std::memcpy(bytes.data() + end, values, count * sizeof(T));
}

}  // namespace

bool takes_two_values(RowStepKind kind) { return kind == RowStepKind::kAdd || kind == RowStepKind::kMultiply; }

std::vector<uint8_t> write_row_block(const RowBlock& block) {
  check_block(block, "a row block");
  const bool short_biases = has_float16_biases(block);
  std::vector<uint8_t> bytes(kRowBlockHeaderBytes);
  append(bytes, block.input_widths.data(), block.input_widths.size());
  for (const RowStep& step : block.steps) {
    const StoredStep stored{
        static_cast<uint32_t>(step.kind), step.a, step.b, step.constant, step.epsilon, 0, step.begin, step.width};
    append(bytes, &stored, 1);
  }
  append(bytes, block.outputs.data(), block.outputs.size());
  for (const RowBlock::Matrix& matrix : block.matrices) {
    const StoredMatrix stored{matrix.name.size(), matrix.blob.size(), matrix.bias.size()};
    append(bytes, &stored, 1);
  }
  for (const std::vector<float>& vector : block.vectors) {
    const uint64_t size = vector.size();
    append(bytes, &size, 1);
  }
  for (const RowBlock::Matrix& matrix : block.matrices) {
    append(bytes, matrix.name.data(), matrix.name.size());
    append(bytes, matrix.blob.data(), matrix.blob.size());
    if (short_biases)
      for (const float bias : matrix.bias) {
        const uint16_t half = to_float16(bias);
        append(bytes, &half, 1);
      }
    else
      append(bytes, matrix.bias.data(), matrix.bias.size());
  }
  for (const std::vector<float>& vector : block.vectors) append(bytes, vector.data(), vector.size());
  FixedBlockHeader fixed{kBlockMagic,
                         short_biases ? kVersionOfFloat16Biases : kVersion,
                         static_cast<uint16_t>(block.input_widths.size()),
                         0,
                         static_cast<uint32_t>(block.steps.size()),
                         bytes.size(),
                         static_cast<uint32_t>(block.outputs.size()),
                         static_cast<uint32_t>(block.matrices.size()),
                         static_cast<uint32_t>(block.vectors.size()),
                         0};
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  fixed.crc = crc32(std::span<const uint8_t>(bytes).subspan(kBlockCrcFrom));
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  return bytes;
}

bool is_row_block(std::span<const uint8_t> bytes) {
  return bytes.size() >= sizeof(kBlockMagic) && std::memcmp(bytes.data(), &kBlockMagic, sizeof(kBlockMagic)) == 0;
}

RowBlock read_row_block(std::span<const uint8_t> bytes, const std::string& source) {
  FixedBlockHeader fixed{};
  if (bytes.size() < sizeof(fixed)) damaged(source, "shorter than its header");
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  if (fixed.magic != kBlockMagic) damaged(source, "not a dnateq block");
  const bool short_biases = fixed.version == kVersionOfFloat16Biases;
  if (fixed.version != kVersion && !short_biases)
    throw Error(fmt::format(
        "the quantized data of '{}' has format version {} of blocks, and this library reads versions up to {}; use "
        "the dnateq release that wrote the model, or write the model again",
        source, fixed.version, kVersionOfFloat16Biases));
  if (fixed.size != bytes.size()) damaged(source, "its size is not the one it states");
  if (fixed.crc != crc32(bytes.subspan(kBlockCrcFrom))) damaged(source, "its checksum does not match");
  if (fixed.reserved != 0 || fixed.steps > kMostSteps) damaged(source, "its header");

  Reader reader(bytes.subspan(sizeof(fixed)), source);
  RowBlock block;
  block.input_widths = reader.values<uint64_t>(fixed.inputs);
  for (const StoredStep& stored : reader.values<StoredStep>(fixed.steps)) {
    if (stored.reserved != 0) damaged(source, "its reserved field");
    block.steps.push_back({static_cast<RowStepKind>(stored.kind), stored.a, stored.b, stored.constant, stored.epsilon,
                           stored.begin, stored.width});
  }
  block.outputs = reader.values<uint32_t>(fixed.outputs);
  const std::vector<StoredMatrix> matrices = reader.values<StoredMatrix>(fixed.matrices);
  const std::vector<uint64_t> vectors = reader.values<uint64_t>(fixed.vectors);
  for (const StoredMatrix& stored : matrices) {
    RowBlock::Matrix matrix;
    const auto name = reader.bytes(stored.name);
    matrix.name.assign(name.begin(), name.end());
    matrix.blob = reader.bytes(stored.blob);
    if (short_biases)
      for (const uint16_t half : reader.values<uint16_t>(stored.bias)) matrix.bias.push_back(from_float16(half));
    else
      matrix.bias = reader.values<float>(stored.bias);
    block.matrices.push_back(std::move(matrix));
  }
  for (const uint64_t size : vectors) block.vectors.push_back(reader.values<float>(size));
  if (!reader.empty()) damaged(source, "its size is not the one it states");
  check_block(block, source);
  return block;
}

}  // namespace dnateq
