#include "data/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr int kMaxSide = 16384;  // of a resized or cropped image

// One output pixel is a weighted sum of `weights.size()` source pixels from `first` on. Weights are integers of
// 2^22 = 1.0, which leaves 8 bits of pixel value and 2 bits of headroom in an int32_t.
constexpr int kWeightBits = 22;

struct Taps {
  int first = 0;
  std::vector<int32_t> weights;
};

std::vector<Taps> triangle_taps(int in, int out) {
  const double scale = static_cast<double>(in) / out;
  const double half_width = std::max(scale, 1.0);
  std::vector<Taps> all(static_cast<size_t>(out));
  std::vector<double> weights;
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(std::floor(center - half_width + 0.5)));
    const int end = std::min(in, static_cast<int>(std::floor(center + half_width + 0.5)));
    weights.clear();
    double sum = 0;
    for (int x = first; x < end; ++x) {
      weights.push_back(std::max(0.0, 1.0 - std::abs((x - center + 0.5) * (1.0 / half_width))));
      sum += weights.back();
    }
    Taps& taps = all[static_cast<size_t>(i)];
    taps.first = first;
    for (const double weight : weights)
      taps.weights.push_back(static_cast<int32_t>(std::floor(weight / sum * (1 << kWeightBits) + 0.5)));
  }
  return all;
}

uint8_t rounded_pixel(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

Image resize_width(const Image& image, int width) {
  Image out{.width = width, .height = image.height, .channels = image.channels, .pixels = {}};
  const auto channels = static_cast<size_t>(image.channels);
  const size_t in_row = static_cast<size_t>(image.width) * channels;
  out.pixels.resize(static_cast<size_t>(width) * static_cast<size_t>(image.height) * channels);
  const std::vector<Taps> taps = triangle_taps(image.width, width);
  uint8_t* to = out.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row = image.pixels.data() + static_cast<size_t>(y) * in_row;
    for (const Taps& tap : taps) {
      for (size_t c = 0; c < channels; ++c) {
        const uint8_t* from = row + static_cast<size_t>(tap.first) * channels + c;
        int32_t sum = kHalf;
        for (size_t k = 0; k < tap.weights.size(); ++k) sum += tap.weights[k] * from[k * channels];
        *to++ = rounded_pixel(sum);
      }
    }
  }
  return out;
}

Image resize_height(const Image& image, int height) {
  Image out{.width = image.width, .height = height, .channels = image.channels, .pixels = {}};
  const size_t row = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  out.pixels.resize(row * static_cast<size_t>(height));
  const std::vector<Taps> taps = triangle_taps(image.height, height);
  std::vector<int32_t> sums(row);
  uint8_t* to = out.pixels.data();
  for (const Taps& tap : taps) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (size_t k = 0; k < tap.weights.size(); ++k) {
      const uint8_t* from = image.pixels.data() + (static_cast<size_t>(tap.first) + k) * row;
      const int32_t weight = tap.weights[k];
      for (size_t x = 0; x < row; ++x) sums[x] += weight * from[x];
    }
    for (const int32_t sum : sums) *to++ = rounded_pixel(sum);
  }
  return out;
}

// The shorter side becomes `side`, the longer keeps the proportion (rounded down).
Image resize_shorter_side(const Image& image, int side, const std::string& where) {
  const int64_t shorter = std::min(image.width, image.height);
  const int64_t longer = std::max(image.width, image.height) * int64_t{side} / shorter;
  if (longer * side > kMaxPixels)
    throw Error(fmt::format("{} of {} x {} pixels would become too large with its shorter side at {}; crop it by hand",
                            where, image.width, image.height, side));
  const bool wide = image.width > image.height;
  return resize_bilinear(image, wide ? static_cast<int>(longer) : side, wide ? side : static_cast<int>(longer));
}

Image crop_center(const Image& image, int side, const std::string& where) {
  if (image.width < side || image.height < side)
    throw Error(fmt::format("{} has {} x {} pixels, too few to crop {} x {}; give {} or more", where, image.width,
                            image.height, side, side, option("resize", std::to_string(side))));
  // Half pixels go to the even neighbour, as torchvision's CenterCrop does.
  const auto left = static_cast<size_t>(std::nearbyint((image.width - side) / 2.0));
  const auto top = static_cast<size_t>(std::nearbyint((image.height - side) / 2.0));
  Image out{.width = side, .height = side, .channels = image.channels, .pixels = {}};
  const auto channels = static_cast<size_t>(image.channels);
  const size_t row = static_cast<size_t>(side) * channels;
  out.pixels.resize(row * static_cast<size_t>(side));
  for (size_t y = 0; y < static_cast<size_t>(side); ++y)
    std::memcpy(out.pixels.data() + y * row,
                image.pixels.data() + ((top + y) * static_cast<size_t>(image.width) + left) * channels, row);
  return out;
}

