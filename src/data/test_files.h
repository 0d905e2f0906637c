// Input files made in code, for the tests of src/data.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/test_error.h"
#include "data/image.h"

namespace dnateq::testing {

using Bytes = std::vector<std::byte>;

// A folder that lives as long as the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dnateq_data_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::string& name, const Bytes& bytes) const {
    std::ofstream(path_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path_ / name;
  }
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    const auto bytes = std::as_bytes(std::span(text));
    return write(name, Bytes(bytes.begin(), bytes.end()));
  }

 private:
  std::filesystem::path path_;
};

template <typename T>
Bytes bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

template <typename T>
std::vector<T> values_of(const Array& array) {
  std::vector<T> values(array.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

// `header` is the dict literal; `version` 1 to 3.
Bytes npy_with_header(const std::string& header, const Bytes& data, int version = 1);
Bytes npy(const std::string& descr, const std::string& shape, const Bytes& data, bool fortran_order = false,
          int version = 1);

enum class Packing { kStored, kDeflated };
Bytes npz(const std::vector<std::pair<std::string, Bytes>>& members, Packing packing = Packing::kStored);

// Where a zip's little-endian field of a member lies: `offset` from the n-th record with `signature` ("PK\1\2").
size_t zip_field(const Bytes& zip, const std::string& signature, size_t offset);
void put_u32(Bytes& bytes, size_t at, uint32_t value);

Bytes jpeg(const Image& image, int quality = 95);
// Four inks as Adobe stores them (255 = none).
Bytes cmyk_jpeg(int width, int height, const std::vector<uint8_t>& inks);
// `color_type` and `bit_depth` as in the PNG standard; `rows` as the file has them before filtering.
Bytes png(int width, int height, int bit_depth, int color_type, const std::vector<uint8_t>& rows);
Image plain_image(int width, int height, std::vector<uint8_t> color);

enum class TarFormat { kUstar, kGnu, kPax };
Bytes tar(const std::vector<std::pair<std::string, Bytes>>& files, TarFormat format = TarFormat::kUstar);

}  // namespace dnateq::testing
