// Feeds arbitrary bytes to the blob reader, as they are and with the CRC made right so that later checks are reached.
#include <cstring>
#include <vector>

#include "core/blob.h"
#include "dnateq/error.h"

namespace {

void read_all(std::span<const uint8_t> bytes) {
  try {
    const dnateq::Blob blob = dnateq::read_blob(bytes, "fuzz");
    std::vector<float> row(static_cast<size_t>(blob.columns));
    for (int64_t r = 0; r < blob.rows; ++r) dnateq::decode_rows(blob, blob.codes, r, r + 1, row.data());
  } catch (const dnateq::Error&) {  // the one way out for bad bytes
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  read_all(bytes);
  if (size >= dnateq::kBlobHeaderBytes) {
    const uint32_t crc = dnateq::crc32(std::span<const uint8_t>(bytes).subspan(12));
    std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
    read_all(bytes);
  }
  return 0;
}
