#include "data/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "data/test_files.h"

namespace dnateq {
namespace {

using testing::Bytes;
using testing::bytes_of;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::jpeg;
using testing::npy;
using testing::npz;
using testing::plain_image;
using testing::png;
using ::testing::StartsWith;
using testing::tar;
using testing::TarFormat;
using testing::TempFolder;
using testing::values_of;

Bytes floats(const std::string& shape, const std::vector<float>& values) { return npy("<f4", shape, bytes_of(values)); }

Bytes gray_png(uint8_t value) { return png(2, 2, 8, 0, std::vector<uint8_t>(4, value)); }

float first_value(const Samples& samples, int64_t index) {
  return values_of<float>(samples.call(index).at(0).array).at(0);
}

TEST(OpenSamples, TakesEachRowOfAnNpyAsACall) {
  const TempFolder folder;
  const auto path = folder.write("x.npy", floats("(3, 2)", {1, 2, 3, 4, 5, 6}));
  const auto samples = open_samples(path);
  EXPECT_EQ(samples->size(), 3);
  EXPECT_TRUE(samples->stackable());
  EXPECT_EQ(samples->source(), path.string());
  EXPECT_THAT(samples->inputs(), ElementsAre(""));
  const auto call = samples->call(1);
  ASSERT_EQ(call.size(), 1U);
  EXPECT_EQ(call[0].name, "");
  EXPECT_THAT(call[0].array.shape, ElementsAre(1, 2));
  EXPECT_THAT(values_of<float>(call[0].array), ElementsAre(3, 4));
  EXPECT_THAT(error_of([&] { samples->call(3); }), HasSubstr("no call 3"));
  EXPECT_THAT(error_of([&] { samples->call(-1); }), HasSubstr("no call -1"));
}

TEST(OpenSamples, TakesTheRowsOfAllArraysOfAnNpz) {
  const TempFolder folder;
  const auto path = folder.write("d.npz", npz({{"ids", npy("<i8", "(2, 1)", bytes_of<int64_t>({7, 8}))},
                                               {"past", npy("<f4", "(2, 4, 0, 8)", {})}}));
  const auto samples = open_samples(path);
  EXPECT_EQ(samples->size(), 2);
  EXPECT_THAT(samples->inputs(), ElementsAre("ids", "past"));
  const auto call = samples->call(1);
  EXPECT_THAT(values_of<int64_t>(call[0].array), ElementsAre(8));
  EXPECT_THAT(call[1].array.shape, ElementsAre(1, 4, 0, 8));
}

TEST(OpenSamples, RestrictsAnNpzToTheGivenInputs) {
  const TempFolder folder;
  const auto path =
      folder.write("d.npz", npz({{"x", floats("(2, 1)", {1, 2})}, {"labels", floats("(3,)", {1, 2, 3})}}));
  EXPECT_EQ(
      error_of([&] { open_samples(path); }),
      "'" + path.string() +
          "': arrays 'x' and 'labels' hold 2 and 3 samples (first axis); save the model's inputs alone and of equal "
          "length, or one call a file in a folder");
  const auto samples = open_samples(path, {}, {"x"});
  EXPECT_THAT(samples->inputs(), ElementsAre("x"));
  EXPECT_EQ(samples->size(), 2);
  EXPECT_THAT(error_of([&] { open_samples(path, {}, {"y"}); }), HasSubstr("no array 'y', only 'x', 'labels'"));
}

TEST(OpenSamples, NamesFileArrayAndSampleOfNonFiniteNumbers) {
  const TempFolder folder;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const double infinity = -std::numeric_limits<double>::infinity();
  auto path = folder.write("d.npz", npz({{"x", floats("(3, 2)", {1, 2, 3, nan, 5, 6})}}));
  auto samples = open_samples(path);
  EXPECT_NO_THROW(samples->call(0));
  EXPECT_EQ(error_of([&] { samples->call(1); }),
            "'" + path.string() + "': array 'x', sample 1 holds NaN or infinity; leave it out or repair it");
  EXPECT_NO_THROW(samples->call(2));
  path = folder.write("x.npy", npy("<f8", "(2,)", bytes_of<double>({1, infinity})));
  EXPECT_EQ(error_of([&] { open_samples(path)->call(1); }),
            "'" + path.string() + "': sample 1 holds NaN or infinity; leave it out or repair it");
  path = folder.write("h.npy", npy("<f2", "(2,)", bytes_of<uint16_t>({0x7bff, 0x7c00})));
  EXPECT_NO_THROW(open_samples(path)->call(0));
  EXPECT_THAT(error_of([&] { open_samples(path)->call(1); }), HasSubstr("sample 1"));
}

TEST(OpenSamples, RefusesDataWithoutSamples) {
  const TempFolder folder;
  const auto error = [&](const Bytes& array) { return error_of([&] { open_samples(folder.write("x.npy", array)); }); };
  EXPECT_THAT(error(floats("()", {1})), HasSubstr("single number"));
  EXPECT_THAT(error(floats("(0, 3)", {})), HasSubstr("no samples"));
  EXPECT_THAT(error(floats("(1000000000000, 0)", {})), HasSubstr("without elements"));
}

TEST(OpenSamples, TakesEachNpzOfAFolderAsOneCall) {
  const TempFolder folder;
  folder.write("b.npz", npz({{"x", floats("(1, 3)", {1, 2, 3})}, {"past", floats("(1, 0)", {})}}));
  folder.write("a.npz", npz({{"past", floats("(1, 1)", {9})}, {"x", floats("(1, 1)", {7})}, {"y", floats("()", {1})}}));
  folder.write("notes.txt", "passed over");
  const auto samples = open_samples(folder.path(), {}, {"x", "past"});
  EXPECT_EQ(samples->size(), 2);
  EXPECT_FALSE(samples->stackable());
  EXPECT_THAT(samples->inputs(), ElementsAre("x", "past"));
  EXPECT_THAT(values_of<float>(samples->call(0)[0].array), ElementsAre(7));
  EXPECT_THAT(samples->call(1)[0].array.shape, ElementsAre(1, 3));
  // Without a choice all calls must have the arrays of the first.
  EXPECT_EQ(error_of([&] { open_samples(folder.path()); }),
            "'" + (folder / "b.npz").string() +
                "' has no array 'y', which the other calls or the model have; save every call with the same arrays");
  folder.write("c.npz", npz({{"x", floats("(1,)", {INFINITY})}, {"past", floats("(1,)", {1})}}));
  EXPECT_EQ(error_of([&] {
              open_samples(folder.path(), {}, {"x", "past"})->call(2);
            }),
            "'" + (folder / "c.npz").string() + "': array 'x' holds NaN or infinity; leave it out or repair it");
}

TEST(OpenSamples, ReadsImagesOfAFolderInTheOrderOfTheirNames) {
  const TempFolder folder;
  folder.write("b.png", gray_png(2));
  folder.write("a.PNG", gray_png(1));
  folder.write("c.jpeg", jpeg(plain_image(4, 4, {200})));
  folder.write(".hidden.png", "not read");
  folder.write("readme.txt", "passed over");
  const auto samples = open_samples(folder.path());
  ASSERT_EQ(samples->size(), 3);
  EXPECT_TRUE(samples->stackable());
  EXPECT_THAT(samples->call(0)[0].array.shape, ElementsAre(1, 3, 2, 2));
  EXPECT_EQ(first_value(*samples, 0), 1);
  EXPECT_EQ(first_value(*samples, 1), 2);
  EXPECT_NEAR(first_value(*samples, 2), 200, 1);
  folder.write("b.png", "damaged");
  EXPECT_THAT(error_of([&] { samples->call(1); }), HasSubstr("b.png' is neither a JPEG nor a PNG"));
}

TEST(OpenSamples, ReadsTarsOfEveryFormat) {
  const TempFolder folder;
  const std::string deep = std::string(120, 'd') + "/" + std::string(150, 'n');
  for (const TarFormat format : {TarFormat::kUstar, TarFormat::kGnu, TarFormat::kPax}) {
    const bool long_names = format != TarFormat::kUstar;
    const auto path = folder.write("i.tar", tar({{"z.png", gray_png(3)},
                                                 {"readme", Bytes(700)},
                                                 {long_names ? deep + ".png" : "d.png", gray_png(1)},
                                                 {long_names ? deep + "\xc3\xa9.png" : "e.png", gray_png(2)}},
                                                format));
    const auto samples = open_samples(path);
    ASSERT_EQ(samples->size(), 3);
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(first_value(*samples, i), static_cast<float>(i + 1));
  }
}

TEST(OpenSamples, TakesTheLastOfEqualNamesInATar) {
  const TempFolder folder;
  const auto samples = open_samples(folder.write("i.tar", tar({{"a.png", gray_png(1)}, {"a.png", gray_png(2)}})));
  ASSERT_EQ(samples->size(), 1);
  EXPECT_EQ(first_value(*samples, 0), 2);
}

TEST(OpenSamples, RefusesDamagedTars) {
  const TempFolder folder;
  const Bytes whole = tar({{"a.png", gray_png(1)}, {"b.png", Bytes(3000)}});
  for (size_t size = 1; size < 3 * 512 + 3000; size += 97) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(error_of([&] { open_samples(folder.write("i.tar", cut)); }), HasSubstr("i.tar'")) << size;
  }
  EXPECT_THAT(error_of([&] { open_samples(folder.write("i.tar", Bytes(2048))); }), HasSubstr("holds no JPEG or PNG"));
  EXPECT_THAT(error_of([&] { open_samples(folder.write("i.tar", std::string(2048, 'x'))); }),
              HasSubstr("not an intact, uncompressed .tar"));
  EXPECT_THAT(error_of([&] {
                open_samples(folder.write("i.tar", tar({{"a.png", {}}})))->call(0);
              }),
              HasSubstr("i.tar': image 'a.png' is empty"));
  for (size_t at = 0; at < 1024; ++at) {
    Bytes changed = whole;
    changed[at] ^= std::byte{0x11};
    try {
      open_samples(folder.write("i.tar", changed))->call(0);
    } catch (const Error&) {
    }
  }
}

TEST(OpenSamples, SaysWhatIsWrongWithThePath) {
  const TempFolder folder;
  const auto error = [&](const std::filesystem::path& path) { return error_of([&] { open_samples(path); }); };
  EXPECT_EQ(error("/nowhere/x.npz"), "'/nowhere/x.npz' does not exist; check the path");
  EXPECT_THAT(error(folder.write("x.npz", "")), HasSubstr("x.npz' is empty"));
  EXPECT_THAT(error(folder.write("x.npz", "no zip at all")), HasSubstr("x.npz' is not a readable .npz archive"));
  EXPECT_THAT(error(folder.write("x.npy", "no array at all")), HasSubstr("x.npy' is not a NumPy array"));
  EXPECT_THAT(error(folder.write("model.onnx", "protobuf")), HasSubstr("is no data that can be read"));
  EXPECT_THAT(error(folder.write("one.png", gray_png(1))), HasSubstr("is a single image"));
  EXPECT_THAT(error("/dev/null"), HasSubstr("is not a regular file"));
  const TempFolder empty;
  EXPECT_THAT(error(empty.path()), HasSubstr("holds no .npz, JPEG or PNG files"));
  folder.write("x.npz", npz({{"x", floats("(1,)", {1})}}));
  EXPECT_THAT(error(folder.path()), HasSubstr("holds both .npz files and images"));
  EXPECT_THAT(error_of([&] {
                open_samples(folder.write("i.tar", tar({{"a.png", gray_png(1)}})), {.color = "lab"});
              }),
              HasSubstr("'lab'"));
}

TEST(OpenSamples, RecognizesContentWithoutAnExtension) {
  const TempFolder folder;
  EXPECT_EQ(open_samples(folder.write("a", floats("(2,)", {1, 2})))->size(), 2);
  EXPECT_EQ(open_samples(folder.write("b", npz({{"x", floats("(2,)", {1, 2})}})))->size(), 2);
  EXPECT_EQ(open_samples(folder.write("c", tar({{"a.png", gray_png(1)}})))->size(), 1);
}

TEST(Samples, FingerprintsFollowContentAndOptionsOnly) {
  const TempFolder folder;
  const TempFolder other;
  const auto of = [](const std::filesystem::path& path, const ImageOptions& options = {},
                     const std::vector<std::string>& only = {}) {
    return open_samples(path, options, only)->fingerprint();
  };
  const Bytes x = floats("(2,)", {1, 2});
  const Bytes y = floats("(2,)", {1, 3});
  const std::string one = of(folder.write("a.npz", npz({{"x", x}, {"y", y}})));
  EXPECT_EQ(one.size(), 16U);
  EXPECT_EQ(one, of(other.write("b.npz", npz({{"x", x}, {"y", y}}, testing::Packing::kDeflated))));
  EXPECT_NE(one, of(other.write("b.npz", npz({{"x", y}, {"y", x}}))));
  EXPECT_NE(one, of(folder / "a.npz", {}, {"x"}));
  EXPECT_NE(of(folder.path()), of(folder.path(), {}, {"x"}));
  const auto images = other.write("i.tar", tar({{"a.png", gray_png(1)}}));
  EXPECT_EQ(of(images), of(images));
  EXPECT_NE(of(images), of(images, {.mean = {1}}));
  EXPECT_NE(of(images), of(images, {.crop = 1}));
  EXPECT_NE(of(images), of(images, {.color = "bgr"}));
  EXPECT_NE(of(images), of(other.write("j.tar", tar({{"a.png", gray_png(2)}}))));
}

TEST(Samples, MayBeReadFromSeveralThreads) {
  const TempFolder folder;
  std::vector<std::pair<std::string, Bytes>> files;
  for (int i = 0; i < 64; ++i) files.emplace_back(std::to_string(100 + i) + ".png", gray_png(static_cast<uint8_t>(i)));
  const auto samples = open_samples(folder.write("i.tar", tar(files)));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  std::vector<std::string> prints(4);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 64; ++i) wrong[t] += first_value(*samples, i) != static_cast<float>(i);
      prints[t] = samples->fingerprint();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(prints, ::testing::Each(prints[0]));
}

TEST(DataType, HasNumPysNamesAndSizes) {
  EXPECT_STREQ(to_string(DataType::kFloat32), "float32");
  EXPECT_STREQ(to_string(DataType::kBool), "bool");
  EXPECT_EQ(size_of(DataType::kUint64), 8U);
  EXPECT_EQ(size_of(DataType::kFloat16), 2U);
}

}  // namespace
}  // namespace dnateq
