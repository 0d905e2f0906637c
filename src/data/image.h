// JPEG and PNG to 8-bit pixels, and the geometry of preprocessing.
//
// Results are those of Pillow (`Image.open(f).convert("RGB" or "L").resize(size, Image.BILINEAR)`), the tool that most
// networks were trained behind, byte for byte where both use libjpeg-turbo's default decoder.
// Non-goals: EXIF orientation, colour profiles and gamma, compositing of alpha (it is dropped), other formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;             // 3: red, green, blue; 1: gray
  std::vector<uint8_t> pixels;  // [height, width, channels]
};

// Larger images are refused: 128 megapixels take 384 MB as RGB.
inline constexpr int64_t kMaxPixels = int64_t{1} << 27;

bool is_jpeg(std::span<const std::byte> file);
bool is_png(std::span<const std::byte> file);

// `where` begins the sentence of an Error, as in "'images.tar': image 'a.jpg'".
Image decode_image(std::span<const std::byte> file, const std::string& where);
Image decode_jpeg(std::span<const std::byte> file, const std::string& where);
Image decode_png(std::span<const std::byte> file, const std::string& where);

// 3 channels to 1 by ITU-R 601 luma weights in 16-bit fixed point, 1 channel to 3 by repetition.
Image with_channels(Image image, int channels);

// Antialiased bilinear: a triangle of half-width max(1, in/out) source pixels, horizontal pass first, rounded to 8 bits
// after each pass.
Image resize_bilinear(const Image& image, int width, int height);

// Throws Error if an option is out of its range (known before any image is read).
void validate(const ImageOptions& options);

// Resize, crop, normalize: float32 [1, C, H, W] or [1, H, W, C]. Options must be valid.
Array to_tensor(Image image, const ImageOptions& options, const std::string& where);

}  // namespace dnateq
