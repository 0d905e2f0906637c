// Writing a file so that it is either whole or not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace dnateq {

// An empty file beside `file`, of a name that none had. Throws Error naming `file`.
std::filesystem::path new_file_beside(const std::filesystem::path& file);

// Writes a file of a new name, then renames it. Throws Error naming the file where that fails; nothing stays behind.
void write_file_atomically(const std::filesystem::path& file, std::span<const uint8_t> bytes);
void write_file_atomically(const std::filesystem::path& file, std::string_view text);

}  // namespace dnateq
