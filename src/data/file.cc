#include "data/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "dnateq/error.h"

namespace dnateq {

std::string in_quotes(const std::filesystem::path& path) { return fmt::format("'{}'", path.string()); }

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

uint64_t size_of_readable_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found)
    throw Error(fmt::format("{} does not exist; check the path", in_quotes(path)));
  if (status.type() == std::filesystem::file_type::none)
    throw Error(fmt::format("{} cannot be read ({}); check its permissions", in_quotes(path), error.message()));
  if (status.type() != std::filesystem::file_type::regular)
    throw Error(fmt::format("{} is not a regular file; give the path of a file on disk", in_quotes(path)));
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) throw Error(fmt::format("{} cannot be read ({})", in_quotes(path), error.message()));
  if (size == 0) throw Error(fmt::format("{} is empty; save or copy it again", in_quotes(path)));
  return size;
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  const uint64_t size = size_of_readable_file(path);
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw Error(fmt::format("{} cannot be opened ({}); check its permissions", in_quotes(path), std::strerror(errno)));
  std::vector<std::byte> bytes(size);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (static_cast<uint64_t>(in.gcount()) != size)
    throw Error(fmt::format("{} ended after {} of {} bytes while it was read; try again when nothing else writes it",
                            in_quotes(path), in.gcount(), size));
  return bytes;
}

void Fingerprint::add(std::span<const std::byte> bytes) { digest_ = fnv1a(bytes, digest_); }

void Fingerprint::add_text(std::string_view text) {
  add_integer(static_cast<int64_t>(text.size()));
  add(std::as_bytes(std::span(text)));
}

void Fingerprint::add_integer(int64_t value) {
  for (int shift = 0; shift < 64; shift += 8) {
    const auto byte = static_cast<std::byte>(static_cast<uint64_t>(value) >> shift);
    add(std::span(&byte, 1));
  }
}

std::string Fingerprint::hex() const { return to_hex(digest_); }

}  // namespace dnateq
