#include "report/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "report/advice.h"
#include "report/document.h"
#include "report/tensor_view.h"

namespace dnateq {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<float> values_of(bool is_weights, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.4F);
  std::exponential_distribution<float> exponential(1.5F);
  std::vector<float> values(20000);
  for (float& value : values) value = is_weights ? normal(random) : random() % 2 ? 0.0F : exponential(random);
  return values;
}

TensorCode code_of(bool is_weights, int bits) {
  TensorCode code;
  code.arithmetic = Arithmetic::kExponential;
  code.base = std::pow(24.0, 1.0 / (is_weights ? 1 << (bits - 1) : 1 << bits));
  code.alpha = 0.12;
  code.beta = -0.04;
  return with_level_counts(code, bits, is_weights ? -1 : 0);
}

TensorRecipe tensor_of(bool is_weights, int bits, unsigned seed) {
  TensorRecipe tensor;
  tensor.tensor = is_weights ? "w" : "x";
  tensor.shape = is_weights ? std::vector<int64_t>{64, 288} : std::vector<int64_t>{1, 32, 16, 16};
  tensor.elements = is_weights ? 64 * 288 : 32 * 256;
  tensor.code = code_of(is_weights, bits);
  tensor.rmae = 0.05 + 0.01 * double(seed % 7);
  tensor.sqnr_db = 5.2 * bits - 1.0 + double(seed % 3);
  tensor.uniform_sqnr_db = tensor.sqnr_db - 1.3 - 0.4 * double(seed % 4);
  tensor.bytes = is_weights ? tensor.elements * bits / 8 + 160 : 0;
  tensor.sensitivity = 1e-3 * std::exp(-0.3 * double(seed % 13));
  tensor.distribution = is_weights ? "normal" : "exponential";
  return tensor;
}

