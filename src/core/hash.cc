#include "core/hash.h"

#include <fmt/format.h>

namespace dnateq {

std::string to_hex(uint64_t digest) { return fmt::format("{:016x}", digest); }

std::string first_line(const std::string& message) {
  const size_t begin = message.find_first_not_of(" \n\r\t");
  if (begin == std::string::npos) return {};
  return message.substr(begin, message.find_first_of("\r\n", begin) - begin);
}

}  // namespace dnateq
