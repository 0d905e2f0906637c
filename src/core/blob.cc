#include "core/blob.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/channel_scale.h"
#include "core/pack.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

static_assert(std::endian::native == std::endian::little, "blobs are written as the machine's own bytes");

constexpr uint32_t kMagic = 0x51544E44;  // "DNTQ"
constexpr size_t kCrcFrom = 12;
constexpr uint16_t kMirroredVersion = 3;
constexpr uint32_t kMaxRank = 8;
constexpr uint64_t kMaxExtent = uint64_t{1} << 40;  // rows, columns and dimensions: keeps every product in 64 bits

struct FixedHeader {
  uint32_t magic;
  uint16_t version, layout;
  uint32_t crc, reserved;
  uint64_t size;
  uint8_t stored_bits, arithmetic, family, rounding;
  uint16_t negative_levels, positive_levels;
  double base, alpha, beta, grid;
  int32_t pow2_q;
  int32_t scale_exponent;
  uint32_t rank, transposed;
  uint64_t rows, columns;
};
static_assert(sizeof(FixedHeader) == kBlobHeaderBytes);

struct Sections {
  uint64_t shape, levels, grid_levels, gamma, codes, end;
};

// Offsets of the sections; the caller has checked the extents.
Sections sections(const BlobHeader& header) {
  const uint64_t entries = uint64_t{1} << header.code.stored_bits;
  const auto rows = static_cast<uint64_t>(header.rows), columns = static_cast<uint64_t>(header.columns);
  Sections at{};
  at.shape = kBlobHeaderBytes;
  at.levels = at.shape + header.shape.size() * sizeof(uint64_t);
  at.grid_levels = at.levels + entries * sizeof(float);
  at.gamma = at.grid_levels + (header.code.arithmetic == Arithmetic::kInt8Grid ? entries * sizeof(int16_t) : 0);
  at.codes = at.gamma + rows * sizeof(uint16_t);
  at.end = at.codes + (header.has_codes ? packed_bytes(rows * columns, header.code.stored_bits) : 0);
  return at;
}

std::vector<int16_t> grid_level_table(const TensorCode& code) {
  const std::vector<int> magnitude = grid_magnitudes(code);
  const auto positive = static_cast<size_t>(code.positive_levels), negative = static_cast<size_t>(code.negative_levels);
  std::vector<int16_t> table(size_t{1} << code.stored_bits, 0);
  const auto first = static_cast<size_t>(first_level_code(code));
  for (size_t i = 0; i < positive; ++i) table[first + i] = static_cast<int16_t>(magnitude[i]);
  for (size_t i = 0; i < negative; ++i) table[first + positive + i] = static_cast<int16_t>(-magnitude[i]);
  return table;
}

std::vector<uint8_t> write_head(const BlobHeader& header) {
  const Sections at = sections(header);
  std::vector<uint8_t> bytes(at.end, 0);
  FixedHeader fixed{};
  fixed.magic = kMagic;
  fixed.version = !has_zero(header.code) ? kMirroredVersion : header.scale_exponent != 0 ? 2 : 1;
  fixed.scale_exponent = header.scale_exponent;
  fixed.layout = header.has_codes ? 1 : 0;
  fixed.size = at.end;
  fixed.stored_bits = static_cast<uint8_t>(header.code.stored_bits);
  fixed.arithmetic = static_cast<uint8_t>(header.code.arithmetic);
  fixed.family = static_cast<uint8_t>(header.code.family);
  fixed.rounding = static_cast<uint8_t>(header.code.rounding);
  fixed.negative_levels = static_cast<uint16_t>(header.code.negative_levels);
  fixed.positive_levels = static_cast<uint16_t>(header.code.positive_levels);
  fixed.base = header.code.base;
  fixed.alpha = header.code.alpha;
  fixed.beta = header.code.beta;
  fixed.grid = header.code.grid;
  fixed.pow2_q = header.code.pow2_q;
  fixed.rank = static_cast<uint32_t>(header.shape.size());
  fixed.transposed = header.transposed ? 1 : 0;
  fixed.rows = static_cast<uint64_t>(header.rows);
  fixed.columns = static_cast<uint64_t>(header.columns);
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  if (!header.shape.empty())
    std::memcpy(bytes.data() + at.shape, header.shape.data(), header.shape.size() * sizeof(int64_t));
  const std::vector<float> levels = level_table(header.code);
  std::memcpy(bytes.data() + at.levels, levels.data(), levels.size() * sizeof(float));
  if (header.code.arithmetic == Arithmetic::kInt8Grid) {
    const std::vector<int16_t> grid = grid_level_table(header.code);
    std::memcpy(bytes.data() + at.grid_levels, grid.data(), grid.size() * sizeof(int16_t));
  }
  return bytes;
}

