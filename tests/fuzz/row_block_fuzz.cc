// Feeds arbitrary bytes to the reader of row blocks, as they are and with the CRC made right so that later checks are
// reached.
#include <cstring>
#include <vector>

#include "core/blob.h"
#include "core/row_block.h"
#include "dnateq/error.h"

namespace {

void read_all(std::span<const uint8_t> bytes) {
  try {
    const dnateq::RowBlock block = dnateq::read_row_block(bytes, "fuzz");
    for (const dnateq::RowBlock::Matrix& matrix : block.matrices) dnateq::read_blob(matrix.blob, matrix.name);
  } catch (const dnateq::Error&) {  // the one way out for bad bytes
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  read_all(bytes);
  if (size >= dnateq::kRowBlockHeaderBytes) {
    const uint32_t crc = dnateq::crc32(std::span<const uint8_t>(bytes).subspan(12));
    std::memcpy(bytes.data() + 8, &crc, sizeof(crc));
    read_all(bytes);
  }
  return 0;
}
