// Files as bytes: read whole, named in error messages, hashed for fingerprints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.h"

namespace dnateq {

// The path between quotes, as every message of src/data names it.
std::string in_quotes(const std::filesystem::path& path);

// The extension in lower case, with its dot.
std::string lower_extension(const std::filesystem::path& path);

// Throws Error if `path` is missing, no regular file (a pipe would block), unreadable or empty.
uint64_t size_of_readable_file(const std::filesystem::path& path);
std::vector<std::byte> read_file(const std::filesystem::path& path);

// Tells two calibration sets apart (core/hash.h).
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes);
  // Length first, so that ("ab", "c") and ("a", "bc") differ.
  void add_text(std::string_view text);
  void add_integer(int64_t value);
  uint64_t digest() const { return digest_; }
  std::string hex() const;

 private:
  uint64_t digest_ = kFnvStart;
};

}  // namespace dnateq
