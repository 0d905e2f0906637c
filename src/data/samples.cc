#include "data/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <mutex>
#include <utility>

#include "data/file.h"
#include "data/image.h"
#include "data/image_files.h"
#include "data/npy.h"
#include "data/npz.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

[[noreturn]] void fail_not_finite(const std::string& where) {
  throw Error(fmt::format("{} holds NaN or infinity; leave it out or repair it", where));
}

std::string array_in_words(const std::string& source, const std::string& name) {
  return name.empty() ? source : fmt::format("{}: array '{}'", source, name);
}

// What every source does in the same way.
class SourceBase : public Samples {
 public:
  explicit SourceBase(std::filesystem::path path) : path_(std::move(path)) {}

  std::string source() const final { return path_.string(); }

  std::vector<NamedArray> call(int64_t index) const final {
    if (index < 0 || index >= size())
      throw Error(fmt::format("{} has no call {}, only {}", in_quotes(path_), index, size()));
    return read_call(static_cast<size_t>(index));
  }

  std::string fingerprint() const final {
    const std::scoped_lock lock(mutex_);
    if (fingerprint_.empty()) {
      Fingerprint hash;
      add_to(hash);
      fingerprint_ = hash.hex();
    }
    return fingerprint_;
  }

 protected:
  virtual std::vector<NamedArray> read_call(size_t index) const = 0;
  virtual void add_to(Fingerprint& hash) const = 0;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  mutable std::mutex mutex_;
  mutable std::string fingerprint_;
};

// .npy and .npz: arrays that hold all samples along their first axis.
class ArraySamples : public SourceBase {
 public:
  ArraySamples(std::filesystem::path path, std::vector<NamedArray> arrays)
      : SourceBase(std::move(path)), arrays_(std::move(arrays)) {
    for (const auto& [name, array] : arrays_) {
      const std::string where = array_in_words(in_quotes(this->path()), name);
      if (array.shape.empty())
        throw Error(fmt::format("{} is a single number; give it a first axis of samples", where));
      if (array.shape[0] == 0) throw Error(fmt::format("{} holds no samples; save at least one", where));
      const auto& [first_name, first] = arrays_.front();
      if (array.shape[0] != first.shape[0])
        throw Error(
            fmt::format("{}: arrays '{}' and '{}' hold {} and {} samples (first axis); save the model's inputs "
                        "alone and of equal length, or one call a file in a folder",
                        in_quotes(this->path()), first_name, name, first.shape[0], array.shape[0]));
    }
    if (std::all_of(arrays_.begin(), arrays_.end(), [](const auto& named) { return named.array.bytes.empty(); }))
      throw Error(fmt::format("{} holds arrays without elements; save at least one sample", in_quotes(this->path())));
  }

  int64_t size() const override { return arrays_.front().array.shape[0]; }
  bool stackable() const override { return true; }

  std::vector<std::string> inputs() const override {
    std::vector<std::string> names;
    for (const auto& named : arrays_) names.push_back(named.name);
    return names;
  }

 protected:
  std::vector<NamedArray> read_call(size_t index) const override {
    std::vector<NamedArray> call;
    for (const auto& [name, array] : arrays_) {
      Array slice{.type = array.type, .shape = array.shape, .bytes = {}};
      slice.shape[0] = 1;
      const size_t bytes = static_cast<size_t>(slice.elements()) * size_of(slice.type);
      const auto begin = array.bytes.begin() + static_cast<ptrdiff_t>(index * bytes);
      slice.bytes.assign(begin, begin + static_cast<ptrdiff_t>(bytes));
      if (!all_finite(slice.type, slice.bytes))
        fail_not_finite(
            fmt::format("{}{}sample {}", array_in_words(in_quotes(path()), name), name.empty() ? ": " : ", ", index));
      call.push_back({name, std::move(slice)});
    }
    return call;
  }

  void add_to(Fingerprint& hash) const override {
    hash.add_text("arrays");
    for (const auto& [name, array] : arrays_) {
      hash.add_text(name);
      hash.add_text(to_string(array.type));
      hash.add_integer(static_cast<int64_t>(array.shape.size()));
      for (const int64_t extent : array.shape) hash.add_integer(extent);
      hash.add(array.bytes);
    }
  }

 private:
  std::vector<NamedArray> arrays_;
};

bool is_npz_name(const std::filesystem::path& path) { return lower_extension(path) == ".npz"; }

// A folder of .npz: each file is one call, taken as it is.
class NpzFolderSamples : public SourceBase {
 public:
  NpzFolderSamples(std::filesystem::path folder, std::vector<std::string> only_inputs)
      : SourceBase(std::move(folder)), files_(list_folder(path(), is_npz_name)), inputs_(std::move(only_inputs)) {
    if (inputs_.empty()) inputs_ = NpzArchive(path() / files_.front()).names();
    for (const std::string& file : files_) refuse_missing(file);
  }

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  bool stackable() const override { return false; }
  std::vector<std::string> inputs() const override { return inputs_; }

 protected:
  std::vector<NamedArray> read_call(size_t index) const override {
    const std::filesystem::path file = path() / files_[index];
    std::vector<NamedArray> call = NpzArchive(file).read(inputs_);
    bool empty = true;
    for (const auto& [name, array] : call) {
      empty = empty && array.bytes.empty();
      if (!all_finite(array.type, array.bytes)) fail_not_finite(array_in_words(in_quotes(file), name));
    }
    if (empty) throw Error(fmt::format("{} holds arrays without elements; leave it out", in_quotes(file)));
    return call;
  }

