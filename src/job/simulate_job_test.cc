#include "job/simulate_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dnateq/error.h"
#include "job/simulated_network.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

SimulateOptions list(const std::string& name) {
  SimulateOptions options;
  options.network = name;
  return options;
}

std::string error_of(const SimulateOptions& options) {
  try {
    run_simulate_job(options, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

class SimulateJob : public ::testing::Test {
 protected:
  SimulateJob() { fs::create_directories(folder_); }
  ~SimulateJob() override { fs::remove_all(folder_); }

  void write(const char* name) const { std::ofstream(folder_ / name) << "mine"; }

  fs::path folder_ = fs::path(::testing::TempDir()) / "dnateq_simulate_job";
};

TEST(ListSettings, AreThePapersBitsUntilOthersAreAskedFor) {
  SimulateOptions options = list("resnet50");
  EXPECT_TRUE(ListSettings(options).is_open_to_both_readings());
  options.bits = "4/5";
  const ListSettings asked(options);
  EXPECT_FALSE(asked.is_open_to_both_readings());
  EXPECT_EQ(asked.precision().weight_bits, 4);
  EXPECT_EQ(asked.precision().activation_bits, 5);
  EXPECT_THAT(asked.precision().origin, HasSubstr("bits asked for"));
}

TEST(ListSettings, ASweepsValueTakesTheirPlace) {
  ListSettings settings(list("alexnet"));
  settings.set("bits", 3);
  settings.set("weight_zeros", .5);
  settings.set("batch", 4);
  const SimulatedNetwork network = settings.make();
  EXPECT_EQ(network.coded.batch, 4);
  EXPECT_EQ(network.coded.layers.front().weights.stored_bits, 3);
  EXPECT_EQ(network.int8.layers.front().weights.zero_fraction, .5) << "the baseline skips the same zeros";
  EXPECT_THROW(settings.set("batch", 1.5), Error);
  EXPECT_TRUE(ListSettings::has("activation_bits"));
  EXPECT_FALSE(ListSettings::has("memory.vaults"));
}

TEST(KindOfNetwork, RefusesOptionsOfAnotherKind) {
  SimulateOptions options = list("alexnet");
  EXPECT_EQ(kind_of_network(options), NetworkKind::kList);
  options.shapes = {"x=1"};
  EXPECT_THAT(error_of(options), AllOf(HasSubstr("shape, model and calibration"), HasSubstr("built-in list")));
  EXPECT_THAT(error_of(list("vgg")), AllOf(HasSubstr("'vgg'"), HasSubstr("alexnet, resnet50, transformer")));
}

TEST_F(SimulateJob, ShowsTheDesignsThatWereAskedForBesideInt8) {
  SimulateOptions options = list("alexnet");
  options.bits = "4";
  options.designs = {"shift", "shift"};
  const SimulateResult result = run_simulate_job(options, {});
  std::vector<std::string> designs;
  for (const auto& design : result.document.at("designs")) designs.push_back(design.at("design"));
  EXPECT_THAT(designs, ElementsAre("int8", "shift"));
  EXPECT_TRUE(result.report.empty());
  EXPECT_FALSE(result.document.contains("sweep"));
  EXPECT_TRUE(result.document.at("readings").empty());
}

TEST_F(SimulateJob, SweepsEveryCombinationWhateverTheThreads) {
  SimulateOptions options = list("alexnet");
  options.designs = {"decode"};
  options.sweeps = {"bits=3,9", "memory.vaults=8,16"};
  const auto one = run_simulate_job(options, {}).document;
  options.threads = 3;
  size_t steps = 0;
  const auto other = run_simulate_job(options, [&](const std::string&, size_t done, size_t) {
    steps = std::max(steps, done);
    return true;
  });
  EXPECT_EQ(one, other.document);
  EXPECT_EQ(one.at("sweep").at("points").size(), 4u);
  EXPECT_EQ(steps, 4u);
  EXPECT_TRUE(one.at("sweep").at("points").back().at("designs").back().contains("error")) << "9 bits are not possible";
}

TEST_F(SimulateJob, ReplacesItsOwnFilesAndNobodyElses) {
  SimulateOptions options = list("alexnet");
  options.designs = {"decode"};
  options.directory = folder_ / "sim";
  for (int run = 0; run < 2; ++run) EXPECT_EQ(run_simulate_job(options, {}).report, folder_ / "sim" / "report.html");
  write("layers.csv");
  options.directory = folder_;
  EXPECT_THAT(error_of(options), AllOf(HasSubstr("layers.csv"), HasSubstr("choose another directory")));
  write("recipe.dnateq.json");
  EXPECT_THAT(error_of(options), HasSubstr("a result of dnateq quantize"));
  EXPECT_FALSE(fs::exists(folder_ / "result.json"));
}

}  // namespace
}  // namespace dnateq
