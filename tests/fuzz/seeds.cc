// Writes the seeds of fuzzers into FOLDER/NAME_fuzz: small files as our own writers and test helpers make them.
//   cmake --build --preset dev --target fuzz_seeds && build/dev/bin/fuzz_seeds tests/fuzz/corpus
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calibrate/measure.h"
#include "core/blob.h"
#include "core/document.h"
#include "core/histogram.h"
#include "core/pack.h"
#include "core/row_block.h"
#include "data/test_files.h"
#include "job/job_file.h"
#include "report/report_file.h"
#include "search/solution_file.h"

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

std::string_view text_of(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TensorCode code_of(int bits) {
  TensorCode code = with_level_counts(TensorCode{}, bits);
  code.base = 1.01;
  code.grid = 127;
  return code;
}

Histogram three_values() {
  Histogram histogram;
  histogram.add(std::vector<float>{-1.5F, 0.0F, 2.0F});
  return histogram;
}

void write_recipes(const Corpus& corpus) {
  Recipe recipe;
  LayerRecipe layer;
  layer.name = "conv";
  layer.type = "Convolution";
  layer.weight_shape = {2, 1, 2, 2};
  layer.weights.shape = {2, 4};
  layer.weights.code = code_of(3);
  corpus.write("recipe", "empty.json", to_json(recipe));
  recipe.layers = {layer};
  recipe.metric.emplace().name = "top1";
  corpus.write("recipe", "small.json", to_json(recipe));
  layer.activations = layer.weights;
  layer.standard_weights.emplace().code = code_of(3);
  layer.name = "again";
  layer.shares_weights_with = "conv";
  recipe.layers.push_back(layer);
  recipe.unquantized = {{"head", "MatMul", "too sensitive", 100}};
  recipe.passed = {"exact", 640, 11.25, {{"sum", "Add", 160, 0.25}}};
  recipe.steps = {{4.5, 5.5, 0.25, 0.125, "too lossy"}};
  recipe.split = SplitRecipe{1000, 400, 500, "0123", ""};
  recipe.emissions.resize(1);
  recipe.thresholds.emplace().weight_thresholds = {0.5};
  recipe.thresholds->activation_thresholds = {0.25};
  recipe.thresholds->plans = {{4.5, 5.5, 5.25, 0.75}};
  recipe.thresholds->cells = {0};
  corpus.write("recipe", "whole.json", to_json(recipe));
}

void write_documents(const Corpus& corpus) {
  const Document document = {{"name", "\u00e9"}, {"list", {1, -2, 0.5, 1e300, nullptr, true}}, {"inner", {{"x", "y"}}}};
  corpus.write("document", "small.json", document.dump());
  corpus.write("document", "small.cbor", text_of(Document::to_cbor(document)));
  corpus.write("document", "bytes.cbor", text_of(Document::to_cbor({{"codes", Document::binary({1, 2, 3})}})));
}

// What a result folder keeps, as the fuzzers of it ask for.
void write_results(const Corpus& corpus) {
  LayerSolution solution;
  solution.code = code_of(3);
  solution.codes = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1};
  solution.gamma = {to_float16(1.0F), to_float16(-0.5F)};
  save_solution(solution, corpus.file("solution", "plain.cbor"));
  solution.bias = {0.5F, -2.0F};
  save_solution(solution, corpus.file("solution", "bias.cbor"));

  Measurements m;
  m.layers.resize(3);
  m.layers[1].activation = m.layers[2].activation = 0;
  m.layers[1].residual_limit = 1.5F;
  m.activations.resize(1);
  m.activations[0].tensor = "x";
  m.activations[0].layers = 2;
  m.activations[0].histogram = three_values();
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
    m.activations[0].fits[static_cast<size_t>(bits)].code = code_of(bits);
  m.activations[0].uniform8.code = code_of(8);
  save_measurements(m, "key", corpus.file("measurements", "small.cbor"));

  ReportInput report;
  report.bits_loss_curve = {{4.5, 0.25}};
  corpus.write("report", "empty.cbor", text_of(report_file_bytes(report)));
  report.tensors = {{"conv", true, three_values()}};
  corpus.write("report", "tensor.cbor", text_of(report_file_bytes(report)));

  QuantizeArguments arguments;
  arguments.model = "/net.onnx";
  arguments.calibration.path = "/calibration";
  corpus.write("job", "plain.json", job_to_json(arguments, "0123"));
  arguments.only = {"conv"};
  arguments.metric = "top1";
  corpus.write("job", "layers.json", job_to_json(arguments, ""));
}

void write_blobs(const Corpus& corpus) {
  corpus.write("blob", "code", text_of(write_code_blob(code_of(4))));
  BlobHeader header;
  header.code = code_of(3);
  header.rows = 2;
  header.columns = 4;
  header.shape = {2, 4};
  const std::vector<uint8_t> codes = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<uint16_t> gamma = {to_float16(1.0F), to_float16(-0.5F)};
  const std::vector<uint8_t> weights = write_weight_blob(header, codes, gamma);
  corpus.write("blob", "weights", text_of(weights));

  RowBlock block;
  block.input_widths = {4, 2};
  block.steps = {{RowStepKind::kRmsNorm, 0, 0, 0, 1e-5F, 0, 4}, {RowStepKind::kScale, 2, 0, 0, 0, 0, 4},
                 {RowStepKind::kMatMul, 3, 0, 0, 0, 0, 2},      {RowStepKind::kAdd, 1, 4, 0, 0, 0, 2},
                 {RowStepKind::kSwish, 5, 0, 0, 0, 0, 2},       {RowStepKind::kSlice, 6, 0, 0, 0, 1, 1}};
  block.outputs = {7, 5};
  block.matrices = {{"layer", weights, {0.5F, -1}}};
  block.vectors = {{1, 2, 3, 4}};
  corpus.write("row_block", "steps", text_of(write_row_block(block)));
}

}  // namespace

void write_seeds(const std::filesystem::path& folder) {
  const Corpus corpus(folder);
  write_images(corpus);
  write_labels(corpus);
  write_documents(corpus);
  write_recipes(corpus);
  write_results(corpus);
  write_blobs(corpus);
}

}  // namespace dnateq

int main(int argc, char** argv) { dnateq::write_seeds(argc > 1 ? argv[1] : "tests/fuzz/corpus"); }
