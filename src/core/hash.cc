#include "core/hash.h"

#include <fmt/format.h>

namespace dnateq {

std::string to_hex(uint64_t digest) { return fmt::format("{:016x}", digest); }

}  // namespace dnateq
