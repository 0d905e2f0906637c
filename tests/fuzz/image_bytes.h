// Any bytes as an image: pixels of its size, and a tensor of them, or one Error.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "data/image.h"
#include "dnateq/error.h"

namespace dnateq::fuzz {

inline int check_image(Image (*decode)(std::span<const std::byte>, const std::string&), const uint8_t* data,
                       size_t size) {
  try {
    Image image = decode(std::as_bytes(std::span(data, size)), "'fuzz'");
    const auto pixels = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
    if (pixels == 0 || image.pixels.size() != pixels * static_cast<size_t>(image.channels)) std::abort();
    if (pixels > 1 << 16) return 0;  // what follows is slow and sees no bytes of the file
    ImageOptions options;
    options.resize = options.crop = 4;
    options.color = size % 2 == 0 ? "rgb" : "gray";
    const Array tensor = to_tensor(std::move(image), options, "'fuzz'");
    if (tensor.bytes.size() != (size % 2 == 0 ? 3 : 1) * 4 * 4 * sizeof(float)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace dnateq::fuzz
