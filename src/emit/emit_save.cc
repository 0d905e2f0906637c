// Writing model.xml and model.bin so that a failure (full disk, unwritable folder) leaves neither behind.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <openvino/pass/serialize.hpp>

#include "core/atomic_file.h"
#include "dnateq/error.h"
#include "emit/emit.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

// A file under a temporary name in the folder of its final one, removed unless it was kept.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path target) : target_(std::move(target)), path_(new_file_beside(target_)) {
    stream_.open(path_, std::ios::binary | std::ios::trunc);
    if (!stream_) fail();
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (kept_) return;
    stream_.close();
    std::error_code ignored;
    fs::remove(path_, ignored);
  }

  std::ofstream& stream() { return stream_; }

  // Forces the bytes to the disk: a full one may say so only now.
  void finish() {
    stream_.close();
    if (!stream_) fail();
    const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail();
    const int failed = fsync(file);
    const int reason = errno;
    close(file);
    errno = reason;
    if (failed != 0 && reason != EINVAL) fail();
  }

  void keep() {
    std::error_code error;
    fs::rename(path_, target_, error);
    if (error) throw Error(fmt::format("'{}' cannot be written: {}", target_.string(), error.message()));
    kept_ = true;
  }

  [[noreturn]] void fail() const {
    const std::string reason = errno != 0 ? std::strerror(errno) : "the write failed";
    throw Error(fmt::format("'{}' cannot be written: {}; check the folder and the space left on its disk",
                            target_.string(), reason));
  }

 private:
  fs::path target_, path_;
  std::ofstream stream_;
  bool kept_ = false;
};

}  // namespace

void save_model_files(const std::shared_ptr<ov::Model>& model, const fs::path& directory, const std::string& stem) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw Error(fmt::format("the folder '{}' cannot be made: {}", directory.string(), error.message()));
  errno = 0;
  TemporaryFile bin(directory / (stem + ".bin")), xml(directory / (stem + ".xml"));
  try {
    ov::pass::Serialize(xml.stream(), bin.stream()).run_on_model(model);
  } catch (const std::exception& failure) {
    if (!bin.stream()) bin.fail();
    if (!xml.stream()) xml.fail();
    throw Error(fmt::format("'{}' cannot be written: {}", (directory / (stem + ".xml")).string(), failure.what()));
  }
  bin.finish();
  xml.finish();
  bin.keep();
  xml.keep();
}

}  // namespace dnateq