float of_channel(const std::vector<float>& values, size_t channel) {
  return values.size() == 1 ? values[0] : values[channel];
}

// True if every channel may take `values`: one a channel, one for all, or one repeated.
bool fits_channels(const std::vector<float>& values, size_t channels) {
  if (values.size() == 1 || values.size() == channels) return true;
  return values.size() == 3 && values[0] == values[1] && values[1] == values[2];
}

}  // namespace

bool is_jpeg(std::span<const std::byte> file) {
  return file.size() >= 3 && file[0] == std::byte{0xff} && file[1] == std::byte{0xd8} && file[2] == std::byte{0xff};
}

bool is_png(std::span<const std::byte> file) {
  static constexpr unsigned char kSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  return file.size() >= sizeof(kSignature) && std::memcmp(file.data(), kSignature, sizeof(kSignature)) == 0;
}

Image decode_image(std::span<const std::byte> file, const std::string& where) {
  if (file.empty()) throw Error(fmt::format("{} is empty; copy it again or leave it out", where));
  if (is_jpeg(file)) return decode_jpeg(file, where);
  if (is_png(file)) return decode_png(file, where);
  throw Error(fmt::format("{} is neither a JPEG nor a PNG; convert it or leave it out", where));
}

Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  Image out{.width = image.width, .height = image.height, .channels = channels, .pixels = {}};
  out.pixels.resize(count * static_cast<size_t>(channels));
  for (size_t i = 0; i < count; ++i) {
    if (channels == 3) {
      std::fill_n(out.pixels.begin() + static_cast<ptrdiff_t>(3 * i), 3, image.pixels[i]);
    } else {
      const uint8_t* rgb = image.pixels.data() + 3 * i;  // 0.299, 0.587, 0.114
      out.pixels[i] = static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
    }
  }
  return out;
}

Image resize_bilinear(const Image& image, int width, int height) {
  Image out = image.width == width ? image : resize_width(image, width);
  return out.height == height ? out : resize_height(out, height);
}

void validate(const ImageOptions& options) {
  if (options.color != "rgb" && options.color != "bgr" && options.color != "gray")
    throw Error(fmt::format("the colour order '{}' of images is unknown; give rgb, bgr or gray", options.color));
  if (options.layout != "nchw" && options.layout != "nhwc")
    throw Error(fmt::format("the layout '{}' of images is unknown; give nchw or nhwc", options.layout));
  for (const auto& [name, side] : {std::pair{"resize", options.resize}, std::pair{"crop", options.crop}})
    if (side < 0 || side > kMaxSide)
      throw Error(
          fmt::format("{} is out of range; give 0 (keep) to {} pixels", option(name, std::to_string(side)), kMaxSide));
  const size_t channels = options.color == "gray" ? 1 : 3;
  for (const auto& [name, values] : {std::pair{"mean", &options.mean}, std::pair{"std", &options.std}}) {
    if (!fits_channels(*values, channels))
      throw Error(fmt::format("{} has {} values; give one, or {} for {} images", option(name), values->size(), channels,
                              options.color));
    for (const float value : *values)
      if (!std::isfinite(value)) throw Error(fmt::format("{} holds {}; give finite numbers", option(name), value));
  }
  for (const float value : options.std)
    if (!std::isnormal(value))
      throw Error(fmt::format("{} holds {}; it divides, so give positive numbers", option("std"), value));
}

Array to_tensor(Image image, const ImageOptions& options, const std::string& where) {
  image = with_channels(std::move(image), options.color == "gray" ? 1 : 3);
  if (options.resize > 0) image = resize_shorter_side(image, options.resize, where);
  if (options.crop > 0) image = crop_center(image, options.crop, where);
  const auto channels = static_cast<size_t>(image.channels);
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  const bool planes = options.layout == "nchw";
  Array tensor{.type = DataType::kFloat32, .shape = {1, image.height, image.width}, .bytes = {}};
  tensor.shape.insert(planes ? tensor.shape.begin() + 1 : tensor.shape.end(), image.channels);
  tensor.bytes.resize(count * channels * sizeof(float));
  for (size_t c = 0; c < channels; ++c) {
    const size_t source = options.color == "bgr" ? channels - 1 - c : c;
    const float mean = of_channel(options.mean, c);
    const float divisor = of_channel(options.std, c);
    for (size_t i = 0; i < count; ++i) {
      const float value = (static_cast<float>(image.pixels[i * channels + source]) - mean) / divisor;
      const size_t at = planes ? c * count + i : i * channels + c;
      std::memcpy(tensor.bytes.data() + at * sizeof(float), &value, sizeof(float));
    }
  }
  return tensor;
}

}  // namespace dnateq