// A network of `layers` convolutions, as the search would describe it.
ReportInput network(int layers) {
  ReportInput input;
  Recipe& recipe = input.recipe;
  recipe.model_file = "resnet20.onnx";
  recipe.model_fingerprint = "9f31c8d2a4b6e071";
  recipe.data_fingerprint = "07ab52ff1c90d3e8";
  recipe.options = "quantize resnet20.onnx --calibration calib.npz --metric top1 --max-drop 1% -o out";
  recipe.strategy = "optimal";
  recipe.seed = 1;
  input.seconds = 131.7;
  for (int i = 0; i < layers; ++i) {
    const unsigned seed = unsigned(i) * 2;
    LayerRecipe layer;
    layer.name = "/layer" + std::to_string(1 + i / 6) + "/layer" + std::to_string(1 + i / 6) + "." +
                 std::to_string(i / 2 % 3) + "/conv" + std::to_string(1 + i % 2) + "/Conv_" + std::to_string(i);
    layer.type = i + 1 == layers ? "MatMul" : "Convolution";
    layer.weight_shape = {64, 32, 3, 3};
    layer.macs = 4718592;
    layer.weights = tensor_of(true, i == 0 ? 5 : 3 + i % 2, seed);
    layer.activations = tensor_of(false, i + 1 == layers ? 8 : 3 + (i + 1) % 3, seed + 1);
    layer.output_sqnr_db = 21 - 0.4 * i + double(seed % 5);
    layer.nearest_output_sqnr_db = layer.output_sqnr_db - 2.2 - double(seed % 3);
    for (const bool is_weights : {true, false}) {
      TensorView view{.layer = layer.name, .is_weights = is_weights, .histogram = {}};
      view.histogram.add(values_of(is_weights, seed + is_weights));
      input.tensors.push_back(std::move(view));
    }
    recipe.layers.push_back(std::move(layer));
  }
  recipe.unquantized = {{"/fc/Gemm", "MatMul", "named by --ignore", 640},
                        {"/attention/MatMul", "MatMul", "both inputs are activations", 0}};
  recipe.metric = MetricResult{"top1",
                               0.8792,
                               0.8781,
                               0.8728,
                               -0.0121,
                               -0.0009,
                               9000,
                               "validation",
                               true,
                               "absolute",
                               0.01,
                               false,
                               "not certified: at 95 % exact may lose 0.0112 on unseen data"};
  recipe.emissions = {{"exact", 0.8728, 0.0064, 0.0009, 0.0121, 0.0112, "exact trinomial", false, 9000, 24000, 130'000},
                      {"standard", 0.8781, 0.0011, -0.0003, 0.0025, 0.0023, "exact trinomial", true, 9000, 0, 133'000}};
  for (int i = 0; i < 9; ++i) {
    const double bits = 3.0 + 0.25 * i;
    recipe.steps.push_back({bits - 0.1, bits + 0.15, 0.03 * std::exp(-0.55 * i), 0.3 * std::exp(-0.5 * i),
                            i == 3 ? "within the loss limit" : "candidate"});
  }
  for (int i = 0; i < 40; ++i) {
    const double bits = 2.5 + 0.1 * i;
    input.bits_loss_curve.emplace_back(bits, 0.5 * std::exp(-1.9 * (bits - 2.5)));
  }
  input.bytes_fp32 = 1'098'000;
  input.bytes_int8 = 301'000;
  input.bytes_standard = 131'200;
  input.bytes_exact = 128'900;
  input.bytes_ram = 298'000;
  input.int8_metric = 0.8786;
  input.has_int8_metric = true;
  return input;
}

json embedded_document(const std::string& html) {
  const std::string open = "<script id=\"report-data\" type=\"application/json\">";
  const size_t start = html.find(open) + open.size();
  return json::parse(html.substr(start, html.find("</script>", start) - start));
}

TEST(ReportTest, EmbedsEveryLayerAndTensor) {
  const ReportInput input = network(20);
  const json document = embedded_document(render_html(input));
  ASSERT_EQ(document["layers"].size(), 20u);
  ASSERT_EQ(document["tensors"].size(), 40u);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(document["layers"][i]["name"], input.recipe.layers[i].name);
  EXPECT_EQ(document["tensors"][3]["layer"], 1);
  EXPECT_EQ(document["tensors"][3]["is_weights"], false);
  EXPECT_EQ(document["unquantized"][0]["reason"], "named by --ignore");
  EXPECT_EQ(document["curve"].size(), 40u);
  EXPECT_EQ(document["steps"].size(), 9u);
  EXPECT_GE(document["advice"].size(), 3u);
}

// As the paper's search has it: a plan for each pair, of which one in three was not judged.
ThresholdStudy study_of(size_t rows, size_t columns) {
  ThresholdStudy study;
  study.chosen_by = "loss";
  study.samples = 1250;
  for (size_t i = 0; i < rows; ++i) study.weight_thresholds.push_back(0.3 * std::pow(0.64, double(i)));
  for (size_t i = 0; i < columns; ++i) study.activation_thresholds.push_back(0.3 * std::pow(0.64, double(i)));
  for (size_t cell = 0; cell < rows * columns; ++cell) {
    const double weights = double(cell / columns), activations = double(cell % columns);
    const double loss = 0.3 * std::exp(-0.5 * weights) + 0.1 * std::exp(-0.9 * activations) - 0.012;
    study.plans.push_back({4 + 0.5 * weights, 3 + 0.4 * activations, 3.5 + 0.45 * weights + 0.2 * activations,
                           cell % 3 == 1 ? kNaN : loss});
    study.cells.push_back(int64_t(cell));
  }
  study.weights = study.weight_thresholds.at(rows / 2);
  study.activations = study.activation_thresholds.at(columns / 2);
  return study;
}

TEST(ReportTest, ThresholdsOfThePapersSearchAreInTheDocumentWithWhatWasNotJudged) {
  ReportInput input = network(2);
  EXPECT_TRUE(embedded_document(render_html(input))["thresholds"].is_null());
  input.recipe.thresholds = study_of(5, 6);
  const json study = embedded_document(render_html(input))["thresholds"];
  EXPECT_EQ(study["weight_thresholds"].size(), 5u);
  EXPECT_EQ(study["activation_thresholds"].size(), 6u);
  ASSERT_EQ(study["cells"].size(), 30u);
  for (size_t cell = 0; cell < 30; ++cell) {
    const json& plan = study["plans"][study["cells"][cell].get<size_t>()];
    EXPECT_EQ(plan["loss"].is_null(), cell % 3 == 1);
    EXPECT_GT(plan["tensor_mean_bits"], 3);
  }
  EXPECT_EQ(study["samples"], 1250);
}

TEST(ReportTest, FetchesNothing) {
  const std::string html = render_html(network(2));
  for (const char* fetch : {"<link", " src=", "@import", "url(http", "fetch(", "@report."})
    EXPECT_THAT(html, Not(HasSubstr(fetch)));
}

TEST(ReportTest, StaysUnderTwoMegabytesForSixtyLayers) { EXPECT_LT(render_html(network(60)).size(), 2'000'000u); }

TEST(ReportTest, HostileNamesStayInsideTheDocument) {
  ReportInput input = network(3);
  const std::string names[] = {"</script><script>alert(1)</script><!-- <script>", "\"quoted\\' \n\t",
                               "слой ☃ 🐍 \xE2\x80\xA8"};
  for (size_t i = 0; i < 3; ++i) {
    input.recipe.layers[i].name = names[i];
    input.tensors[2 * i].layer = input.tensors[2 * i + 1].layer = names[i];
  }
  const std::string html = render_html(input);
  EXPECT_THAT(html, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(html, Not(HasSubstr("<!-- <script>")));
  const json document = embedded_document(html);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(document["layers"][i]["name"], names[i]);
  EXPECT_EQ(document["tensors"].size(), 6u);
}

TEST(ReportTest, InvalidUtf8IsReplaced) {
  ReportInput input = network(1);
  input.recipe.layers[0].name = "\xFF\xC3";
  EXPECT_THAT(embedded_document(render_html(input))["layers"][0]["name"].get<std::string>(), HasSubstr("\xEF\xBF\xBD"));
}

TEST(ReportTest, EmptyHistogramsAndRecipesAreDrawn) {
  ReportInput input = network(1);
  for (TensorView& view : input.tensors) view.histogram = Histogram();
  const json view = embedded_document(render_html(input))["tensors"][0];
  EXPECT_EQ(view["values"], 0);
  EXPECT_TRUE(view["fits"].empty());
  EXPECT_TRUE(view["sqnr_db"].is_null());
  EXPECT_NO_THROW(embedded_document(render_html(ReportInput())));
}

TEST(ReportTest, AnUnmeasuredMetricIsNullInTheDocumentAndNamedOnThePage) {
  ReportInput input = network(1);
  input.recipe.metric->exact = kNaN;
  const std::string html = render_html(input);
  EXPECT_TRUE(embedded_document(html)["summary"]["metric"]["exact"].is_null());
  EXPECT_THAT(html, HasSubstr("'not measured'"));
  input.recipe.metric.reset();
  EXPECT_TRUE(embedded_document(render_html(input))["summary"]["metric"].is_null());
}

TEST(ReportTest, TellsLossIntervalAndBoundOfEachEmissionAndHowSureTheLimitIs) {
  const json summary = embedded_document(render_html(network(1)))["summary"];
  ASSERT_EQ(summary["emissions"].size(), 2);
  const json& exact = summary["emissions"][0];
  EXPECT_EQ(exact["emission"], "exact");
  EXPECT_EQ(exact["loss"], 0.0064);
  EXPECT_EQ(exact["interval"], json({0.0009, 0.0121}));
  EXPECT_EQ(exact["upper_bound"], 0.0112);
  EXPECT_EQ(exact["bound_method"], "exact trinomial");
  EXPECT_FALSE(exact["certified"]);
  EXPECT_TRUE(summary["emissions"][1]["certified"]);
  EXPECT_EQ(summary["metric"]["limit"], 0.01);
  EXPECT_THAT(summary["metric"]["verdict"].get<std::string>(), HasSubstr("may lose 0.0112"));
}

TEST(ReportTest, ViewsOfUnknownTensorsAreLeftOut) {
  ReportInput input = network(1);
  input.tensors.push_back({"no such layer", true, {}});
  input.recipe.layers[0].activations.reset();
  EXPECT_EQ(embedded_document(render_html(input))["tensors"].size(), 1u);
}

TEST(DisplayHistogramTest, KeepsEveryNonzeroValue) {
  Histogram histogram;
  histogram.add(values_of(true, 7));
  const DisplayHistogram display = display_histogram(histogram, -0.5, 0.5);
  double sum = display.below + display.above;
  for (const double count : display.counts) sum += count;
  EXPECT_NEAR(sum, double(histogram.count() - histogram.zeros()), 1e-6 * sum);
  EXPECT_GT(display.below, 0);
  EXPECT_GT(display.above, 0);
}

TEST(DisplayHistogramTest, OneRepeatedValueIsDrawnInOneOrTwoBins) {
  Histogram histogram;
  histogram.add(std::vector<float>(100, -0.25F));
  const json view = tensor_view_document(histogram, code_of(true, 3));
  double sum = 0;
  for (const json& count : view["counts"]) sum += count.get<double>();
  EXPECT_NEAR(sum, 100, 1);
}

TEST(DisplayHistogramTest, ARangeNarrowerThanABinHoldsItAll) {
  Histogram histogram;
  histogram.add(std::vector<float>(100, 1000.0F));
  const double center = double(histogram.bins().at(0).center);
  for (const double width : {0.0, 1e-9}) {
    double sum = 0;
    for (const double count : display_histogram(histogram, center, center + width).counts) sum += count;
    EXPECT_NEAR(sum, 100, 1e-6) << width;
  }
}

TEST(LevelsTest, ThresholdsLieBetweenTheLevels) {
  for (const bool is_weights : {true, false}) {
    const TensorCode code = code_of(is_weights, 4);
    const std::vector<double> levels = sorted_levels(code), thresholds = sorted_thresholds(code);
    ASSERT_EQ(levels.size(), size_t(code.negative_levels + code.positive_levels + 1));
    ASSERT_EQ(thresholds.size(), levels.size() - 1);
    for (size_t i = 0; i < thresholds.size(); ++i) {
      EXPECT_GE(thresholds[i], levels[i]);
      EXPECT_LE(thresholds[i], levels[i + 1]);
    }
  }
}

TEST(AdviceTest, TheLayerThatHurtsMostComesFirstWithACommand) {
  ReportInput input = network(6);
  input.recipe.layers[4].name = "it's here";
  input.recipe.layers[4].weights.sensitivity = 1;
  const std::vector<Advice> advice = advise(input.recipe);
  ASSERT_FALSE(advice.empty());
  EXPECT_EQ(advice[0].cases[0].subject, "it's here");
  EXPECT_EQ(advice[0].remedies[0].command.find("dnateq allocate DIR --target-bits"), 0u);
  EXPECT_EQ(advice[0].remedies[1].command, "--ignore 'it'\\''s here'");
}

std::string target_of(const Recipe& recipe) {
  const std::string command = advise(recipe).at(0).remedies.at(0).command;
  const std::string before = "dnateq allocate DIR --target-bits ", behind = " -o DIR2";
  EXPECT_EQ(command.find(before), 0u) << command;
  return command.substr(before.size(), command.size() - before.size() - behind.size());
}

TEST(AdviceTest, TheTargetIsAboveTheMeansThatTheResultHas) {
  Recipe recipe = network(6).recipe;
  recipe.layers[4].weights.sensitivity = 1;
  const double weights = weight_bits(recipe).stored_bits, activations = activation_bits(recipe).stored_bits;
  EXPECT_EQ(target_of(recipe), fmt::format("{:.2f}/{:.2f}", weights + 0.25, activations + 0.25));

  for (LayerRecipe& layer : recipe.layers) layer.activations->code = code_of(false, 8);
  EXPECT_EQ(target_of(recipe), fmt::format("{:.2f}/8", weights + 0.25));  // `exact` was asked for, and stays
  recipe.emissions[0].emission = "cpu";
  EXPECT_EQ(target_of(recipe), fmt::format("{:.2f}", weights + 0.25));
  for (LayerRecipe& layer : recipe.layers) layer.activations.reset();
  EXPECT_EQ(target_of(recipe), fmt::format("{:.2f}", weights + 0.25));
}

TEST(AdviceTest, TheTargetAsksForNoBitsThatDoNotExist) {
  Recipe recipe = network(6).recipe;
  recipe.unquantized.clear();
  for (size_t l = 0; l < recipe.layers.size(); ++l) {
    recipe.layers[l].weights.code = code_of(true, l == 4 ? 6 : 7);
    recipe.layers[l].activations->code = code_of(false, l == 0 ? 7 : 8);
  }
  recipe.layers[4].weights.sensitivity = 1;
  const double weights = weight_bits(recipe).stored_bits;
  EXPECT_EQ(target_of(recipe), fmt::format("{:.2f}/7.99", weights + 1.0 / 6));
}

TEST(AdviceTest, ATensorWithAllTheBitsThereAreIsToBeKeptInFp32) {
  ReportInput input = network(6);
  input.recipe.layers[5].activations->sensitivity = 1;  // 8 bits
  const std::vector<Advice> advice = advise(input.recipe);
  ASSERT_FALSE(advice.empty());
  EXPECT_EQ(advice[0].cases[0].subject, input.recipe.layers[5].name);
  EXPECT_EQ(advice[0].remedies[0].command, "--ignore '" + input.recipe.layers[5].name + "'");
}

TEST(AdviceTest, RoundingThatLostAsksForMoreCalibrationSamples) {
  ReportInput input = network(2);
  for (LayerRecipe& layer : input.recipe.layers) layer.weights.sensitivity = layer.activations->sensitivity = 0;
  input.recipe.layers[1].output_sqnr_db = 5;
  input.recipe.layers[1].nearest_output_sqnr_db = 9;
  const std::vector<Advice> advice = advise(input.recipe);
  EXPECT_EQ(advice[0].cases[0].subject, input.recipe.layers[1].name);
  EXPECT_THAT(advice[0].remedies[0].text, HasSubstr("calibration samples"));
}

TEST(AdviceTest, AnEmptyRecipeAsksForAMeasurementOnly) { EXPECT_EQ(advise(Recipe()).size(), 1u); }

// Pages of made-up networks, for a look in a browser: DNATEQ_REPORT_SAMPLES=/tmp report_test
TEST(ReportTest, WritesSamplesWhereAsked) {
  const char* folder = std::getenv("DNATEQ_REPORT_SAMPLES");
  if (folder == nullptr) GTEST_SKIP() << "DNATEQ_REPORT_SAMPLES is not set";
  const auto write = [&](const char* name, const ReportInput& input) {
    std::ofstream(std::string(folder) + "/" + name) << render_html(input);
  };
  write("report.html", network(20));
  write("report_large.html", network(60));
  write("report_empty.html", ReportInput());

  ReportInput paper = network(20);
  paper.recipe.strategy = "paper";
  paper.recipe.thresholds = study_of(9, 9);
  write("report_paper.html", paper);

  ReportInput odd = network(2);  // hostile names, nothing measured, weights only, an empty histogram
  odd.recipe.layers[0].name = odd.tensors[0].layer = "</script><script>document.title='taken'</script>\"'";
  odd.recipe.layers[1].name = odd.tensors[2].layer = "слой/" + std::string(200, 'x');
  odd.recipe.unquantized.push_back({"<b>bold</b>", "Gather", "<img src=x onerror=alert(1)>", 5});
  for (LayerRecipe& layer : odd.recipe.layers) layer.activations.reset();
  odd.tensors = {odd.tensors[0], odd.tensors[2]};
  odd.tensors[1].histogram = Histogram();
  odd.recipe.metric->exact = odd.recipe.metric->quantized = kNaN;
  odd.recipe.layers[0].output_sqnr_db = odd.recipe.layers[0].weights.sensitivity = kNaN;
  odd.has_int8_metric = false;
  odd.bytes_int8 = odd.bytes_exact = 0;
  odd.bits_loss_curve.clear();
  write("report_odd.html", odd);
}

}  // namespace
}  // namespace dnateq
