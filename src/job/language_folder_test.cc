#include "job/language_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <openvino/op/string_tensor_unpack.hpp>

#include "graph/test_models.h"
#include "job/evaluate_language_job.h"
#include "job/installation.h"

namespace dnateq::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kBegin = 256, kEnd = 257, kVocabulary = 258;

class LanguageFolder : public ::testing::Test {
 protected:
  LanguageFolder() { (void)folder_.write("openvino_model.xml", std::string("<net/>")); }

  // A byte is a token; texts begin with kBegin and end with kEnd, or with nothing.
  void write_tokenizer(bool frame) const {
    const auto text = parameter("text", {-1}, ov::element::string);
    const auto unpacked = std::make_shared<ov::op::v15::StringTensorUnpack>(text);
    const auto bytes = std::make_shared<op::Convert>(unpacked->output(2), ov::element::i64);
    const auto framed = std::make_shared<op::Concat>(ov::OutputVector{constant({kBegin}), bytes, constant({kEnd})}, 0);
    const auto ids = std::make_shared<op::Unsqueeze>(frame ? NodePtr(framed) : bytes, constant({0}));
    ids->output(0).set_names({"input_ids"});
    ov::save_model(std::make_shared<ov::Model>(ov::OutputVector{ids}, ov::ParameterVector{text}),
                   (folder_ / "openvino_tokenizer.xml").string(), false);
  }

  // Logits of the next token by the last one alone.
  static void write_bigrams(const fs::path& file, const std::vector<float>& table) {
    const auto ids = parameter("input_ids", {-1, -1}, ov::element::i64);
    const auto logits = std::make_shared<op::Gather>(constant({kVocabulary, kVocabulary}, table), ids,
                                                     op::Constant::create(ov::element::i64, {}, {0}));
    logits->output(0).set_names({"logits"});
    ov::save_model(std::make_shared<ov::Model>(ov::OutputVector{logits}, ov::ParameterVector{ids}), file.string(),
                   false);
  }

  std::string text_file(const std::string& text) const { return folder_.write("story.txt", text).string(); }
  fs::path model() const { return folder_ / "openvino_model.xml"; }

  TempFolder folder_;
};

TEST_F(LanguageFolder, IsKnownByTheNameOfItsNetwork) {
  EXPECT_TRUE(is_language_folder(folder_.path()));
  EXPECT_FALSE(is_language_folder(model()));
  EXPECT_FALSE(is_language_folder(folder_ / "absent"));
  EXPECT_EQ(model_file_of(folder_.path()), model());
  EXPECT_EQ(model_file_of(model()), model());
  EXPECT_EQ(model_file_of("absent.onnx"), "absent.onnx");
  EXPECT_THAT(models_in(folder_.path()), ElementsAre("openvino_model.xml"));
  const TempFolder other;
  EXPECT_FALSE(is_language_folder(other.path()));
  EXPECT_THAT(models_in(other.path()), IsEmpty());
  EXPECT_THAT(error_of([&] { model_file_of(other.path()); }),
              AllOf(HasSubstr(other.path().string() + "' holds no openvino_model.xml"), HasSubstr("or a model file")));
  EXPECT_EQ(model_file_of(other.write("model.xml", std::string("<net/>")).parent_path()), other / "model.xml");
}

TEST_F(LanguageFolder, WeightsAloneInFourBitsForDecodingUnlessAskedOtherwise) {
  QuantizeArguments given;
  given.model = folder_.path().string();
  given.calibration.text = "story.txt";
  const QuantizeArguments usual = with_language_defaults(given);
  EXPECT_EQ(usual.model, model().string());
  EXPECT_TRUE(usual.of_folder);
  EXPECT_TRUE(usual.weights_only);
  EXPECT_EQ(usual.weight_bits, 4);
  EXPECT_EQ(usual.metric, "kl");
  EXPECT_EQ(usual.emit, "cpu");
  EXPECT_EQ(usual.expect_rows, 1);
  EXPECT_EQ(usual.int8, "none");

  given.weight_bits = 3;
  given.metric = "agreement";
  given.emit = "standard";
  const QuantizeArguments other = with_language_defaults(given);
  EXPECT_EQ(other.weight_bits, 3);
  EXPECT_EQ(other.metric, "agreement");
  EXPECT_EQ(other.emit, "standard");
  EXPECT_EQ(other.expect_rows, 0);

  given = {};
  given.model = folder_.path().string();
  given.target_bits = "4/8";
  const QuantizeArguments both = with_language_defaults(given);
  EXPECT_FALSE(both.weights_only);
  EXPECT_EQ(both.weight_bits, 0);
  given.target_bits = "3.5";
  EXPECT_TRUE(with_language_defaults(given).weights_only);
  EXPECT_EQ(with_language_defaults(given).weight_bits, 0);
}

TEST_F(LanguageFolder, OtherNetworksAreQuantizedAsEver) {
  QuantizeArguments given;
  given.model = "net.onnx";
  given.calibration.path = "calib.npz";
  const QuantizeArguments same = with_language_defaults(given);
  EXPECT_EQ(same.model, "net.onnx");
  EXPECT_FALSE(same.of_folder || same.weights_only);
  EXPECT_EQ(same.metric, given.metric);
  EXPECT_EQ(same.emit, given.emit);
  EXPECT_EQ(same.weight_bits, 0);
}

