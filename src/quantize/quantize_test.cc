#include "quantize/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>

#include "data/test_files.h"
#include "graph/test_models.h"
#include "quantize/judge.h"

namespace dnateq::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A whole search on a small network.
class LossLimit : public ::testing::Test {
 protected:
  LossLimit() : calibration_(random_samples("image", 64, {3, 12, 12}, 100)) {
    ov::save_model(residual_cnn(), (folder_ / "model.xml").string(), false);
    prepared_ = import_model(core_, folder_ / "model.xml", {});
    options_.metric = "agreement";
  }

  // 0: without validation samples.
  QuantizeResult quantize_with(size_t validation_samples) {
    const VectorSamples validation = random_samples("image", validation_samples, {3, 12, 12}, 5000);
    std::filesystem::create_directories(folder_ / "out");
    const NetworkInput input{"", &prepared_, &calibration_, folder_ / "model.xml", folder_ / "out"};
    return quantize(core_, {input}, validation_samples > 0 ? &validation : nullptr, {}, options_).front();
  }
  std::string error_with(size_t validation_samples) {
    try {
      quantize_with(validation_samples);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  TempFolder folder_;
  ov::Core core_;
  VectorSamples calibration_;
  PreparedModel prepared_;
  QuantizeOptions options_;
};

TEST_F(LossLimit, IsCertifiedForEveryEmissionWhereTheSamplesAreEnough) {
  options_.max_loss = 0.2;
  const QuantizeResult result = quantize_with(600);
  const MetricResult& metric = *result.recipe.metric;
  EXPECT_TRUE(metric.certified) << metric.verdict;
  EXPECT_TRUE(metric.held_out);
  EXPECT_EQ(metric.limit, 0.2);
  EXPECT_THAT(metric.verdict, AllOf(HasSubstr("certified: at 95 %"), Not(HasSubstr("not certified"))));
  ASSERT_EQ(result.recipe.emissions.size(), 2U);
  EXPECT_EQ(result.recipe.emissions[0].emission, "exact");
  EXPECT_EQ(result.recipe.emissions[1].emission, "standard");
  for (const EmissionResult& emission : result.recipe.emissions) {
    EXPECT_TRUE(emission.certified) << emission.emission;
    EXPECT_LE(emission.upper_bound, 0.2);
    EXPECT_LE(emission.loss, emission.upper_bound);
    EXPECT_EQ(emission.samples, metric.samples);
    EXPECT_EQ(emission.bound_method, "Clopper-Pearson");
    EXPECT_LE(emission.low, emission.loss);
    EXPECT_GE(emission.high, emission.loss);
    EXPECT_EQ(emission.samples_needed, 0);
  }
  EXPECT_EQ(result.recipe.emissions[0].score, metric.exact);
  EXPECT_EQ(result.recipe.emissions[1].score, metric.quantized);
}

TEST_F(LossLimit, CountsAbsoluteOrRelativeToFp32) {
  // A metric of 4 for FP32 and of 3 for whatever else: 1 is lost, or a quarter.
  options_.metric = "function:mine";
  bool is_first = true;
  options_.judge = [&](const std::vector<std::filesystem::path>&) {
    const double score = std::exchange(is_first, false) ? 4 : 3;
    return ExternalScore{score, std::vector<double>(200, score)};
  };
  for (const auto& [type, loss] : {std::pair(DropType::kAbsolute, 1.0), std::pair(DropType::kRelative, 0.25)}) {
    is_first = true;
    options_.drop_type = type;
    options_.max_loss = 1;
    const QuantizeResult result = quantize_with(0);
    EXPECT_EQ(result.recipe.metric->drop_type, to_string(type));
    EXPECT_DOUBLE_EQ(result.recipe.emissions.front().loss, loss);
    EXPECT_DOUBLE_EQ(result.recipe.emissions.front().upper_bound, loss);  // no sample differs from another
  }
}

TEST_F(LossLimit, RelativeToAScoreOfFp32IsBoundedToo) {
  options_.drop_type = DropType::kRelative;
  options_.max_loss = 0.2;
  const QuantizeResult result = quantize_with(600);
  EXPECT_TRUE(result.recipe.metric->certified) << result.recipe.metric->verdict;
  for (const EmissionResult& emission : result.recipe.emissions) {
    EXPECT_EQ(emission.bound_method, "betting") << emission.emission;
    EXPECT_NEAR(emission.loss, 1 - emission.score, 1e-12);  // FP32 agrees with itself
    EXPECT_LE(emission.loss, emission.upper_bound);
    EXPECT_LE(emission.upper_bound, 0.2);
  }
}

TEST_F(LossLimit, IsAnEstimateWhereTheSamplesAreTooFew) {
  options_.max_loss = 0.05;
  const QuantizeResult result = quantize_with(40);  // 20 samples without a loss bound it by 14 %
  const MetricResult& metric = *result.recipe.metric;
  EXPECT_FALSE(metric.certified);
  EXPECT_THAT(metric.verdict, HasSubstr("not certified"));
  for (const EmissionResult& emission : result.recipe.emissions) {
    EXPECT_FALSE(emission.certified);
    EXPECT_GT(emission.upper_bound, 0.05);
    if (emission.loss < 0.04) {
      EXPECT_GT(emission.samples_needed, emission.samples);
    }
  }
}

TEST_F(LossLimit, ThatCannotBeMetIsToldFromTimeThatIsOver) {
  options_.max_loss = 1e-9;
  options_.metric = "cosine";
  EXPECT_THAT(error_with(40), AllOf(HasSubstr("cannot be met"), HasSubstr("max_drop"), Not(HasSubstr("budget"))));
  options_.budget_seconds = 1e-6;
  EXPECT_THAT(error_with(40), AllOf(HasSubstr("budget"), Not(HasSubstr("cannot be met"))));
}

MetricResult held_out() {
  MetricResult metric;
  metric.held_out = true;
  return metric;
}

EmissionResult emission(double loss, double upper, bool certified, int64_t samples, int64_t needed) {
  EmissionResult result;
  result.emission = certified ? "cpu" : "exact";
  result.loss = loss;
  result.upper_bound = upper;
  result.bound_method = "betting";
  result.certified = certified;
  result.samples = samples;
  result.samples_needed = needed;
  return result;
}

TEST(Verdict, NamesTheWorstEmissionAndHowManySamplesWouldDo) {
  MetricResult metric = held_out();
  conclude(metric, {emission(0.004, 0.012, false, 1000, 1700), emission(0.001, 0.006, true, 1000, 0)}, 0.01, 1000);
  EXPECT_FALSE(metric.certified);
  EXPECT_EQ(metric.limit, 0.01);
  EXPECT_THAT(metric.verdict, AllOf(HasSubstr("exact may lose 0.012"), HasSubstr("3400 validation samples, 1700 of")));
}

TEST(Verdict, CertifiesOnlyWhereEveryEmissionIsCertified) {
  MetricResult metric = held_out();
  conclude(metric, {emission(0.001, 0.006, true, 1000, 0), emission(0.002, 0.008, true, 1000, 0)}, 0.01, 1000);
  EXPECT_TRUE(metric.certified);
  EXPECT_THAT(metric.verdict, HasSubstr("certified: at 95 % (betting) no more"));
}

TEST(Verdict, SaysWhatTheSamplesLack) {
  MetricResult metric;
  conclude(metric, {emission(0.001, kNotJudged, false, 0, 0)}, 0.01, 0);
  EXPECT_THAT(metric.verdict, HasSubstr("one number"));
  conclude(metric, {emission(0.001, 0.006, false, 8, 0)}, 0.01, 8);
  EXPECT_THAT(metric.verdict, HasSubstr("saw the samples"));
  metric = held_out();
  conclude(metric, {emission(0.001, 0.006, false, 1000, 0)}, 0.01, 1000);
  EXPECT_THAT(metric.verdict, HasSubstr("unproven"));
  conclude(metric, {emission(0.02, 0.03, false, 1000, 0)}, 0.01, 1000);
  EXPECT_THAT(metric.verdict,
              ::testing::StartsWith("missed: exact loses 0.02 on the samples judged on; ask for a loss "));
  EXPECT_THAT(metric.verdict, HasSubstr("not certified: at 95 % exact may lose 0.03"));
  conclude(metric, {emission(0.001, kNotJudged, false, 1000, 0)}, 0.01, 1000);
  EXPECT_THAT(metric.verdict, HasSubstr("not the mean of its samples' scores"));
  conclude(metric, {emission(0.001, std::numeric_limits<double>::infinity(), false, 4, 100)}, 0.01, 4);
  EXPECT_THAT(metric.verdict, AllOf(HasSubstr("4 samples do not bound"), HasSubstr("200 validation samples")));
}

}  // namespace
}  // namespace dnateq::testing
