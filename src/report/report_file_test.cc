#include "report/report_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/test_document.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::with;
using testing::without;

ReportInput sample_input() {
  ReportInput input;
  input.recipe.layers.resize(2);
  input.recipe.layers[0].name = "conv";
  input.seconds = 12.5;
  input.bits_loss_curve = {{4.5, 0.25}, {5.5, 0.125}};
  input.emission = "cpu";
  input.bytes_fp32 = 1, input.bytes_int8 = 2, input.bytes_standard = 3, input.bytes_exact = 4, input.bytes_ram = 5;
  input.bytes_ram_fp32 = 6, input.bytes_ram_int8 = 7;
  input.int8_is_estimate = false;
  input.has_int8_metric = true, input.int8_metric = 0.75;
  Histogram histogram;
  histogram.add(std::vector<float>{-1.5F, 0.0F, 2.0F});
  input.tensors = {{"conv", true, histogram}, {"conv", false, {}}};
  return input;
}

std::string bytes_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

ReportInput read(const std::string& bytes) { return read_report_file(bytes, sample_input().recipe, "report.cbor"); }

ReportInput read(const Document& document) { return read(bytes_of(Document::to_cbor(document))); }

Document sample_document() {
  return parse_cbor(bytes_of(report_file_bytes(sample_input())), {"report.cbor", "remedy"});
}

TEST(ReportFile, ComesBackWithEveryMember) {
  const ReportInput input = sample_input(), back = read(bytes_of(report_file_bytes(input)));
  EXPECT_EQ(back.recipe.layers.size(), 2U);
  EXPECT_EQ(back.seconds, input.seconds);
  EXPECT_EQ(back.bits_loss_curve, input.bits_loss_curve);
  EXPECT_EQ(back.emission, "cpu");
  EXPECT_EQ(back.bytes_fp32, 1);
  EXPECT_EQ(back.bytes_int8, 2);
  EXPECT_EQ(back.bytes_standard, 3);
  EXPECT_EQ(back.bytes_exact, 4);
  EXPECT_EQ(back.bytes_ram, 5);
  EXPECT_EQ(back.bytes_ram_fp32, 6);
  EXPECT_EQ(back.bytes_ram_int8, 7);
  EXPECT_TRUE(back.has_int8_metric);
  EXPECT_EQ(back.int8_metric, 0.75);
  EXPECT_FALSE(back.int8_is_estimate);
  ASSERT_EQ(back.tensors.size(), 2U);
  EXPECT_EQ(back.tensors[0].layer, "conv");
  EXPECT_TRUE(back.tensors[0].is_weights);
  EXPECT_FALSE(back.tensors[1].is_weights);
  EXPECT_EQ(back.tensors[0].histogram.count(), 3U);
  EXPECT_EQ(back.tensors[0].histogram.maximum(), 2.0F);
}

TEST(ReportFile, OfAnEarlierDnateqLoadsWithDefaults) {
  const Document six = with(sample_document(), "/bytes", {1, 2, 3, 4, 5, 6});
  const ReportInput input = read(without(without(without(six, "/emission"), "/int8_is_estimate"), "/int8_metric"));
  EXPECT_EQ(input.emission, "standard");
  EXPECT_TRUE(input.int8_is_estimate);
  EXPECT_EQ(input.bytes_ram_int8, 0);
  EXPECT_FALSE(input.has_int8_metric);
}

TEST(ReportFile, EveryRefusalNamesTheFileTheKeyAndTheRemedy) {
  const Document whole = sample_document();
  const auto refused = [&](const std::string& path, const Document& value, const std::string& key) {
    EXPECT_THAT(error_of([&] { read(with(whole, path, value)); }),
                AllOf(HasSubstr("report.cbor"), HasSubstr(key), HasSubstr("run dnateq quantize again")))
        << path;
  };
  refused("/tensors/0/layer", 1, "tensor 1 of the list: 'layer'");
  refused("/tensors/0/weights", 1, "'weights'");
  refused("/tensors/0/keys/0", 70000, "'keys'");
  refused("/tensors", Document::array({{}, {}, {}, {}, {}}), "'tensors'");  // of two layers
  refused("/seconds", -1, "'seconds'");
  refused("/emission", "exact", "'emission'");
  refused("/curve/1/0", std::numeric_limits<double>::quiet_NaN(), "'curve'");
  refused("/curve/1", {1, 2, 3}, "'curve'");
  refused("/bytes/2", -1, "'bytes'");
  refused("/int8_metric", "none", "'int8_metric'");
  refused("/bytes", {1, 2}, "'bytes'");
  refused("/int8_is_estimate", 0, "'int8_is_estimate'");
  testing::survives_every_value(whole, [](const Document& document) { read(document); },
                                {"emission", "int8_is_estimate", "int8_metric"});
}

TEST(ReportFile, RefusesEveryTruncation) {
  const std::string whole = bytes_of(report_file_bytes(sample_input()));
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_THROW(read(whole.substr(0, length)), Error) << length;
}

}  // namespace
}  // namespace dnateq
