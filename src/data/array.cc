#include <cstring>

#include "data/samples.h"

namespace dnateq {
namespace {

template <typename Bits>
bool all_finite(std::span<const std::byte> bytes, Bits exponent) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + at, sizeof(Bits));
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

size_t size_of(DataType type) {
  switch (type) {
    case DataType::kFloat64:
    case DataType::kInt64:
    case DataType::kUint64:
      return 8;
    case DataType::kFloat32:
    case DataType::kInt32:
    case DataType::kUint32:
      return 4;
    case DataType::kFloat16:
    case DataType::kInt16:
    case DataType::kUint16:
      return 2;
    case DataType::kInt8:
    case DataType::kUint8:
    case DataType::kBool:
      return 1;
  }
  return 0;
}

const char* to_string(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "float32";
    case DataType::kFloat64:
      return "float64";
    case DataType::kFloat16:
      return "float16";
    case DataType::kInt64:
      return "int64";
    case DataType::kInt32:
      return "int32";
    case DataType::kInt16:
      return "int16";
    case DataType::kInt8:
      return "int8";
    case DataType::kUint64:
      return "uint64";
    case DataType::kUint32:
      return "uint32";
    case DataType::kUint16:
      return "uint16";
    case DataType::kUint8:
      return "uint8";
    case DataType::kBool:
      return "bool";
  }
  return "unknown";
}

bool all_finite(DataType type, std::span<const std::byte> values) {
  switch (type) {
    case DataType::kFloat16:
      return all_finite<uint16_t>(values, 0x7c00);
    case DataType::kFloat32:
      return all_finite<uint32_t>(values, 0x7f800000);
    case DataType::kFloat64:
      return all_finite<uint64_t>(values, 0x7ff0000000000000);
    default:
      return true;
  }
}

int64_t Array::elements() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

}  // namespace dnateq
