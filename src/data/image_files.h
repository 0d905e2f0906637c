// The JPEG and PNG files of a folder or of a .tar archive (ustar, GNU and pax names), sorted by name.
//
// Only the index is kept; bytes are read when asked for, from several threads if need be. Other files and hidden ones
// are passed over. Non-goals: subfolders of a folder (a tar's are taken, sorted by their whole path); compressed tars.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/file.h"

namespace dnateq {

class ImageFiles {
 public:
  virtual ~ImageFiles() = default;
  virtual const std::vector<std::string>& names() const = 0;
  virtual std::vector<std::byte> read(size_t index) const = 0;
  virtual void add_to(Fingerprint& fingerprint) const = 0;
  // Begins the sentence of an Error about one image.
  virtual std::string where(size_t index) const = 0;
};

bool has_image_name(const std::filesystem::path& path);

// At least one image. Throws Error for an archive that is truncated, compressed or no tar.
std::unique_ptr<ImageFiles> open_image_folder(const std::filesystem::path& folder);
std::unique_ptr<ImageFiles> open_image_tar(const std::filesystem::path& path);

// Names, sorted, of the folder's files for which `wanted` holds and that are not hidden.
std::vector<std::string> list_folder(const std::filesystem::path& folder, bool (*wanted)(const std::filesystem::path&));

}  // namespace dnateq
