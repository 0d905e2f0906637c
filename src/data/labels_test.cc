#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/samples.h"
#include "data/test_files.h"

namespace dnateq {
namespace {

using testing::Bytes;
using testing::bytes_of;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::npy;
using testing::npz;
using testing::tar;
using testing::TempFolder;

TEST(ReadLabels, ReadsIntegersOfEveryWidth) {
  const TempFolder folder;
  EXPECT_THAT(read_labels(folder.write("l.npy", npy("<i8", "(2,)", bytes_of<int64_t>({3, 1})))), ElementsAre(3, 1));
  EXPECT_THAT(read_labels(folder.write("l.npy", npy("|u1", "(2, 1)", bytes_of<uint8_t>({200, 1})))),
              ElementsAre(200, 1));
  EXPECT_THAT(read_labels(folder.write("l.npy", npy(">u2", "(1,)", bytes_of<uint8_t>({1, 0})))), ElementsAre(256));
}

TEST(ReadLabels, TakesTheArrayNamedLabelsOrTheOnlyOne) {
  const TempFolder folder;
  const Bytes one = npy("|i1", "(1,)", bytes_of<int8_t>({1}));
  const Bytes two = npy("|i1", "(1,)", bytes_of<int8_t>({2}));
  EXPECT_THAT(read_labels(folder.write("l.npz", npz({{"x", one}, {"labels", two}}))), ElementsAre(2));
  EXPECT_THAT(read_labels(folder.write("l.npz", npz({{"y", two}}))), ElementsAre(2));
  EXPECT_THAT(error_of([&] {
                read_labels(folder.write("l.npz", npz({{"x", one}, {"y", two}})));
              }),
              HasSubstr("has 2 arrays and none is named 'labels'"));
}

TEST(ReadLabels, ReadsOneIntegerALine) {
  const TempFolder folder;
  EXPECT_THAT(read_labels(folder.write("l.txt", "3\n1\n-1\n")), ElementsAre(3, 1, -1));
  EXPECT_THAT(read_labels(folder.write("l.txt", " 3 \r\n1\r\n\r\n\n")), ElementsAre(3, 1));
  EXPECT_THAT(read_labels(folder.write("l.txt", "7")), ElementsAre(7));
}

TEST(ReadLabels, SaysWhatIsWrong) {
  const TempFolder folder;
  const auto error = [&](const std::string& name, const auto& content) {
    return error_of([&] { read_labels(folder.write(name, content)); });
  };
  EXPECT_THAT(error("l.txt", std::string_view("1\ncat\n")), HasSubstr("l.txt': line 2 is not an integer"));
  EXPECT_THAT(error("l.txt", std::string_view("1\n\n2\n")), HasSubstr("line 2 is not an integer"));
  EXPECT_THAT(error("l.txt", std::string_view("1.5\n")), HasSubstr("line 1 is not an integer"));
  EXPECT_THAT(error("l.txt", std::string_view("99999999999999999999\n")), HasSubstr("line 1"));
  EXPECT_THAT(error("l.txt", std::string_view("\n \n")), HasSubstr("holds no labels"));
  EXPECT_THAT(error("l.txt", std::string_view("")), HasSubstr("is empty"));
  EXPECT_THAT(error("l.npy", npy("<f4", "(1,)", Bytes(4))), HasSubstr("holds float32 values, labels are integers"));
  EXPECT_THAT(error("l.npy", npy("<i4", "(2, 2)", Bytes(16))), HasSubstr("has 2 axes and 4 values"));
  EXPECT_THAT(error("l.npy", npy("<i4", "()", Bytes(4))), HasSubstr("has 0 axes"));
  EXPECT_THAT(error("l.npy", npy("<i4", "(0,)", {})), HasSubstr("holds no labels"));
  EXPECT_THAT(error("l.npy", npy("<u8", "(1,)", bytes_of<uint64_t>({~uint64_t{0}}))), HasSubstr("no class number"));
  EXPECT_THAT(error_of([] { read_labels("/nowhere/l.txt"); }), HasSubstr("does not exist"));
}

TEST(LabelsFromImageNames, TakesLeadingDigitsInTheOrderOfSamples) {
  const TempFolder folder;
  const Bytes image(1);
  const auto path = folder.write("i.tar", tar({{"0010_b.jpg", image}, {"0002_a.jpg", image}, {"x/0007.png", image}}));
  EXPECT_THAT(labels_from_image_names(path), ElementsAre(2, 10, 7));
  const TempFolder images;
  images.write("3.png", image);
  images.write("12_x.jpg", image);
  EXPECT_THAT(labels_from_image_names(images.path()), ElementsAre(12, 3));
  images.write("cat.jpg", image);
  EXPECT_THAT(error_of([&] { labels_from_image_names(images.path()); }), HasSubstr("image 'cat.jpg' does not begin"));
}

}  // namespace
}  // namespace dnateq
