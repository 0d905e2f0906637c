#include "job/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/test_document.h"
#include "job/quantize_options.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::with;
using testing::without;

QuantizeArguments sample_arguments() {
  QuantizeArguments a;
  a.model = "/nets/net.onnx";
  a.calibration = {"/data/calib", "0.5", "0.25", 256, 224, "gray", "nhwc", 1, "/data/story.txt", 128, 0};
  a.of_folder = a.no_rotation = true;
  a.validation = "/data/val";
  a.labels = "names";
  a.metric = "top1";
  a.metric_range = "0,1";
  a.strategy = "optimal";
  a.family = "pow2:3";
  a.emit = "exact";
  a.expect_rows = 16;
  a.weights_only = true;
  a.target_isa = "vnni";
  a.only = {"conv"};
  a.ignore = {"head", "tail"};
  a.untie = {"embedding"};
  a.ignore_names = {"conv1"};
  a.ignore_types = {"Gather", "MatMul"};
  a.ignore_may_miss = true;
  a.output_name = "logits";
  a.seed = std::numeric_limits<uint64_t>::max();
  return a;
}

Document sample_job() { return Document::parse(job_to_json(sample_arguments(), "0123")); }

TEST(JobFile, ComesBackWithEveryMember) {
  const QuantizeArguments a = sample_arguments(), back = job_from_json(job_to_json(a, "0123"), "job.json");
  EXPECT_EQ(back.model, a.model);
  EXPECT_EQ(back.model_fingerprint, "0123");
  EXPECT_EQ(back.calibration.path, a.calibration.path);
  EXPECT_EQ(back.calibration.mean, "0.5");
  EXPECT_EQ(back.calibration.std, "0.25");
  EXPECT_EQ(back.calibration.resize, 256);
  EXPECT_EQ(back.calibration.crop, 224);
  EXPECT_EQ(back.calibration.color, "gray");
  EXPECT_EQ(back.calibration.layout, "nhwc");
  EXPECT_EQ(back.calibration.batch_axis, 1);
  EXPECT_EQ(back.calibration.text, a.calibration.text);
  EXPECT_EQ(back.calibration.context, 128);
  EXPECT_EQ(back.calibration.windows, 0);
  EXPECT_TRUE(back.of_folder);
  EXPECT_TRUE(back.no_rotation);
  EXPECT_EQ(back.validation, a.validation);
  EXPECT_EQ(back.labels, "names");
  EXPECT_EQ(back.metric, "top1");
  EXPECT_EQ(back.metric_range, "0,1");
  EXPECT_EQ(back.strategy, "optimal");
  EXPECT_EQ(back.family, "pow2:3");
  EXPECT_EQ(back.emit, "exact");
  EXPECT_EQ(back.expect_rows, 16);
  EXPECT_TRUE(back.weights_only);
  EXPECT_EQ(back.target_isa, "vnni");
  EXPECT_THAT(back.only, ElementsAre("conv"));
  EXPECT_THAT(back.ignore, ElementsAre("head", "tail"));
  EXPECT_THAT(back.untie, ElementsAre("embedding"));
  EXPECT_THAT(back.ignore_names, ElementsAre("conv1"));
  EXPECT_THAT(back.ignore_types, ElementsAre("Gather", "MatMul"));
  EXPECT_TRUE(back.ignore_may_miss);
  EXPECT_EQ(back.output_name, "logits");
  EXPECT_EQ(back.seed, a.seed);
}

const std::vector<std::string> kCameLater = {"batch_axis", "metric_range", "expect_rows",  "target_isa",
                                             "untie",      "ignore_names", "ignore_types", "ignore_may_miss",
                                             "text",       "no_rotation"};

TEST(JobFile, OfAnEarlierDnateqLoadsWithDefaults) {
  Document job = sample_job();
  for (const std::string& key : kCameLater) job.erase(key);
  const QuantizeArguments a = job_from_json(job.dump(), "job.json");
  EXPECT_EQ(a.calibration.batch_axis, -1);
  EXPECT_EQ(a.metric_range, "");
  EXPECT_EQ(a.expect_rows, 0);
  EXPECT_EQ(a.target_isa, "any");
  EXPECT_TRUE(a.untie.empty() && a.ignore_names.empty() && a.ignore_types.empty());
  EXPECT_FALSE(a.ignore_may_miss || a.of_folder || a.no_rotation);
  EXPECT_EQ(a.calibration.text, "");
  EXPECT_EQ(a.calibration.context, 512);
  EXPECT_EQ(a.calibration.windows, 64);
}

TEST(JobFile, EveryRefusalNamesTheFileTheKeyAndTheRemedy) {
  const auto refused = [&](const std::string& path, const Document& value, const std::string& key) {
    EXPECT_THAT(error_of([&] { job_from_json(with(sample_job(), path, value).dump(), "job.json"); }),
                AllOf(HasSubstr("job.json"), HasSubstr(key), HasSubstr("run dnateq quantize again")))
        << path;
  };
  for (const char* text :
       {"model", "text", "calibration", "mean", "std", "color", "layout", "validation", "labels", "metric",
        "metric_range", "strategy", "family", "emit", "target_isa", "output", "model_fingerprint"})
    refused(std::string("/") + text, 1, text);
  for (const char* list : {"only", "ignore", "untie", "ignore_names", "ignore_types"}) {
    refused(std::string("/") + list, "conv", list);
    refused(std::string("/") + list, {1}, list);
  }
  for (const char* name : {"color", "layout", "strategy", "metric", "family", "emit", "target_isa"})
    refused(std::string("/") + name, "papre", std::string("'") + name + "'");
  for (const char* name : {"color", "layout", "strategy", "family", "emit", "target_isa"})
    refused(std::string("/") + name, "", std::string("'") + name + "'");
  refused("/emit", "standard,cpu", "'emit'");
  refused("/resize", -1, "'resize'");
  refused("/crop", 1 << 30, "'crop'");
  refused("/batch_axis", -2, "'batch_axis'");
  refused("/batch_axis", 8, "'batch_axis'");
  refused("/expect_rows", -1, "'expect_rows'");
  refused("/context", 1, "'context'");
  refused("/context", -1, "'context'");
  refused("/windows", -1, "'windows'");
  refused("/of_folder", 1, "'of_folder'");
  refused("/no_rotation", "yes", "'no_rotation'");
  refused("/weights_only", "true", "'weights_only'");
  refused("/ignore_may_miss", 1, "'ignore_may_miss'");
  refused("/seed", -1, "'seed'");
  testing::survives_every_value(
      sample_job(), [](const Document& document) { job_from_json(document.dump(), "job.json"); }, kCameLater);
  for (const char* text : {"", "{", "[]", "null", "\xff"})
    EXPECT_THAT(error_of([&] { job_from_json(text, "job.json"); }), HasSubstr("job.json"));
}

TEST(JobFile, MayNameNoMetricOrACommand) {
  for (const char* metric : {"", "command:./judge.sh", "kl"})
    EXPECT_EQ(job_from_json(with(sample_job(), "/metric", metric).dump(), "job.json").metric, metric);
}

TEST(Options, OfAnUnknownStrategyAreRefused) {
  QuantizeArguments a;
  a.strategy = "papre";
  EXPECT_THAT(error_of([&] { options_of(a, 1, {}, false, false); }),
              AllOf(HasSubstr("strategy 'papre'"), HasSubstr("optimal, paper or uniform")));
}

TEST(JobFile, ThatIsMissingIsNamed) {
  EXPECT_THAT(error_of([] { load_job("/no/such/job.json"); }), HasSubstr("/no/such/job.json"));
}

}  // namespace
}  // namespace dnateq
