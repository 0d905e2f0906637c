// Writing a file so that it is either whole or not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace dnateq {

// Writes `file`.part, then renames. Throws Error naming the file where that fails; nothing stays behind.
void write_file_atomically(const std::filesystem::path& file, std::span<const uint8_t> bytes);
void write_file_atomically(const std::filesystem::path& file, std::string_view text);

}  // namespace dnateq
