#include "data/npz.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "data/file.h"
#include "data/npy.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr std::string_view kSuffix = ".npy";
constexpr uint64_t kAlwaysAllowedBytes = uint64_t{1} << 30;
constexpr uint64_t kAllowedRatio = 200;
constexpr uint64_t kDeflateMaxRatio = 1032;
constexpr size_t kFirstReadBytes = size_t{1} << 16;

std::string list_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 12;
  const auto end = names.begin() + static_cast<ptrdiff_t>(std::min(names.size(), kShown));
  return fmt::format("'{}'{}", fmt::join(names.begin(), end, "', '"), names.size() > kShown ? ", ..." : "");
}

struct CloseMember {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

struct NpzArchive::Zip {
  ~Zip() {
    if (handle != nullptr) zip_discard(handle);
  }

  void open(zip_source_t* source, uint64_t size_in_bytes) {
    archive_bytes = size_in_bytes;
    zip_error_t error;
    zip_error_init(&error);
    handle = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (handle == nullptr) {
      const std::string reason = zip_error_strerror(&error);
      zip_error_fini(&error);
      zip_source_free(source);
      throw Error(fmt::format("{} is not a readable .npz archive ({}); copy it again or save it with numpy.savez",
                              where, reason));
    }
    zip_error_fini(&error);
    index();
  }

  void index() {
    const zip_int64_t entries = zip_get_num_entries(handle, 0);
    for (zip_int64_t i = 0; i < entries; ++i) {
      const char* raw = zip_get_name(handle, static_cast<zip_uint64_t>(i), 0);
      const std::string_view name = raw == nullptr ? "" : raw;
      if (!name.ends_with(kSuffix)) continue;
      names.emplace_back(name.substr(0, name.size() - kSuffix.size()));
      if (!entry_of.emplace(names.back(), static_cast<zip_uint64_t>(i)).second)
        throw Error(fmt::format("{} holds two arrays named '{}'; save it again with numpy.savez", where, names.back()));
    }
    if (names.empty()) throw Error(fmt::format("{} holds no arrays; save some with numpy.savez", where));
  }

  // What the directory says of a member, checked as far as possible without unpacking it.
  zip_stat_t checked_stat(const std::string& name, const std::string& array) const {
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(handle, entry_of.at(name), 0, &stat) != 0 || (stat.valid & kNeeded) != kNeeded)
      throw Error(fmt::format("{} has a damaged directory entry; copy or save it again", array));
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE)
      throw Error(fmt::format("{} is encrypted; save it again with numpy.savez", array));
    if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
      throw Error(fmt::format("{} is compressed with zip method {}; save it with numpy.savez or numpy.savez_compressed",
                              array, stat.comp_method));
    const bool stored = stat.comp_method == ZIP_CM_STORE;
    const bool impossible =
        stored ? stat.size != stat.comp_size : stat.size / kDeflateMaxRatio > stat.comp_size + kDeflateMaxRatio;
    if (stat.comp_size > archive_bytes || impossible)
      throw Error(
          fmt::format("{} declares {} bytes packed into {}, which its archive of {} bytes cannot hold; copy or "
                      "save it again",
                      array, stat.size, stat.comp_size, archive_bytes));
    return stat;
  }

  Array read(const std::string& name) const {
    const std::string array = array_in_words(name);
    const zip_stat_t stat = checked_stat(name, array);
    const std::unique_ptr<zip_file_t, CloseMember> file(zip_fopen_index(handle, entry_of.at(name), 0));
    if (file == nullptr)
      throw Error(fmt::format("{} cannot be unpacked ({}); copy or save it again", array, zip_strerror(handle)));
    std::vector<std::byte> bytes;
    size_t filled = 0;
    while (true) {  // one byte more than declared is asked for, which makes libzip verify the checksum
      if (filled == bytes.size())
        bytes.resize(std::min(static_cast<size_t>(stat.size) + 1, std::max(kFirstReadBytes, 2 * filled)));
      const zip_int64_t got = zip_fread(file.get(), bytes.data() + filled, bytes.size() - filled);
      if (got < 0)
        throw Error(fmt::format("{} is damaged ({}); copy or save it again", array, zip_file_strerror(file.get())));
      if (got == 0) break;
      filled += static_cast<size_t>(got);
      if (filled > stat.size)
        throw Error(fmt::format("{} unpacks to more than the {} bytes that its archive declares; save it again", array,
                                stat.size));
    }
    if (filled != stat.size)
      throw Error(fmt::format("{} is truncated: {} of {} bytes; copy or save it again", array, filled, stat.size));
    bytes.resize(filled);
    return parse_npy(std::move(bytes), array);
  }

  std::string array_in_words(const std::string& name) const { return fmt::format("{}: array '{}'", where, name); }

  std::string where;
  uint64_t archive_bytes = 0;
  zip_t* handle = nullptr;
  std::vector<std::string> names;
  std::unordered_map<std::string, zip_uint64_t> entry_of;
};

NpzArchive::NpzArchive(const std::filesystem::path& path) : zip_(std::make_unique<Zip>()) {
  zip_->where = in_quotes(path);
  const uint64_t size = size_of_readable_file(path);
  zip_source_t* source = zip_source_file_create(path.c_str(), 0, -1, nullptr);
  if (source == nullptr) throw Error(fmt::format("{} cannot be opened; check its permissions", zip_->where));
  zip_->open(source, size);
}

NpzArchive::NpzArchive(std::span<const std::byte> bytes, const std::string& name) : zip_(std::make_unique<Zip>()) {
  zip_->where = in_quotes(name);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, nullptr);
  if (source == nullptr) throw Error(fmt::format("{} cannot be opened", zip_->where));
  zip_->open(source, bytes.size());
}

NpzArchive::~NpzArchive() = default;

const std::vector<std::string>& NpzArchive::names() const { return zip_->names; }

std::vector<NamedArray> NpzArchive::read(const std::vector<std::string>& wanted) {
  const std::vector<std::string>& chosen = wanted.empty() ? zip_->names : wanted;
  const uint64_t limit = std::max(kAlwaysAllowedBytes, kAllowedRatio * zip_->archive_bytes);
  uint64_t total = 0;
  for (const std::string& name : chosen) {
    if (!zip_->entry_of.contains(name))
      throw Error(fmt::format("{} has no array '{}', only {}; name its arrays as the model's inputs", zip_->where, name,
                              list_of(zip_->names)));
    const uint64_t size = zip_->checked_stat(name, zip_->array_in_words(name)).size;
    total = size > limit - total ? limit + 1 : total + size;
    if (total > limit)
      throw Error(
          fmt::format("{} would unpack to more than {} bytes from {}; if that is meant, save it uncompressed with "
                      "numpy.savez",
                      zip_->where, limit, zip_->archive_bytes));
  }
  std::vector<NamedArray> arrays;
  arrays.reserve(chosen.size());
  for (const std::string& name : chosen) arrays.push_back({name, zip_->read(name)});
  return arrays;
}

}  // namespace dnateq