TEST_F(LanguageFolder, TextAndSamplesDoNotGoTogetherNorTextAndOtherNetworks) {
  QuantizeArguments given;
  given.model = folder_.path().string();
  given.calibration.text = "story.txt";
  given.calibration.path = "calib.npz";
  EXPECT_THAT(error_of([&] { with_language_defaults(given); }),
              AllOf(HasSubstr("text"), HasSubstr("calibration"), HasSubstr("give one of them")));
  given.calibration.path.clear();
  given.model = "net.onnx";
  EXPECT_THAT(error_of([&] { with_language_defaults(given); }),
              AllOf(HasSubstr("folder of a language model with its tokenizer"), HasSubstr("net.onnx")));
}

TEST_F(LanguageFolder, EveryFileThatPipelinesReadIsCopiedAndNothingElse) {
  (void)folder_.write("notes.txt", std::string("mine"));
  for (const std::string& name : companion_files())
    if (name != "merges.txt") (void)folder_.write(name, name);
  const TempFolder out;
  (void)out.write("config.json", std::string("of an earlier run"));
  copy_companions(folder_.path(), out.path());
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(out.path())) {
    ++count;
    std::ifstream stream(entry.path());
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), entry.path().filename().string());
  }
  EXPECT_EQ(count, companion_files().size() - 1);
  EXPECT_THAT(error_of([&] { copy_companions(folder_.path(), out / "absent"); }), HasSubstr("cannot be copied"));
}

TEST_F(LanguageFolder, ItsTokenizerReadsTextsOfAnyLengthPieceByPiece) {
  if (find_tokenizers_extension().empty()) GTEST_SKIP() << "the package openvino-tokenizers is not installed";
  std::string text;
  for (int line = 0; line < 200; ++line) text += "line " + std::to_string(line) + " of Gr\xc3\xbc\xc3\x9f\x65\n\n";
  text += "no end";
  for (const bool frame : {false, true}) {
    write_tokenizer(frame);
    constexpr int64_t context = 64;
    const auto samples = open_text(text_file(text), model(), context, 0);
    std::string read;
    for (int64_t w = 0; w < samples->size(); ++w) {
      const std::vector<int64_t> ids = values_of<int64_t>(samples->call(w).front().array);
      EXPECT_EQ(ids.front() == kBegin, frame);
      for (size_t i = frame ? 1 : 0; i < ids.size(); ++i) read += static_cast<char>(ids[i]);
    }
    EXPECT_EQ(read, text.substr(0, read.size()));
    EXPECT_LT(text.size() - read.size(), static_cast<size_t>(context));
  }
}

TEST_F(LanguageFolder, PerplexityAndDivergenceAreThoseOfTheDistributions) {
  if (find_tokenizers_extension().empty()) GTEST_SKIP() << "the package openvino-tokenizers is not installed";
  write_tokenizer(false);
  const TempFolder reference;
  const size_t square = static_cast<size_t>(kVocabulary * kVocabulary);
  const std::vector<float> own = random_values(square, 1), other = random_values(square, 2);
  write_bigrams(model(), own);
  write_bigrams(reference / "openvino_model.xml", other);
  const std::string text = "The quick brown fox jumps over the lazy dog, and runs.";
  const int64_t context = 13, windows = 4;
  EvaluateLanguageOptions options{folder_.path().string(), reference.path().string(), {}, 2};
  options.data.text = text_file(text);
  options.data.context = context;
  const EvaluateLanguageResult result = run_evaluate_language_job(options, {});

  double loss = 0, kl = 0, same = 0;
  for (size_t t = 0; t < static_cast<size_t>(windows * context); ++t) {
    if (t % context == context - 1) continue;  // predicts what the window does not hold
    const auto distribution = [&](const std::vector<float>& table) {
      const size_t row = static_cast<unsigned char>(text[t]) * static_cast<size_t>(kVocabulary);
      std::vector<double> p(static_cast<size_t>(kVocabulary));
      double sum = 0;
      for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(static_cast<double>(table[row + i]));
      for (double& value : p) value /= sum;
      return p;
    };
    const std::vector<double> q = distribution(own), p = distribution(other);
    loss -= std::log(q[static_cast<unsigned char>(text[t + 1])]);
    for (size_t i = 0; i < p.size(); ++i) kl += p[i] * std::log(p[i] / q[i]);
    same += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
  }
  const double tokens = static_cast<double>(windows * (context - 1));
  EXPECT_EQ(result.windows, windows);
  EXPECT_EQ(result.tokens, windows * (context - 1));
  EXPECT_NEAR(result.perplexity.value, std::exp(loss / tokens), 1e-3);
  ASSERT_TRUE(result.reference);
  EXPECT_NEAR(result.reference->kl.value, kl / tokens, 1e-5);
  EXPECT_NEAR(result.reference->same_top.value, same / tokens, 1e-12);
  EXPECT_LE(result.reference->kl_99, result.reference->kl_999);
  for (const TokenMean& mean : {result.perplexity, result.reference->kl}) {
    EXPECT_LT(mean.interval.first, mean.value);
    EXPECT_GT(mean.interval.second, mean.value);
  }

  options.reference = options.model;  // itself
  const EvaluateLanguageResult itself = run_evaluate_language_job(options, {});
  ASSERT_TRUE(itself.reference);
  EXPECT_EQ(itself.reference->kl_999, 0);
  EXPECT_EQ(itself.reference->same_top.value, 1);
  EXPECT_EQ(itself.reference->perplexity.value, result.perplexity.value);
  options.reference.clear();
  const EvaluateLanguageResult alone = run_evaluate_language_job(options, {});
  EXPECT_FALSE(alone.reference);
  EXPECT_EQ(alone.perplexity.value, result.perplexity.value);

  options.data.text.clear();
  EXPECT_THAT(error_of([&] { run_evaluate_language_job(options, {}); }),
              AllOf(HasSubstr(options.model), HasSubstr("give it a text")));
}

}  // namespace
}  // namespace dnateq::testing
