#include <archive.h>
#include <archive_entry.h>
#include <png.h>
#include <zip.h>

#include <algorithm>
#include <cstdio>
// clang-format off: jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>
// clang-format on

#include "data/test_files.h"

namespace dnateq::testing {

Bytes npy_with_header(const std::string& header, const Bytes& data, int version) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  file += header;
  const auto bytes = std::as_bytes(std::span(file));
  Bytes all(bytes.begin(), bytes.end());
  all.insert(all.end(), data.begin(), data.end());
  return all;
}

Bytes npy(const std::string& descr, const std::string& shape, const Bytes& data, bool fortran_order, int version) {
  return npy_with_header("{'descr': '" + descr + "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                             ", 'shape': " + shape + ", }   \n",
                         data, version);
}

Bytes npz(const std::vector<std::pair<std::string, Bytes>>& members, Packing packing) {
  const TempFolder folder;
  const std::string path = (folder / "made.npz").string();
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  for (const auto& [name, bytes] : members) {
    zip_source_t* source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(zip, (name + ".npy").c_str(), source, 0);
    zip_set_file_compression(zip, static_cast<zip_uint64_t>(index),
                             packing == Packing::kStored ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0);
  }
  if (zip_close(zip) != 0) throw std::runtime_error("no zip was written");
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

size_t zip_field(const Bytes& zip, const std::string& signature, size_t offset) {
  const auto wanted = std::as_bytes(std::span(signature));
  const auto found = std::search(zip.begin(), zip.end(), wanted.begin(), wanted.end());
  return static_cast<size_t>(found - zip.begin()) + offset;
}

void put_u32(Bytes& bytes, size_t at, uint32_t value) { std::memcpy(bytes.data() + at, &value, sizeof(value)); }

namespace {

Bytes encode_jpeg(int width, int height, int channels, J_COLOR_SPACE space, const uint8_t* pixels, int quality) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &buffer, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = channels;
  jpeg.in_color_space = space;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<uint8_t*>(pixels) + jpeg.next_scanline * static_cast<size_t>(width * channels);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const auto bytes = std::as_bytes(std::span(buffer, size));
  Bytes file(bytes.begin(), bytes.end());
  free(buffer);
  return file;
}

}  // namespace

Bytes jpeg(const Image& image, int quality) {
  return encode_jpeg(image.width, image.height, image.channels, image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB,
                     image.pixels.data(), quality);
}

Bytes cmyk_jpeg(int width, int height, const std::vector<uint8_t>& inks) {
  return encode_jpeg(width, height, 4, JCS_CMYK, inks.data(), 100);
}

Bytes png(int width, int height, int bit_depth, int color_type, const std::vector<uint8_t>& rows) {
  Bytes file;
  png_structp writer = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(writer);
  png_set_write_fn(
      writer, &file,
      [](png_structp self, png_bytep data, size_t size) {
        const auto bytes = std::as_bytes(std::span(data, size));
        auto* out = static_cast<Bytes*>(png_get_io_ptr(self));
        out->insert(out->end(), bytes.begin(), bytes.end());
      },
      nullptr);
  png_set_IHDR(writer, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bit_depth, color_type,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (color_type == PNG_COLOR_TYPE_PALETTE) {
    const png_color colors[] = {{10, 20, 30}, {200, 100, 50}};
    png_set_PLTE(writer, info, colors, 2);
  }
  png_write_info(writer, info);
  const size_t row_bytes = rows.size() / static_cast<size_t>(height);
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) png_write_row(writer, rows.data() + y * row_bytes);
  png_write_end(writer, info);
  png_destroy_write_struct(&writer, &info);
  return file;
}

Image plain_image(int width, int height, std::vector<uint8_t> color) {
  Image image{.width = width, .height = height, .channels = static_cast<int>(color.size()), .pixels = {}};
  for (int i = 0; i < width * height; ++i) image.pixels.insert(image.pixels.end(), color.begin(), color.end());
  return image;
}

Bytes tar(const std::vector<std::pair<std::string, Bytes>>& files, TarFormat format) {
  Bytes out(size_t{1} << 20);
  size_t used = 0;
  archive* writer = archive_write_new();
  if (format == TarFormat::kUstar) archive_write_set_format_ustar(writer);
  if (format == TarFormat::kGnu) archive_write_set_format_gnutar(writer);
  if (format == TarFormat::kPax) archive_write_set_format_pax(writer);
  archive_write_set_bytes_in_last_block(writer, 1);
  archive_write_open_memory(writer, out.data(), out.size(), &used);
  for (const auto& [name, bytes] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(writer, entry);
    archive_write_data(writer, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

}  // namespace dnateq::testing
