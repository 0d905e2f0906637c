#include "data/image_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {
namespace {

class ImageFolder : public ImageFiles {
 public:
  explicit ImageFolder(std::filesystem::path folder)
      : folder_(std::move(folder)), names_(list_folder(folder_, has_image_name)) {
    if (names_.empty())
      throw Error(fmt::format("{} holds no JPEG or PNG images; put them directly into it", in_quotes(folder_)));
  }

  const std::vector<std::string>& names() const override { return names_; }
  std::vector<std::byte> read(size_t index) const override { return read_file(folder_ / names_[index]); }
  std::string where(size_t index) const override { return in_quotes(folder_ / names_[index]); }

  void add_to(Fingerprint& fingerprint) const override {
    for (size_t i = 0; i < names_.size(); ++i) {
      fingerprint.add_text(names_[i]);
      const std::vector<std::byte> bytes = read(i);
      fingerprint.add_integer(static_cast<int64_t>(bytes.size()));
      fingerprint.add(bytes);
    }
  }

 private:
  std::filesystem::path folder_;
  std::vector<std::string> names_;
};

}  // namespace

bool has_image_name(const std::filesystem::path& path) {
  const std::string extension = lower_extension(path);
  return (extension == ".jpg" || extension == ".jpeg" || extension == ".png") &&
         !path.filename().string().starts_with('.');
}

std::vector<std::string> list_folder(const std::filesystem::path& folder,
                                     bool (*wanted)(const std::filesystem::path&)) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.') || !wanted(entry->path()) || entry->is_directory(ignored)) continue;
    names.push_back(name);
  }
  if (error)
    throw Error(
        fmt::format("the folder {} cannot be read ({}); check its permissions", in_quotes(folder), error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

std::unique_ptr<ImageFiles> open_image_folder(const std::filesystem::path& folder) {
  return std::make_unique<ImageFolder>(folder);
}

}  // namespace dnateq
