#include "data/scratch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "data/file.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

// Where the file system knows no files without a name, the name is removed at once.
int open_nameless(const std::filesystem::path& folder) {
  const int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string name = (folder / "dnateq-scratch-XXXXXX").string();
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named < 0)
    throw Error(fmt::format("no temporary file can be made in {}: {}; set TMPDIR to another folder", in_quotes(folder),
                            std::strerror(errno)));
  unlink(name.c_str());
  return named;
}

// `some` transfers a part and returns its size, 0 or -1.
template <typename Byte, typename Some>
int transfer_all(int64_t offset, std::span<Byte> bytes, const Some& some) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count =
        some(bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + static_cast<int64_t>(done)));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? errno : EIO;
    done += static_cast<size_t>(count);
  }
  return 0;
}

}  // namespace

ScratchFile::ScratchFile(const std::filesystem::path& folder) : file_(open_nameless(folder)) {}

ScratchFile::~ScratchFile() { close(file_); }

int ScratchFile::write(int64_t offset, std::span<const std::byte> bytes) {
  return transfer_all(offset, bytes,
                      [this](auto* from, size_t size, off_t at) { return pwrite(file_, from, size, at); });
}

int ScratchFile::read(int64_t offset, std::span<std::byte> bytes) const {
  return transfer_all(offset, bytes, [this](auto* to, size_t size, off_t at) { return pread(file_, to, size, at); });
}

std::shared_ptr<const std::byte> ScratchFile::map(size_t bytes) const {
  void* address = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file_, 0);
  if (address == MAP_FAILED) return nullptr;
  return {static_cast<const std::byte*>(address),
          [bytes](const std::byte* mapped) { munmap(const_cast<std::byte*>(mapped), bytes); }};
}

}  // namespace dnateq
