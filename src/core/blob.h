// Blobs: what our OpenVINO operations read, one u8 constant each. A blob holds a tensor's code and, for weights, the
// packed codes and channel scales, so that neither FP16 compression nor a rounding to text can touch a parameter.
//
// Layout, little-endian, no padding between sections (a constant may lie anywhere in a mapped file, so nothing is
// aligned and readers copy):
//    0  u32  magic "DNTQ"              28  u16  negative levels          72  u32  rank of the tensor's shape
//    4  u16  format version, 1 to 3    30  u16  positive levels          76  u32  1 = the shape is [columns][rows]
//    6  u16  layout: 0 code only,      32  f64  base                     80  u64  rows (output channels)
//            1 codes row by row        40  f64  alpha                    88  u64  columns (inputs per channel)
//    8  u32  CRC-32 of bytes 12 ...    48  f64  beta                     96  u64  shape[rank]
//   12  u32  reserved, 0               56  f64  grid                     ...  f32  levels[2^k], by code number
//   16  u64  size of the blob          64  i32  pow2_q                   ...  i16  grid levels[2^k] (int8-grid only)
//   24  u8   stored bits k             68  i32  scale exponent e         ...  f16  gamma[rows]       (layout 1 only)
//   25  u8   arithmetic, family, rounding (three bytes)                  ...  codes, rows x columns, packed (pack.h)
// A row's scale is gamma * 2^e. Version 1 has no e but a reserved 0, and is written wherever e is 0. Version 3 is that
// of mirrored codes (code.h), which have no zero.
// The stored levels are the definition when decoding; they are not computed again, so another libm changes nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dnateq/code.h"

namespace dnateq {

inline constexpr uint16_t kBlobVersion = 3;  // the newest that is read
inline constexpr size_t kBlobHeaderBytes = 96;

struct BlobHeader {
  TensorCode code;
  bool has_codes = false;
  int scale_exponent = 0;
  bool transposed = false;  // the tensor's shape holds [columns][rows]; the packed codes are rows x columns always
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> shape;  // of the decoded tensor
};

struct Blob : BlobHeader {
  std::vector<float> levels;         // 2^k, by code number
  std::vector<int16_t> grid_levels;  // the same as integers; int8-grid only
  std::vector<float> gamma;          // rows; times 2^scale_exponent
  std::span<const uint8_t> codes;    // packed; points into the bytes that were read
};

std::vector<uint8_t> write_code_blob(const TensorCode& code);
// `codes`: rows x columns, row-major; `gamma`: float16, one per row.
std::vector<uint8_t> write_weight_blob(const BlobHeader& header, std::span<const uint8_t> codes,
                                       std::span<const uint16_t> gamma);
int64_t weight_blob_bytes(const BlobHeader& header);

// Checks magic, version, every field and the size, but not the CRC: cheap enough for shape inference. `source` names
// the layer. Throws Error; so does read_blob, which checks the CRC as well.
BlobHeader read_blob_header(std::span<const uint8_t> bytes, const std::string& source);
Blob read_blob(std::span<const uint8_t> bytes, const std::string& source);

// gamma * level of rows [begin, end), row-major, (end - begin) x columns values. `codes` as in `blob`: passed apart so
// that a blob may outlive the bytes it was read from.
void decode_rows(const Blob& blob, std::span<const uint8_t> codes, int64_t begin, int64_t end, float* values);

uint32_t crc32(std::span<const uint8_t> bytes);

}  // namespace dnateq
