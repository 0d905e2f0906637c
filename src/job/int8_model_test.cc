#include "job/int8_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "data/npy.h"
#include "graph/test_models.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempFolder;
using testing::VectorSamples;

Array image(int64_t size) {
  const auto values = static_cast<size_t>(size * size);
  return {.type = DataType::kFloat32, .shape = {1, 1, size, size}, .bytes = std::vector<std::byte>(4 * values)};
}

// An installation whose Python with NNCF is a script that keeps what it is given.
class Int8Model : public ::testing::Test {
 protected:
  Int8Model() {
    for (const char* file : {"share/dnateq/CMakeLists.txt", "share/dnateq/bench/speed.py"}) write(folder_ / file, "");
    const fs::path python = folder_ / "share/dnateq/build/peers-venv/bin/python";
    write(python, "#!/bin/sh\ncp \"$4\" \"$(dirname \"$6\")/seen.npy\" && : > \"$6\"\n");
    fs::permissions(python, fs::perms::owner_all);
    fs::create_directory(folder_ / "images");
    arguments_.model = "net.onnx";
    arguments_.calibration.path = (folder_ / "images").string();
  }

  static void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  fs::path made_of(std::vector<std::vector<Array>> images) {
    return int8_model_for(arguments_, prepared_, VectorSamples({"image"}, std::move(images)),
                          {folder_ / "out", folder_ / "out/unfinished"}, {folder_ / "bin/dnateq", {}},
                          [&](const std::string& sentence) { said_.push_back(sentence); });
  }

  TempFolder folder_;
  QuantizeArguments arguments_;
  PreparedModel prepared_;
  std::vector<std::string> said_;
};

TEST_F(Int8Model, NncfGetsImagesAsOneArray) {
  const fs::path model = made_of({{image(4)}, {image(4)}, {image(4)}});
  EXPECT_EQ(model, folder_ / "out/unfinished/int8/model.xml");
  std::ifstream in(model.parent_path() / "seen.npy", std::ios::binary);
  const std::string seen((std::istreambuf_iterator<char>(in)), {});
  const auto bytes = std::as_bytes(std::span(seen));
  EXPECT_THAT(parse_npy({bytes.begin(), bytes.end()}, "'seen.npy'").shape, ElementsAre(3, 1, 4, 4));
  EXPECT_FALSE(fs::exists(model.parent_path() / "calibration.npy"));
}

TEST_F(Int8Model, ImagesOfSeveralSizesHaveNoneAndStopNothing) {
  EXPECT_EQ(made_of({{image(4)}, {image(5)}}), fs::path());
  EXPECT_THAT(said_, Contains(HasSubstr("it could not be made: sample 2 of")));
  EXPECT_FALSE(fs::exists(folder_ / "out/unfinished/int8/calibration.npy"));
}

TEST_F(Int8Model, NoneIsMadeWhereNoneIsWanted) {
  arguments_.int8 = "none";
  EXPECT_EQ(made_of({{image(4)}}), fs::path());
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

}  // namespace
}  // namespace dnateq
