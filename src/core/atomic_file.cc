#include "core/atomic_file.h"

#include <fmt/format.h>

#include <fstream>

#include "dnateq/error.h"

namespace dnateq {

void write_file_atomically(const std::filesystem::path& file, std::string_view text) {
  const std::filesystem::path temporary = file.string() + ".part";
  std::error_code failed;
  std::filesystem::remove(temporary, failed);  // a link would lead elsewhere
  std::ofstream stream(temporary, std::ios::binary);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  failed.clear();
  if (stream) std::filesystem::rename(temporary, file, failed);
  if (!stream || failed) {
    std::filesystem::remove(temporary, failed);
    throw Error(fmt::format("'{}' cannot be written; check the free space and the permissions", file.string()));
  }
}

void write_file_atomically(const std::filesystem::path& file, std::span<const uint8_t> bytes) {
  write_file_atomically(file, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace dnateq
