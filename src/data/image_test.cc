#include "data/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "data/test_files.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using testing::cmyk_jpeg;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::error_of;
using ::testing::HasSubstr;
using testing::jpeg;
using testing::plain_image;
using testing::png;
using testing::values_of;

constexpr int kGray = 0;
constexpr int kRgb = 2;
constexpr int kPalette = 3;
constexpr int kGrayAlpha = 4;
constexpr int kRgba = 6;
const std::string kWhere = "'a.tar': image 'b'";

std::vector<uint8_t> decoded(const Bytes& file) { return decode_image(file, kWhere).pixels; }

// 7 x 5 pixels of no regularity.
Image pattern() {
  Image image{.width = 7, .height = 5, .channels = 1, .pixels = {}};
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 7; ++x) image.pixels.push_back(static_cast<uint8_t>((37 * x * x + 91 * y * x + 13 * y) % 256));
  return image;
}

TEST(DecodeImage, ReadsColourGrayAndInksOfJpeg) {
  const Image color = decode_image(jpeg(plain_image(20, 9, {200, 100, 50})), kWhere);
  EXPECT_EQ(color.width, 20);
  EXPECT_EQ(color.height, 9);
  ASSERT_EQ(color.channels, 3);
  EXPECT_NEAR(color.pixels[0], 200, 2);
  EXPECT_NEAR(color.pixels[1], 100, 2);
  EXPECT_NEAR(color.pixels[2], 50, 2);
  const Image gray = decode_image(jpeg(plain_image(3, 3, {77})), kWhere);
  EXPECT_EQ(gray.channels, 1);
  EXPECT_NEAR(gray.pixels[4], 77, 1);
  // No ink but half the black: 255 * 128 / 255.
  EXPECT_THAT(decoded(cmyk_jpeg(1, 1, {255, 0, 255, 128})), ElementsAre(128, 0, 128));
}

TEST(DecodeImage, ReadsEveryKindOfPng) {
  EXPECT_THAT(decoded(png(1, 1, 8, kRgb, {1, 2, 3})), ElementsAre(1, 2, 3));
  EXPECT_THAT(decoded(png(1, 1, 8, kRgba, {1, 2, 3, 0})), ElementsAre(1, 2, 3));
  EXPECT_THAT(decoded(png(2, 1, 8, kGray, {9, 255})), ElementsAre(9, 255));
  EXPECT_THAT(decoded(png(1, 1, 8, kGrayAlpha, {9, 100})), ElementsAre(9));
  EXPECT_THAT(decoded(png(3, 1, 1, kGray, {0b10100000})), ElementsAre(255, 0, 255));
  EXPECT_THAT(decoded(png(2, 1, 1, kPalette, {0b01000000})), ElementsAre(10, 20, 30, 200, 100, 50));
  EXPECT_THAT(decoded(png(2, 1, 16, kGray, {0x80, 0x7f, 0x12, 0xff})), ElementsAre(128, 19));  // rounded, not cut
}

TEST(DecodeImage, NamesTheImageAndWhatIsWrong) {
  const auto error = [](const Bytes& file) { return error_of([&] { decode_image(file, kWhere); }); };
  EXPECT_EQ(error({}), "'a.tar': image 'b' is empty; copy it again or leave it out");
  EXPECT_THAT(error(testing::bytes_of<char>({'G', 'I', 'F', '8', '9', 'a'})), HasSubstr("neither a JPEG nor a PNG"));
  Bytes changed = png(4, 4, 8, kRgb, std::vector<uint8_t>(48));
  changed[changed.size() - 25] ^= std::byte{1};
  EXPECT_THAT(error(changed), AllOf(HasSubstr(kWhere), HasSubstr("damaged PNG")));
}

TEST(DecodeImage, RefusesEveryTruncation) {
  for (const Bytes& whole : {jpeg(plain_image(17, 17, {200, 100, 50})), png(4, 4, 8, kRgb, std::vector<uint8_t>(48))})
    for (size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_THAT(error_of([&] { decode_image(cut, kWhere); }), HasSubstr(kWhere)) << size;
    }
}

TEST(DecodeImage, SurvivesEveryChangedByte) {
  for (const Bytes& whole :
       {jpeg(plain_image(17, 17, {200, 100, 50})), png(4, 4, 8, kPalette, std::vector<uint8_t>(16))})
    for (size_t at = 0; at < whole.size(); ++at)
      for (const int change : {0x01, 0x10, 0x80, 0xff}) {
        Bytes changed = whole;
        changed[at] ^= static_cast<std::byte>(change);
        try {
          decode_image(changed, kWhere);
        } catch (const Error&) {
        }
      }
}

TEST(DecodeImage, RefusesSizesThatTheFileCannotHold) {
  Bytes file = jpeg(plain_image(8, 8, {200, 100, 50}));
  for (size_t i = 0; i + 9 < file.size(); ++i)
    if (file[i] == std::byte{0xff} &&
        file[i + 1] == std::byte{0xc0})  // start of frame: length, precision, height, width
      for (size_t k = 5; k < 9; ++k) file[i + k] = std::byte{0xf0};
  EXPECT_THAT(error_of([&] { decode_image(file, kWhere); }), HasSubstr("declares 61680 x 61680 pixels"));
}

