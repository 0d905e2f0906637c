#include "data/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {
namespace {

// A file that no folder lists; where the file system cannot do that, one whose name is removed at once.
int open_nameless(const std::filesystem::path& folder) {
  const int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string name = (folder / "dnateq-samples-XXXXXX").string();
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named < 0)
    throw Error(fmt::format("no file for the samples can be made in {}: {}; set TMPDIR to another folder",
                            in_quotes(folder), std::strerror(errno)));
  unlink(name.c_str());
  return named;
}

}  // namespace

Spool::Spool(const std::filesystem::path& folder, std::string source, std::vector<std::string> inputs)
    : source_(std::move(source)), inputs_(std::move(inputs)), file_(open_nameless(folder)) {}

Spool::~Spool() { close(file_); }

void Spool::add(std::span<const View> arrays) {
  if (arrays.size() != inputs_.size())
    throw Error(fmt::format("sample {} of {} holds {} arrays, and the model has {} inputs", size(), source_,
                            arrays.size(), inputs_.size()));
  std::vector<Place> call;
  int64_t at = end_;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const View& array = arrays[i];
    if (!all_finite(array.type, array.bytes))
      throw Error(fmt::format("sample {} of {}: array '{}' holds NaN or infinity; leave it out or repair it", size(),
                              source_, inputs_[i]));
    for (size_t done = 0; done < array.bytes.size();) {
      const ssize_t wrote = pwrite(file_, array.bytes.data() + done, array.bytes.size() - done,
                                   static_cast<off_t>(at + static_cast<int64_t>(done)));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0)
        throw Error(fmt::format("the samples of {} cannot be kept on disk: {}; set TMPDIR to a folder with more space",
                                source_, wrote < 0 ? std::strerror(errno) : "nothing was written"));
      done += static_cast<size_t>(wrote);
    }
    call.push_back({array.type, array.shape, at});
    at += static_cast<int64_t>(array.bytes.size());
  }
  for (size_t i = 0; i < arrays.size(); ++i) {
    const View& array = arrays[i];
    stackable_ = stackable_ && !array.shape.empty() && array.shape[0] == 1 &&
                 (calls_.empty() || calls_[0][i].shape == array.shape);
    fingerprint_.add_text(inputs_[i]);
    fingerprint_.add_text(to_string(array.type));
    for (const int64_t dimension : array.shape) fingerprint_.add_integer(dimension);
    fingerprint_.add(array.bytes);
  }
  end_ = at;
  calls_.push_back(std::move(call));
}

std::vector<NamedArray> Spool::call(int64_t index) const {
  if (index < 0 || index >= size()) throw Error(fmt::format("{} has no call {}, only {}", source_, index, size()));
  std::vector<NamedArray> arrays;
  const std::vector<Place>& places = calls_[static_cast<size_t>(index)];
  for (size_t i = 0; i < places.size(); ++i) {
    Array array{.type = places[i].type, .shape = places[i].shape, .bytes = {}};
    array.bytes.resize(static_cast<size_t>(array.elements()) * size_of(array.type));
    for (size_t done = 0; done < array.bytes.size();) {
      const ssize_t got = pread(file_, array.bytes.data() + done, array.bytes.size() - done,
                                static_cast<off_t>(places[i].offset + static_cast<int64_t>(done)));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Error(fmt::format("the samples of {} cannot be read again: {}", source_, std::strerror(errno)));
      done += static_cast<size_t>(got);
    }
    arrays.push_back({inputs_[i], std::move(array)});
  }
  return arrays;
}

std::string Spool::fingerprint() const { return fingerprint_.hex(); }

}  // namespace dnateq
