// Room on disk for what need not lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace dnateq {

// A file that no folder lists: it goes with this object, or the process. Different places may be read and written by
// several threads at once.
class ScratchFile {
 public:
  // Throws Error if there can be no file in `folder`.
  explicit ScratchFile(const std::filesystem::path& folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  // All of the bytes. Return 0, or errno (ENOSPC: the disk is full).
  int write(int64_t offset, std::span<const std::byte> bytes);
  int read(int64_t offset, std::span<std::byte> bytes) const;
  // The file's first bytes as memory, to be read only, which outlives this object; null if that cannot be.
  std::shared_ptr<const std::byte> map(size_t bytes) const;

 private:
  int file_;
};

}  // namespace dnateq