void seal(std::vector<uint8_t>& bytes) {
  const uint32_t crc = crc32(std::span<const uint8_t>(bytes).subspan(kCrcFrom));
  std::memcpy(bytes.data() + offsetof(FixedHeader, crc), &crc, sizeof(crc));
}

[[noreturn]] void damaged(const std::string& source, const std::string& what) {
  throw Error(fmt::format("the quantized data of '{}' is damaged ({}); write the model again", source, what));
}

std::vector<uint32_t> make_crc_table() {  // eight tables: eight bytes a step, about 2 GB/s
  std::vector<uint32_t> table(8 * 256);
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    table[i] = crc;
  }
  for (size_t i = 256; i < table.size(); ++i) table[i] = (table[i - 256] >> 8) ^ table[table[i - 256] & 0xFFU];
  return table;
}

}  // namespace

uint32_t crc32(std::span<const uint8_t> bytes) {
  static const std::vector<uint32_t> table = make_crc_table();
  uint32_t crc = ~0U;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof(word));
    word ^= crc;
    crc = 0;
    for (size_t byte = 0; byte < 8; ++byte) crc ^= table[(7 - byte) * 256 + ((word >> (8 * byte)) & 0xFFU)];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xFFU];
  return ~crc;
}

std::vector<uint8_t> write_code_blob(const TensorCode& code) {
  BlobHeader header;
  header.code = code;
  std::vector<uint8_t> bytes = write_head(header);
  seal(bytes);
  return bytes;
}

std::vector<uint8_t> write_weight_blob(const BlobHeader& header, std::span<const uint8_t> codes,
                                       std::span<const uint16_t> gamma) {
  BlobHeader complete = header;
  complete.has_codes = true;
  if (codes.size() != static_cast<size_t>(header.rows * header.columns) ||
      gamma.size() != static_cast<size_t>(header.rows)) {
    throw Error(
        fmt::format("codes or channel scales do not match the weight matrix of {} x {}", header.rows, header.columns));
  }
  std::vector<uint8_t> bytes = write_head(complete);
  const Sections at = sections(complete);
  std::memcpy(bytes.data() + at.gamma, gamma.data(), gamma.size_bytes());
  const std::vector<uint8_t> packed = pack(codes, header.code.stored_bits);
  std::memcpy(bytes.data() + at.codes, packed.data(), packed.size());
  seal(bytes);
  return bytes;
}

int64_t weight_blob_bytes(const BlobHeader& header) {
  BlobHeader complete = header;
  complete.has_codes = true;
  return static_cast<int64_t>(sections(complete).end);
}

BlobHeader read_blob_header(std::span<const uint8_t> bytes, const std::string& source) {
  FixedHeader fixed{};
  if (bytes.size() < sizeof(fixed)) damaged(source, "shorter than its header");
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  if (fixed.magic != kMagic) damaged(source, "not a dnateq blob");
  if (fixed.version < 1 || fixed.version > kBlobVersion) {
    throw Error(
        fmt::format("the quantized data of '{}' has format version {}, and this library reads versions up to {}; use "
                    "the dnateq release that wrote the model, or write the model again",
                    source, fixed.version, kBlobVersion));
  }
  if (fixed.layout > 1) damaged(source, "unknown layout");
  if (fixed.reserved != 0) damaged(source, "its reserved field");
  if (fixed.scale_exponent < (fixed.version == 1 ? 0 : kLeastScaleExponent) ||
      fixed.scale_exponent > (fixed.version == 1 ? 0 : kMostScaleExponent))
    damaged(source, "scale exponent");
  if (fixed.stored_bits < kMinStoredBits || fixed.stored_bits > kMaxStoredBits) damaged(source, "stored bits");
  if (fixed.arithmetic > static_cast<uint8_t>(Arithmetic::kInt8Grid)) damaged(source, "arithmetic");
  if (fixed.family > static_cast<uint8_t>(Family::kPow2)) damaged(source, "family");
  if (fixed.rounding > static_cast<uint8_t>(Rounding::kLogarithmic)) damaged(source, "rounding");
  if (fixed.rank > kMaxRank || fixed.transposed > 1) damaged(source, "shape");
  if (fixed.rows > kMaxExtent || fixed.columns > kMaxExtent) damaged(source, "shape");
  if (fixed.rows != 0 && fixed.columns > kMaxExtent / fixed.rows) damaged(source, "shape");

  BlobHeader header;
  header.code.stored_bits = fixed.stored_bits;
  header.code.arithmetic = static_cast<Arithmetic>(fixed.arithmetic);
  header.code.family = static_cast<Family>(fixed.family);
  header.code.rounding = static_cast<Rounding>(fixed.rounding);
  header.code.negative_levels = fixed.negative_levels;
  header.code.positive_levels = fixed.positive_levels;
  header.code.base = fixed.base;
  header.code.alpha = fixed.alpha;
  header.code.beta = fixed.beta;
  header.code.grid = fixed.grid;
  header.code.pow2_q = fixed.pow2_q;
  // Only weights do without a zero.
  if (has_zero(header.code) == (fixed.version == kMirroredVersion) || (!has_zero(header.code) && fixed.layout == 0))
    damaged(source, "level counts");
  header.scale_exponent = fixed.scale_exponent;
  header.has_codes = fixed.layout == 1;
  header.transposed = fixed.transposed == 1;
  header.rows = static_cast<int64_t>(fixed.rows);
  header.columns = static_cast<int64_t>(fixed.columns);
  if (!header.has_codes && (fixed.rows != 0 || fixed.columns != 0 || fixed.rank != 0)) damaged(source, "shape");
  if (header.has_codes && (fixed.rows == 0 || fixed.columns == 0 || fixed.rank == 0)) damaged(source, "shape");

  header.shape.resize(fixed.rank);
  const Sections at = sections(header);
  if (fixed.size != bytes.size() || at.end != bytes.size()) damaged(source, "its size is not the one it states");
  if (fixed.rank != 0) std::memcpy(header.shape.data(), bytes.data() + at.shape, fixed.rank * sizeof(int64_t));
  uint64_t elements = 1;
  for (const int64_t extent : header.shape) {
    if (extent <= 0 || static_cast<uint64_t>(extent) > kMaxExtent / elements) damaged(source, "shape");
    elements *= static_cast<uint64_t>(extent);
  }
  if (header.has_codes && elements != fixed.rows * fixed.columns) damaged(source, "shape");
  validate(header.code, source);
  return header;
}