TEST(Resize, EqualsPillowsBilinear) {
  EXPECT_THAT(resize_bilinear(pattern(), 3, 2).pixels, ElementsAre(82, 113, 112, 116, 148, 140));
  EXPECT_THAT(
      resize_bilinear(pattern(), 4, 9).pixels,
      ElementsAreArray({23, 106, 95, 98,  39,  105, 116, 102, 66,  103, 150, 109, 93,  102, 125, 110, 120, 101,
                        86, 109, 93, 145, 121, 116, 76,  180, 147, 133, 103, 179, 136, 194, 119, 178, 130, 230}));
  const Image gray = pattern();
  Image color{.width = 7, .height = 5, .channels = 3, .pixels = {}};
  for (size_t i = 0; i < gray.pixels.size(); ++i) {
    const uint8_t mirrored = gray.pixels[(4 - i / 7) * 7 + i % 7];
    color.pixels.insert(color.pixels.end(), {gray.pixels[i], static_cast<uint8_t>(255 - gray.pixels[i]), mirrored});
  }
  EXPECT_THAT(resize_bilinear(color, 2, 2).pixels,
              ElementsAre(94, 161, 131, 113, 142, 140, 131, 124, 94, 140, 115, 113));
}

TEST(Resize, KeepsPlainColoursAtEverySize) {
  for (const int side : {1, 2, 3, 7, 31, 64, 200})
    EXPECT_THAT(resize_bilinear(plain_image(31, 7, {255}), side, side).pixels, Each(255)) << side;
}

TEST(WithChannels, WeighsColoursAsPillowDoes) {
  const auto gray = [](std::vector<uint8_t> rgb) {
    return with_channels(plain_image(1, 1, std::move(rgb)), 1).pixels[0];
  };
  EXPECT_EQ(gray({255, 0, 0}), 76);
  EXPECT_EQ(gray({0, 255, 0}), 150);
  EXPECT_EQ(gray({0, 0, 255}), 29);
  EXPECT_EQ(gray({12, 200, 99}), 132);
  EXPECT_EQ(gray({255, 255, 255}), 255);
  EXPECT_THAT(with_channels(plain_image(1, 1, {9}), 3).pixels, ElementsAre(9, 9, 9));
}

TEST(ToTensor, NormalizesAndOrdersChannels) {
  Image image{.width = 2, .height = 1, .channels = 3, .pixels = {10, 20, 30, 40, 50, 60}};
  ImageOptions options{.mean = {10, 20, 30}, .std = {1, 2, 4}};
  Array tensor = to_tensor(image, options, kWhere);
  EXPECT_EQ(tensor.type, DataType::kFloat32);
  EXPECT_THAT(tensor.shape, ElementsAre(1, 3, 1, 2));
  EXPECT_THAT(values_of<float>(tensor), ElementsAre(0, 30, 0, 15, 0, 7.5F));
  options.layout = "nhwc";
  tensor = to_tensor(image, options, kWhere);
  EXPECT_THAT(tensor.shape, ElementsAre(1, 1, 2, 3));
  EXPECT_THAT(values_of<float>(tensor), ElementsAre(0, 0, 0, 30, 15, 7.5F));
  options.color = "bgr";  // mean and std follow the order of the output's channels
  EXPECT_THAT(values_of<float>(to_tensor(image, options, kWhere)), ElementsAre(20, 0, -5, 50, 15, 2.5F));
  options = {.mean = {1}, .std = {2}, .color = "gray"};
  EXPECT_THAT(to_tensor(image, options, kWhere).shape, ElementsAre(1, 1, 1, 2));
}

TEST(ToTensor, ResizesTheShorterSideAndCropsTheCentre) {
  EXPECT_THAT(to_tensor(plain_image(31, 17, {5}), {.resize = 8}, kWhere).shape, ElementsAre(1, 3, 8, 14));
  EXPECT_THAT(to_tensor(plain_image(17, 31, {5}), {.resize = 8, .crop = 6}, kWhere).shape, ElementsAre(1, 3, 6, 6));
  Image ramp{.width = 5, .height = 4, .channels = 1, .pixels = {}};
  for (uint8_t i = 0; i < 20; ++i) ramp.pixels.push_back(i);
  EXPECT_THAT(values_of<float>(to_tensor(ramp, {.crop = 2, .color = "gray"}, kWhere)), ElementsAre(7, 8, 12, 13));
}

TEST(ToTensor, RefusesCropsLargerThanTheImage) {
  EXPECT_EQ(error_of([] { to_tensor(plain_image(31, 17, {5}), {.crop = 18}, kWhere); }),
            "'a.tar': image 'b' has 31 x 17 pixels, too few to crop 18 x 18; give resize=18 or more");
  EXPECT_THAT(error_of([] { to_tensor(plain_image(60000, 1, {5}), {.resize = 16384}, kWhere); }),
              HasSubstr("too large"));
}

TEST(ImageOptions, AreCheckedBeforeAnyImageIsRead) {
  const auto error = [](const ImageOptions& options) { return error_of([&] { validate(options); }); };
  EXPECT_THAT(error({.mean = {1, 2}}), HasSubstr("mean has 2 values"));
  EXPECT_THAT(error({.std = {}}), HasSubstr("std has 0 values"));
  EXPECT_THAT(error({.std = {1, 0, 1}}), HasSubstr("std holds 0"));
  EXPECT_THAT(error({.mean = {std::numeric_limits<float>::quiet_NaN()}}), HasSubstr("mean holds nan"));
  EXPECT_THAT(error({.mean = {1, 2, 3}, .color = "gray"}), HasSubstr("give one, or 1 for gray"));
  EXPECT_THAT(error({.resize = -1}), HasSubstr("resize=-1"));
  EXPECT_THAT(error({.crop = 1000000}), HasSubstr("crop=1000000"));
  EXPECT_THAT(error({.color = "lab"}), HasSubstr("'lab'"));
  EXPECT_THAT(error({.layout = "hwc"}), HasSubstr("'hwc'"));
  EXPECT_NO_THROW(validate({.color = "gray"}));  // the defaults have three equal values
}

}  // namespace
}  // namespace dnateq
