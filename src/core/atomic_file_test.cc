#include "core/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "dnateq/error.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

class AtomicFile : public ::testing::Test {
 protected:
  AtomicFile() {
    std::string pattern = (fs::temp_directory_path() / "dnateq_atomic_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~AtomicFile() override { fs::remove_all(folder_); }

  static std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::ptrdiff_t files() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }

  // The message of the Error that writing gives; empty if there is none.
  static std::string refusal(const fs::path& file, std::string_view text) {
    try {
      write_file_atomically(file, text);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  fs::path folder_;
};

TEST_F(AtomicFile, WritesBytesAsTheyAre) {
  const std::vector<uint8_t> bytes = {0, 10, 13, 26, 255, 0};
  write_file_atomically(folder_ / "bytes", bytes);
  EXPECT_EQ(read(folder_ / "bytes"), std::string(bytes.begin(), bytes.end()));
  write_file_atomically(folder_ / "empty", std::string_view());
  EXPECT_TRUE(fs::exists(folder_ / "empty"));
  EXPECT_EQ(files(), 2);
}

TEST_F(AtomicFile, ReplacesAnOlderFileAndNoOther) {
  write_file_atomically(folder_ / "file", "a longer text");
  std::ofstream(folder_ / "file.part") << "mine";
  std::ofstream(folder_ / "file.tmp") << "mine";
  write_file_atomically(folder_ / "file", "new");
  EXPECT_EQ(read(folder_ / "file"), "new");
  EXPECT_EQ(read(folder_ / "file.part"), "mine");
  EXPECT_EQ(read(folder_ / "file.tmp"), "mine");
  EXPECT_EQ(files(), 3);
}

TEST_F(AtomicFile, ANewFileHasANameOfItsOwn) {
  const fs::path first = new_file_beside(folder_ / "file"), second = new_file_beside(folder_ / "file");
  EXPECT_NE(first, second);
  EXPECT_EQ(first.parent_path(), folder_);
  EXPECT_EQ(files(), 2);
  EXPECT_THROW(new_file_beside(folder_ / "missing" / "file"), Error);
}

TEST_F(AtomicFile, AFolderThatIsNotThereIsNamedInTheError) {
  const fs::path file = folder_ / "missing" / "file";
  EXPECT_THAT(refusal(file, "text"), ::testing::HasSubstr(file.string() + "' cannot be written"));
}

TEST_F(AtomicFile, AFolderInTheFilesPlaceIsRefusedAndKept) {
  fs::create_directories(folder_ / "place" / "inner");
  EXPECT_THAT(refusal(folder_ / "place", "text"), ::testing::HasSubstr("cannot be written"));
  EXPECT_TRUE(fs::is_directory(folder_ / "place" / "inner"));
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFile, AFullDiskKeepsTheOldFileAndNothingElse) {
  write_file_atomically(folder_ / "file", "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;  // bytes: stands in for a full disk
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = refusal(folder_ / "file", std::string(100000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, ::testing::HasSubstr("cannot be written"));
  EXPECT_EQ(read(folder_ / "file"), "old");
  EXPECT_EQ(files(), 1);
}

}  // namespace
}  // namespace dnateq
