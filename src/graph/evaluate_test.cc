#include "graph/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace dnateq::testing
