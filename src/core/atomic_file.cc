#include "core/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <random>

#include "dnateq/error.h"

namespace dnateq {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file) {
  throw Error(fmt::format("'{}' cannot be written; check the free space and the permissions", file.string()));
}

}  // namespace

std::filesystem::path new_file_beside(const std::filesystem::path& file) {
  std::random_device random;
  while (true) {
    std::filesystem::path name = file;
    name += fmt::format(".{:08x}.tmp", random());
    // Exclusive: a file or link of that name is somebody's.
    const int made = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (made >= 0) {
      close(made);
      return name;
    }
    if (errno != EEXIST) fail(file);
  }
}

void write_file_atomically(const std::filesystem::path& file, std::string_view text) {
  const std::filesystem::path temporary = new_file_beside(file);
  std::ofstream stream(temporary, std::ios::binary);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  std::error_code failed;
  if (stream) std::filesystem::rename(temporary, file, failed);
  if (!stream || failed) {
    std::filesystem::remove(temporary, failed);
    fail(file);
  }
}

void write_file_atomically(const std::filesystem::path& file, std::span<const uint8_t> bytes) {
  write_file_atomically(file, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace dnateq
