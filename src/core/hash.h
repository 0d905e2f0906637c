// FNV-1a, 64 bits: fingerprints of models, data and blobs. Not for security.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace dnateq {

inline constexpr uint64_t kFnvStart = 0xcbf29ce484222325ULL;

constexpr uint64_t fnv1a(std::span<const std::byte> bytes, uint64_t digest = kFnvStart) {
  for (const std::byte byte : bytes) digest = (digest ^ static_cast<uint64_t>(byte)) * 0x100000001b3ULL;
  return digest;
}

std::string to_hex(uint64_t digest);

}  // namespace dnateq
