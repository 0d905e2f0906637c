// Writes the seeds of fuzzers into FOLDER/NAME_fuzz: small files as our own writers and test helpers make them.
//   cmake --build --preset dev --target fuzz_seeds && build/dev/bin/fuzz_seeds tests/fuzz/corpus
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/histogram.h"
#include "data/test_files.h"

namespace dnateq {
namespace {

using testing::Bytes;

class Corpus {
 public:
  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path file(const std::string& fuzzer, const std::string& name) const {
    std::filesystem::create_directories(folder_ / (fuzzer + "_fuzz"));
    return folder_ / (fuzzer + "_fuzz") / name;
  }
  void write(const std::string& fuzzer, const std::string& name, const Bytes& bytes) const {
    std::ofstream(file(fuzzer, name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void write(const std::string& fuzzer, const std::string& name, std::string_view text) const {
    const auto bytes = std::as_bytes(std::span(text));
    write(fuzzer, name, Bytes(bytes.begin(), bytes.end()));
  }

 private:
  std::filesystem::path folder_;
};

Image gradient(int width, int height, int channels) {
  Image image{width, height, channels, {}};
  for (int i = 0; i < width * height * channels; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 7));
  return image;
}

void write_images(const Corpus& corpus) {
  corpus.write("jpeg", "color.jpg", testing::jpeg(gradient(9, 5, 3)));
  corpus.write("jpeg", "gray.jpg", testing::jpeg(gradient(4, 4, 1), 50));
  corpus.write("jpeg", "inks.jpg", testing::cmyk_jpeg(2, 2, std::vector<uint8_t>(16, 200)));
  corpus.write("png", "gray.png", testing::png(3, 2, 8, 0, std::vector<uint8_t>(6, 90)));
  corpus.write("png", "bits.png", testing::png(9, 2, 1, 0, {0xa5, 0x80, 0x5a, 0x00}));
  corpus.write("png", "color.png", testing::png(2, 2, 8, 2, std::vector<uint8_t>(12, 130)));
  corpus.write("png", "deep.png", testing::png(2, 1, 16, 6, std::vector<uint8_t>(16, 33)));
  const std::vector<std::pair<std::string, Bytes>> files = {
      {"0_a.png", testing::png(1, 1, 8, 0, {7})}, {"12/1_b.jpg", testing::jpeg(gradient(1, 1, 3))}, {"note.txt", {}}};
  corpus.write("tar", "ustar.tar", testing::tar(files));
  corpus.write("tar", "gnu.tar",
               testing::tar({{std::string(120, 'n') + ".png", files[0].second}}, testing::TarFormat::kGnu));
  corpus.write("tar", "pax.tar",
               testing::tar({{std::string(120, 'p') + ".png", files[0].second}}, testing::TarFormat::kPax));
}

void write_labels(const Corpus& corpus) {
  corpus.write("labels", "unix.txt", "3\n0\n999\n");
  corpus.write("labels", "dos.txt", "1\r\n 2\r\n\r\n");
  corpus.write("labels", "negative.txt", "-1\n9223372036854775807");
}

}  // namespace

void write_seeds(const std::filesystem::path& folder) {
  const Corpus corpus(folder);
  write_images(corpus);
  write_labels(corpus);
}

}  // namespace dnateq

int main(int argc, char** argv) { dnateq::write_seeds(argc > 1 ? argv[1] : "tests/fuzz/corpus"); }
