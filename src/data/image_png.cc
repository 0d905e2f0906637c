#include <fmt/format.h>
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "data/image.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr uint64_t kDeflateMaxRatio = 1032;
constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{1} << 26;  // of text and profile chunks

// libpng reports errors by a call that must not return. Everything that has to be destroyed lives in this struct,
// outside the functions that longjmp leaves.
struct PngDecoder {
  explicit PngDecoder(std::span<const std::byte> bytes) : file(bytes) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, give_up, [](png_structp, png_const_charp) {});
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  [[noreturn]] static void give_up(png_structp png, png_const_charp reason) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::snprintf(self->message, sizeof(self->message), "%s", reason);
    std::longjmp(self->escape, 1);
  }

  static void feed(png_structp png, png_bytep to, size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->file.size() - self->at) png_error(png, "truncated");
    std::memcpy(to, self->file.data() + self->at, count);
    self->at += count;
  }

  bool start() {
    if (setjmp(escape) != 0) return false;
    png_set_read_fn(png, this, feed);
    png_set_chunk_malloc_max(png, kMaxChunkBytes);
    png_read_info(png, info);
    packed_bytes = uint64_t{png_get_rowbytes(png, info)} * png_get_image_height(png, info);
    png_set_expand(png);    // palette and 1, 2, 4 bits to 8; transparency becomes alpha
    png_set_scale_16(png);  // 16 bits to 8, rounded
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }

  bool read(png_bytepp rows) {
    if (setjmp(escape) != 0) return false;
    png_read_image(png, rows);
    png_read_end(png, nullptr);
    return true;
  }

  std::span<const std::byte> file;
  size_t at = 0;
  png_structp png = nullptr;
  png_infop info = nullptr;
  uint64_t packed_bytes = 0;  // of all rows as the file has them
  std::jmp_buf escape{};
  char message[128] = {};
};

}  // namespace

Image decode_png(std::span<const std::byte> file, const std::string& where) {
  PngDecoder decoder(file);
  if (decoder.info == nullptr) throw Error(fmt::format("{} cannot be decoded; there is too little memory", where));
  const auto damaged = [&] {
    return Error(fmt::format("{} is a damaged PNG ({}); copy it again or leave it out", where, decoder.message));
  };
  if (!decoder.start()) throw damaged();
  const png_uint_32 width = png_get_image_width(decoder.png, decoder.info);
  const png_uint_32 height = png_get_image_height(decoder.png, decoder.info);
  const bool too_many = uint64_t{width} * height > static_cast<uint64_t>(kMaxPixels);
  if (too_many || decoder.packed_bytes / kDeflateMaxRatio > file.size())
    throw Error(
        fmt::format("{} declares {} x {} pixels in {} bytes, more than can be in it or be handled; save it again "
                    "at a smaller size",
                    where, width, height, file.size()));
  Image image{.width = static_cast<int>(width),
              .height = static_cast<int>(height),
              .channels = png_get_channels(decoder.png, decoder.info),
              .pixels = {}};
  const size_t row_bytes = png_get_rowbytes(decoder.png, decoder.info);
  image.pixels.resize(row_bytes * height);
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + y * row_bytes;
  if (!decoder.read(rows.data())) throw damaged();
  return image;
}

}  // namespace dnateq
