#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "data/image_files.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr uint64_t kBlockBytes = 512;

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::filesystem::path& path) : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (number_ < 0)
      throw Error(
          fmt::format("{} cannot be opened ({}); check its permissions", in_quotes(path), std::strerror(errno)));
  }
  ~FileDescriptor() { close(number_); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

struct FreeArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

// libarchive over a part of the file that begins at `start`. Reads carry their position, so that several readers share
// one descriptor.
class TarReader {
 public:
  TarReader(int descriptor, uint64_t start, uint64_t end, std::string where)
      : descriptor_(descriptor), position_(start), end_(end), where_(std::move(where)), archive_(archive_read_new()) {
    if (archive_ == nullptr) throw Error(fmt::format("{} cannot be read; there is too little memory", where_));
    archive_read_support_format_tar(archive_.get());
    archive_read_set_read_callback(archive_.get(), on_read);
    archive_read_set_skip_callback(archive_.get(), on_skip);
    archive_read_set_callback_data(archive_.get(), this);
    if (archive_read_open1(archive_.get()) < ARCHIVE_WARN) fail();
  }
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // False at the end of the archive.
  bool next() {
    const int status = archive_read_next_header(archive_.get(), &entry_);
    if (status == ARCHIVE_EOF) return false;
    if (status < ARCHIVE_WARN) fail();
    return true;
  }

  // Of the current entry, from `start` on; any extended headers before it are part of it.
  uint64_t header_position() const { return static_cast<uint64_t>(archive_read_header_position(archive_.get())); }

  bool is_file() const {
    return archive_entry_filetype(entry_) == AE_IFREG && archive_entry_hardlink(entry_) == nullptr &&
           archive_entry_hardlink_utf8(entry_) == nullptr;
  }

  std::string name() const {  // either form may be missing, as the locale goes
    const char* utf8 = archive_entry_pathname_utf8(entry_);
    const char* raw = utf8 != nullptr ? utf8 : archive_entry_pathname(entry_);
    return raw == nullptr ? "" : raw;
  }

  uint64_t size() const { return static_cast<uint64_t>(std::max<int64_t>(archive_entry_size(entry_), 0)); }

  std::vector<std::byte> data() {
    std::vector<std::byte> bytes(size());
    size_t filled = 0;
    while (filled < bytes.size()) {
      const la_ssize_t got = archive_read_data(archive_.get(), bytes.data() + filled, bytes.size() - filled);
      if (got < 0) fail();
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    if (filled < bytes.size()) throw Error(fmt::format("{} is truncated inside '{}'; copy it again", where_, name()));
    return bytes;
  }

 private:
  [[noreturn]] void fail() const {
    const char* reason = archive_error_string(archive_.get());
    throw Error(fmt::format("{} is not an intact, uncompressed .tar archive ({}); copy or pack it again", where_,
                            reason == nullptr ? "unreadable" : reason));
  }

  static la_ssize_t on_read(archive* archive, void* self_pointer, const void** buffer) {
    auto* self = static_cast<TarReader*>(self_pointer);
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(self->buffer_.size(), self->end_ - self->position_));
    const ssize_t got = pread(self->descriptor_, self->buffer_.data(), wanted, static_cast<off_t>(self->position_));
    if (got < 0) {
      archive_set_error(archive, errno, "%s", std::strerror(errno));
      return ARCHIVE_FATAL;
    }
    self->position_ += static_cast<uint64_t>(got);
    *buffer = self->buffer_.data();
    return got;
  }

  static la_int64_t on_skip(archive*, void* self_pointer, la_int64_t request) {
    auto* self = static_cast<TarReader*>(self_pointer);
    const uint64_t step =
        std::min(static_cast<uint64_t>(std::max<la_int64_t>(request, 0)), self->end_ - self->position_);
    self->position_ += step;
    return static_cast<la_int64_t>(step);
  }

  int descriptor_;
  uint64_t position_;
  uint64_t end_;
  std::string where_;
  std::unique_ptr<archive, FreeArchive> archive_;
  archive_entry* entry_ = nullptr;
  std::array<std::byte, 64 * kBlockBytes> buffer_;
};

class ImageTar : public ImageFiles {
 public:
  explicit ImageTar(const std::filesystem::path& path)
      : where_(in_quotes(path)), bytes_(size_of_readable_file(path)), descriptor_(path) {
    std::map<std::string, uint64_t> positions;  // a later entry of the same name replaces the earlier, as in tar itself
    TarReader reader(descriptor_.number(), 0, bytes_, where_);
    while (reader.next()) {
      const uint64_t position = reader.header_position();
      const std::string name = reader.name();
      if (reader.size() > bytes_ - std::min(bytes_, position + kBlockBytes))
        throw Error(fmt::format("{} is truncated inside '{}'; copy it again", where_, name));
      if (reader.is_file() && has_image_name(name)) positions.insert_or_assign(name, position);
    }
    if (positions.empty()) throw Error(fmt::format("{} holds no JPEG or PNG images; pack some with tar -cf", where_));
    for (const auto& [name, position] : positions) {
      names_.push_back(name);
      positions_.push_back(position);
    }
  }

  const std::vector<std::string>& names() const override { return names_; }
  std::string where(size_t index) const override { return fmt::format("{}: image '{}'", where_, names_[index]); }

  std::vector<std::byte> read(size_t index) const override {
    TarReader reader(descriptor_.number(), positions_[index], bytes_, where_);
    if (!reader.next() || reader.name() != names_[index] || reader.size() > bytes_)
      throw Error(fmt::format("{} changed while it was read; try again when nothing else writes it", where_));
    return reader.data();
  }

  void add_to(Fingerprint& fingerprint) const override {
    std::vector<std::byte> buffer(size_t{1} << 20);
    uint64_t at = 0;
    while (at < bytes_) {
      const ssize_t got = pread(descriptor_.number(), buffer.data(), buffer.size(), static_cast<off_t>(at));
      if (got <= 0) throw Error(fmt::format("{} cannot be read to its end; copy it again", where_));
      fingerprint.add(std::span(buffer).first(static_cast<size_t>(got)));
      at += static_cast<uint64_t>(got);
    }
  }

 private:
  std::string where_;
  uint64_t bytes_;
  FileDescriptor descriptor_;
  std::vector<std::string> names_;
  std::vector<uint64_t> positions_;  // of the entry's first header
};

}  // namespace

std::unique_ptr<ImageFiles> open_image_tar(const std::filesystem::path& path) {
  return std::make_unique<ImageTar>(path);
}

}  // namespace dnateq