Blob read_blob(std::span<const uint8_t> bytes, const std::string& source) {
  Blob blob;
  static_cast<BlobHeader&>(blob) = read_blob_header(bytes, source);
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + offsetof(FixedHeader, crc), sizeof(crc));
  if (crc != crc32(bytes.subspan(kCrcFrom))) damaged(source, "its checksum does not match");

  const Sections at = sections(blob);
  const size_t entries = size_t{1} << blob.code.stored_bits;
  blob.levels.resize(entries);
  std::memcpy(blob.levels.data(), bytes.data() + at.levels, entries * sizeof(float));
  for (const float level : blob.levels)
    if (!std::isfinite(level)) damaged(source, "levels");
  if (has_zero(blob.code) && blob.levels[0] != 0) damaged(source, "levels");  // padding is code 0
  if (blob.code.arithmetic == Arithmetic::kInt8Grid) {
    blob.grid_levels.resize(entries);
    std::memcpy(blob.grid_levels.data(), bytes.data() + at.grid_levels, entries * sizeof(int16_t));
    const bool is_signed = blob.code.negative_levels > 0;  // kernels hold them in 8 bits
    for (const int16_t level : blob.grid_levels)
      if (level < (is_signed ? -127 : 0) || level > (is_signed ? 127 : 255)) damaged(source, "grid levels");
    if (has_zero(blob.code) && blob.grid_levels[0] != 0) damaged(source, "grid levels");
  }
  blob.gamma.resize(static_cast<size_t>(blob.rows));
  for (size_t row = 0; row < blob.gamma.size(); ++row) {
    uint16_t half = 0;
    std::memcpy(&half, bytes.data() + at.gamma + row * sizeof(half), sizeof(half));
    if (!std::isfinite(from_float16(half))) damaged(source, "channel scales");
    blob.gamma[row] = channel_scale(half, blob.scale_exponent);
  }
  blob.codes = bytes.subspan(at.codes);
  return blob;
}

void decode_rows(const Blob& blob, std::span<const uint8_t> codes, int64_t begin, int64_t end, float* values) {
  const auto bits = static_cast<size_t>(blob.code.stored_bits);
  const auto columns = static_cast<size_t>(blob.columns);
  const unsigned mask = (1U << bits) - 1U;
  size_t at = static_cast<size_t>(begin) * columns * bits;
  for (int64_t row = begin; row < end; ++row) {
    const float gamma = blob.gamma[static_cast<size_t>(row)];
    for (size_t column = 0; column < columns; ++column, at += bits) {
      const size_t byte = at / 8;
      unsigned window = codes[byte];
      if (byte + 1 < codes.size()) window |= static_cast<unsigned>(codes[byte + 1]) << 8;
      *values++ = gamma * blob.levels[(window >> (at % 8)) & mask];
    }
  }
}

}  // namespace dnateq
