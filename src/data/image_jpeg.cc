#include <fmt/format.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
// clang-format off: jpeglib.h needs <cstdio> before it, jerror.h needs jpeglib.h.
#include <jerror.h>
#include <jpeglib.h>
// clang-format on

#include "data/image.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

// A blank block costs at least one bit of DC difference, so one byte describes at most 8 blocks of 64 pixels; chroma
// subsampling cannot double that, as luma blocks cost the same.
constexpr int64_t kMaxPixelsPerByte = 1024;
constexpr long kMaxDecoderBytes = 1L << 30;  // a progressive image keeps all its coefficients
constexpr int kMaxScans = 500;               // progressive images have about 10; each scan costs a pass over all blocks

// libjpeg reports errors by a call that must not return. Everything that has to be destroyed lives in this struct,
// outside the functions that longjmp leaves.
struct JpegDecoder {
  JpegDecoder() {
    jpeg.err = jpeg_std_error(&errors);
    errors.error_exit = [](j_common_ptr common) { give_up(common); };
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level >= 0 || harmless(common->err->msg_code)) return;
      give_up(common);
    };
    progress.progress_monitor = [](j_common_ptr common) {
      if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number <= kMaxScans) return;
      auto* self = static_cast<JpegDecoder*>(common->client_data);
      std::snprintf(self->message, sizeof(self->message), "more than %d scans", kMaxScans);
      std::longjmp(self->escape, 1);
    };
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&jpeg); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // Warnings that leave every pixel intact. The others mean lost image data.
  static bool harmless(int code) {
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
           code == JWRN_BOGUS_ICC || code == JWRN_NOT_SEQUENTIAL;
  }

  [[noreturn]] static void give_up(j_common_ptr common) {
    auto* self = static_cast<JpegDecoder*>(common->client_data);
    common->err->format_message(common, self->message);
    std::longjmp(self->escape, 1);
  }

  bool start(std::span<const std::byte> file) {
    if (setjmp(escape) != 0) return false;
    jpeg.client_data = this;  // kept by the next line, which may fail
    jpeg_create_decompress(&jpeg);
    jpeg.progress = &progress;
    jpeg.mem->max_memory_to_use = kMaxDecoderBytes;
    jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), static_cast<unsigned long>(file.size()));
    jpeg_read_header(&jpeg, TRUE);
    const bool four_inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
    jpeg.out_color_space = jpeg.num_components == 1 ? JCS_GRAYSCALE : four_inks ? JCS_CMYK : JCS_RGB;
    return true;
  }

  bool read(uint8_t* pixels, size_t row_bytes) {
    if (setjmp(escape) != 0) return false;
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) {
      JSAMPROW row = pixels + jpeg.output_scanline * row_bytes;
      jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    return true;
  }

  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX] = {};
};

// Adobe writes inks inverted, and so does everything else that writes CMYK JPEGs: 255 is no ink.
std::vector<uint8_t> rgb_from_inks(const std::vector<uint8_t>& inks) {
  std::vector<uint8_t> rgb(inks.size() / 4 * 3);
  for (size_t i = 0; i < inks.size() / 4; ++i) {
    const int key = inks[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const int black = 255 - inks[4 * i + c];  // key - round(black * key / 255)
      rgb[3 * i + c] = static_cast<uint8_t>(key - (2 * black * key + 255) / 510);
    }
  }
  return rgb;
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> file, const std::string& where) {
  JpegDecoder decoder;
  const auto damaged = [&] {
    return Error(fmt::format("{} is a damaged JPEG ({}); copy it again or leave it out", where, decoder.message));
  };
  if (!decoder.start(file)) throw damaged();
  const jpeg_decompress_struct& jpeg = decoder.jpeg;
  const int64_t pixels = int64_t{jpeg.image_width} * jpeg.image_height;
  if (pixels > std::min(kMaxPixels, static_cast<int64_t>(file.size()) * kMaxPixelsPerByte))
    throw Error(
        fmt::format("{} declares {} x {} pixels in {} bytes, more than can be in it or be handled; save it again "
                    "at a smaller size",
                    where, jpeg.image_width, jpeg.image_height, file.size()));
  Image image{.width = static_cast<int>(jpeg.image_width),
              .height = static_cast<int>(jpeg.image_height),
              .channels = jpeg.out_color_space == JCS_GRAYSCALE ? 1 : 3,
              .pixels = {}};
  const bool inks = jpeg.out_color_space == JCS_CMYK;
  const size_t row_bytes = jpeg.image_width * static_cast<size_t>(inks ? 4 : image.channels);
  image.pixels.resize(row_bytes * jpeg.image_height);
  if (!decoder.read(image.pixels.data(), row_bytes)) throw damaged();
  if (inks) image.pixels = rgb_from_inks(image.pixels);
  return image;
}

}  // namespace dnateq
