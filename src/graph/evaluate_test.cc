#include "graph/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

using ::testing::HasSubstr;

ModelPtr two_outputs() {
  const auto x = parameter("x", {-1, 4});
  const auto doubled = std::make_shared<op::Add>(x, x);
  const auto largest = std::make_shared<op::Convert>(x, ov::element::i32);
  doubled->output(0).set_names({"doubled"});
  largest->output(0).set_names({"integers"});
  return std::make_shared<ov::Model>(ov::OutputVector{doubled, largest}, ov::ParameterVector{x});
}

TEST(FindOutput, ByNameOrTheFirst) {
  const ModelPtr model = two_outputs();
  EXPECT_EQ(find_output(*model, "", "net.xml"), 0U);
  EXPECT_EQ(find_output(*model, "doubled", "net.xml"), 0U);
  EXPECT_THAT(
      error_of([&] { find_output(*model, "logits", "net.xml"); }),
      ::testing::AllOf(HasSubstr("'net.xml' has no output 'logits'"), HasSubstr("doubled"), HasSubstr("integers")));
}

TEST(FindOutput, IsTheFirstThatMetricsReadWhereNoneIsNamed) {
  const auto x = parameter("x", {-1, 4});
  const auto integers = std::make_shared<op::Convert>(x, ov::element::i64);
  const auto doubled = std::make_shared<op::Add>(x, x);
  integers->output(0).set_names({"output"});
  doubled->output(0).set_names({"doubled"});
  const ov::Model model(ov::OutputVector{integers, doubled}, ov::ParameterVector{x});
  EXPECT_EQ(find_output(model, "", "net.xml"), 1U);
  EXPECT_THAT(note_on_default_output(model),
              ::testing::AllOf(HasSubstr("reads output 'doubled'"), HasSubstr("'output' is i64")));
  EXPECT_THAT(error_of([&] { find_output(model, "output", "net.xml"); }),
              ::testing::AllOf(HasSubstr("output 'output' of 'net.xml' is i64"), HasSubstr("'doubled' [?,4]")));
  EXPECT_EQ(note_on_default_output(*two_outputs()), "");

  const ov::Model none(ov::OutputVector{integers}, ov::ParameterVector{x});
  EXPECT_THAT(error_of([&] { find_output(none, "", "net.xml"); }),
              ::testing::AllOf(HasSubstr("output 'output'"), HasSubstr("no output of it is")));
}

TEST(RunOutput, KeepsEverySamplesValuesInOrder) {
  ov::Core core;
  const ModelPtr model = two_outputs();
  const VectorSamples samples = random_samples("x", 37, {4}, 1);
  const Calls calls(samples, *model);
  for (const int threads : {1, 2}) {
    const OutputValues out = run_output(core, model, calls, 0, threads, {}, "running");
    ASSERT_EQ(out.values.size(), calls.size());
    size_t sample = 0;
    for (size_t c = 0; c < out.values.size(); ++c) {
      EXPECT_EQ(out.width[c], 4U);
      EXPECT_EQ(out.samples[c], calls.sample_count(c));
      for (int64_t s = 0; s < out.samples[c]; ++s, ++sample) {
        const auto x = values_of<float>(samples.call(static_cast<int64_t>(sample))[0].array);
        for (size_t i = 0; i < 4; ++i) EXPECT_EQ(out.values[c][static_cast<size_t>(s) * 4 + i], 2 * x[i]);
      }
    }
    EXPECT_EQ(sample, 37U);
  }
  EXPECT_THAT(error_of([&] { run_output(core, model, calls, 1, 1, {}, "running"); }), HasSubstr("not float32"));
}

TEST(IsWide, WhereAVocabularyIsOneRow) {
  const auto wide = [](const ov::PartialShape& shape) {
    const auto x = parameter("x", shape);
    const std::shared_ptr<const ov::Model> model = model_of(std::make_shared<op::Relu>(x), {x});
    return is_wide(model->output(0));
  };
  EXPECT_TRUE(wide({-1, -1, 49152}));
  EXPECT_TRUE(wide({32768}));
  EXPECT_FALSE(wide({-1, -1, 1000}));
  EXPECT_FALSE(wide({49152, -1}));
  EXPECT_FALSE(wide({}));
  EXPECT_FALSE(wide(ov::PartialShape::dynamic()));
}

// [?, 4] to 5 values; the seed chooses the weights.
ModelPtr five_classes(unsigned seed) {
  const auto x = parameter("x", {-1, 4});
  return model_of(linear("head", x, 5, 4, seed), {x});
}

TEST(ScoreBeside, IsTheScoreOfOutputsThatWereKept) {
  ov::Core core;
  const ModelPtr model = five_classes(1), reference = five_classes(7);
  const VectorSamples samples = random_samples("x", 37, {4}, 1);
  const Calls calls(samples, *model);
  for (const Metric metric : {Metric::kKl, Metric::kCosine, Metric::kAgreement}) {
    const std::vector<double> kept = score(metric, run_output(core, model, calls, 0, 1, {}, "running"),
                                           run_output(core, reference, calls, 0, 1, {}, "running"), {});
    for (const int threads : {1, 2})
      for (const size_t part_bytes : {kPartBytes, size_t{1}})
        EXPECT_EQ(score_beside(core, model, reference, calls, 0, metric, threads, {}, "running", part_bytes), kept);
  }
}

TEST(VisitPairs, ShowsEveryCallOnceWithBothOutputs) {
  ov::Core core;
  const ModelPtr model = five_classes(1), reference = five_classes(7);
  const VectorSamples samples = random_samples("x", 37, {4}, 1);
  const Calls calls(samples, *model);
  const OutputValues own = run_output(core, model, calls, 0, 1, {}, "running");
  const OutputValues other = run_output(core, reference, calls, 0, 1, {}, "running");
  std::vector<std::atomic<int>> seen(calls.size());
  visit_pairs(core, model, reference, calls, 0, 2, {}, "running",
              [&](size_t call, const ov::Tensor& got, const ov::Tensor& wanted) {
                ++seen[call];
                EXPECT_EQ(floats_of(got), own.values[call]);
                EXPECT_EQ(floats_of(wanted), other.values[call]);
              });
  for (const std::atomic<int>& count : seen) EXPECT_EQ(count, 1);
  EXPECT_THAT(error_of([&] {
                visit_pairs(core, model, reference, calls, 0, 2, {}, "running",
                            [](size_t, const ov::Tensor&, const ov::Tensor&) { throw Error("stopped"); });
              }),
              HasSubstr("stopped"));
}

}  // namespace
}  // namespace dnateq::testing
