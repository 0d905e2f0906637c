#include "graph/runner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "graph/test_models.h"

namespace dnateq::testing {
namespace {

class Running : public ::testing::Test {
 protected:
  Running() {
    for (unsigned i = 0; i < 25; ++i) inputs_.push_back(random_tensor({1 + i % 3, 3, 12, 12}, i));
  }
  std::vector<std::vector<float>> outputs_with(int threads) {
    Runner runner(core_, model_, threads);
    std::vector<std::vector<float>> all(inputs_.size());
    runner.run(
        inputs_.size(), [&](size_t c) { return std::vector{inputs_[c]}; },
        [&](size_t c, const std::vector<ov::Tensor>& outputs) { all[c] = floats_of(outputs.at(0)); });
    return all;
  }

  ov::Core core_;
  ModelPtr model_ = residual_cnn();
  std::vector<ov::Tensor> inputs_;
};

TEST_F(Running, EveryCallGivesItsOwnOutputAtAnyNumberOfThreads) {
  const auto one = outputs_with(1);
  EXPECT_EQ(outputs_with(2), one);
  EXPECT_EQ(outputs_with(3), one);
  for (const size_t c : {0U, 7U, 24U}) expect_near(one[c], infer(core_, model_, {inputs_[c]}));
}

TEST_F(Running, EachCallIsSeenOnceAndTheTaskCountsThem) {
  size_t last = 0;
  const Progress progress = [&](const std::string& stage, size_t done, size_t total) {
    EXPECT_EQ(stage, "running");
    EXPECT_EQ(total, 25U);
    last = std::max(last, done);
    return true;
  };
  Task task(progress, "running", inputs_.size());
  std::vector<std::atomic<int>> seen(inputs_.size());
  Runner(core_, model_, 2)
      .run(
          inputs_.size(), [&](size_t c) { return std::vector{inputs_[c]}; },
          [&](size_t c, const std::vector<ov::Tensor>&) { ++seen[c]; }, &task);
  for (const auto& times : seen) EXPECT_EQ(times, 1);
  EXPECT_EQ(last, 25U);
}

TEST_F(Running, NoCallsAreNoWork) {
  Runner runner(core_, model_, 2);
  runner.run(
      0, [](size_t) -> std::vector<ov::Tensor> { throw Error("fed"); },
      [](size_t, const std::vector<ov::Tensor>&) { throw Error("sunk"); });
}

TEST_F(Running, AFailureInFeedOrSinkReachesTheCallerAndTheRunnerGoesOn) {
  for (const int threads : {1, 2}) {
    Runner runner(core_, model_, threads);
    const auto feed = [&](size_t c) { return std::vector{inputs_[c]}; };
    EXPECT_THROW(runner.run(
                     inputs_.size(), [&](size_t c) { return c == 3 ? throw Error("damaged sample") : feed(c); },
                     [](size_t, const std::vector<ov::Tensor>&) {}),
                 Error);
    EXPECT_THROW(runner.run(inputs_.size(), feed,
                            [](size_t c, const std::vector<ov::Tensor>&) {
                              if (c == 3) throw Error("full");
                            }),
                 Error);
    std::atomic<int> calls = 0;
    runner.run(inputs_.size(), feed, [&](size_t, const std::vector<ov::Tensor>&) { ++calls; });
    EXPECT_EQ(calls, 25);
  }
}

TEST_F(Running, AStopIsAskedForOnceAndEndsTheRun) {
  const Progress progress = [](const std::string&, size_t done, size_t) { return done < 5; };
  Task task(progress, "running", inputs_.size());
  std::atomic<int> calls = 0;
  EXPECT_THROW(Runner(core_, model_, 2)
                   .run(
                       inputs_.size(), [&](size_t c) { return std::vector{inputs_[c]}; },
                       [&](size_t, const std::vector<ov::Tensor>&) { ++calls; }, &task),
               Cancelled);
  EXPECT_LE(calls, 7);
}

}  // namespace
}  // namespace dnateq::testing