  void add_to(Fingerprint& hash) const override {
    hash.add_text("npz folder");
    hash.add_integer(static_cast<int64_t>(inputs_.size()));
    for (const std::string& name : inputs_) hash.add_text(name);
    for (const std::string& name : files_) {
      hash.add_text(name);
      const std::vector<std::byte> bytes = read_file(path() / name);
      hash.add_integer(static_cast<int64_t>(bytes.size()));
      hash.add(bytes);
    }
  }

 private:
  // Only the directory of the archive is read here.
  void refuse_missing(const std::string& file) const {
    const NpzArchive archive(path() / file);
    for (const std::string& name : inputs_)
      if (std::find(archive.names().begin(), archive.names().end(), name) == archive.names().end())
        throw Error(
            fmt::format("{} has no array '{}', which the other calls or the model have; save every call with the "
                        "same arrays",
                        in_quotes(path() / file), name));
  }

  std::vector<std::string> files_;
  std::vector<std::string> inputs_;
};

class ImageSamples : public SourceBase {
 public:
  ImageSamples(std::filesystem::path path, std::unique_ptr<ImageFiles> files, const ImageOptions& options)
      : SourceBase(std::move(path)), files_(std::move(files)), options_(options) {
    validate(options_);
  }

  int64_t size() const override { return static_cast<int64_t>(files_->names().size()); }
  bool stackable() const override { return true; }
  std::vector<std::string> inputs() const override { return {""}; }
  uint64_t sample_hash(int64_t index) const override {
    return fnv1a(files_->read(static_cast<size_t>(index)));  // as good as the pixels, and much faster
  }

 protected:
  std::vector<NamedArray> read_call(size_t index) const override {
    const std::string where = files_->where(index);
    return {{"", to_tensor(decode_image(files_->read(index), where), options_, where)}};
  }

  void add_to(Fingerprint& hash) const override {
    hash.add_text("images");
    for (const std::vector<float>* values : {&options_.mean, &options_.std}) {
      hash.add_integer(static_cast<int64_t>(values->size()));
      hash.add(std::as_bytes(std::span(*values)));
    }
    hash.add_integer(options_.resize);
    hash.add_integer(options_.crop);
    hash.add_text(options_.color);
    hash.add_text(options_.layout);
    files_->add_to(hash);
  }

 private:
  std::unique_ptr<ImageFiles> files_;
  ImageOptions options_;
};

enum class Kind { kNpy, kNpz, kTar, kNpzFolder, kImageFolder };

Kind kind_of_folder(const std::filesystem::path& path) {
  const bool calls = !list_folder(path, is_npz_name).empty();
  const bool images = !list_folder(path, has_image_name).empty();
  if (calls && images)
    throw Error(
        fmt::format("the folder {} holds both .npz files and images; give each its own folder", in_quotes(path)));
  if (!calls && !images)
    throw Error(
        fmt::format("the folder {} holds no .npz, JPEG or PNG files; put them directly into it", in_quotes(path)));
  return calls ? Kind::kNpzFolder : Kind::kImageFolder;
}

// The extension decides where there is a known one, so that a damaged file is reported as what it is meant to be.
Kind kind_of(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return kind_of_folder(path);
  size_of_readable_file(path);
  const std::string extension = lower_extension(path);
  if (extension == ".npy") return Kind::kNpy;
  if (extension == ".npz") return Kind::kNpz;
  if (extension == ".tar") return Kind::kTar;
  char head[262] = {};
  std::ifstream(path, std::ios::binary).read(head, sizeof(head));
  const auto bytes = std::as_bytes(std::span(head));
  if (has_npy_magic(bytes)) return Kind::kNpy;
  if (std::memcmp(head, "PK\3\4", 4) == 0) return Kind::kNpz;
  if (std::memcmp(head + 257, "ustar", 5) == 0) return Kind::kTar;
  if (is_jpeg(bytes) || is_png(bytes))
    throw Error(fmt::format("{} is a single image; give the folder or .tar that holds the images", in_quotes(path)));
  throw Error(
      fmt::format("{} is no data that can be read; give a .npz, .npy, a folder of .npz, or a folder or "
                  "uncompressed .tar of JPEG or PNG images",
                  in_quotes(path)));
}

}  // namespace

uint64_t Samples::sample_hash(int64_t index) const {
  Fingerprint hash;
  for (const auto& [name, array] : call(index)) {
    hash.add_text(to_string(array.type));
    hash.add_integer(static_cast<int64_t>(array.shape.size()));
    for (const int64_t extent : array.shape) hash.add_integer(extent);
    hash.add(array.bytes);
  }
  return hash.digest();
}

std::unique_ptr<Samples> open_samples(const std::filesystem::path& path, const ImageOptions& images,
                                      const std::vector<std::string>& only_inputs) {
  switch (kind_of(path)) {
    case Kind::kNpy: {
      std::vector<NamedArray> arrays;
      arrays.push_back({"", parse_npy(read_file(path), in_quotes(path))});
      return std::make_unique<ArraySamples>(path, std::move(arrays));
    }
    case Kind::kNpz:
      return std::make_unique<ArraySamples>(path, NpzArchive(path).read(only_inputs));
    case Kind::kNpzFolder:
      return std::make_unique<NpzFolderSamples>(path, only_inputs);
    case Kind::kImageFolder:
      return std::make_unique<ImageSamples>(path, open_image_folder(path), images);
    case Kind::kTar:
      return std::make_unique<ImageSamples>(path, open_image_tar(path), images);
  }
  throw Error(fmt::format("{} is no data that can be read", in_quotes(path)));
}

}  // namespace dnateq
