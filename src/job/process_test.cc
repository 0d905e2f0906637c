#include "job/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "dnateq/error.h"

namespace dnateq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Invocation shell(const std::string& script) { return {{"/bin/sh", "-c", script}, {}}; }

std::string error_of(const Invocation& command, const Watch& watch = {}) {
  try {
    run_and_read(command, watch);
  } catch (const Error& error) {
    return error.what();
  }
  return "it did not fail";
}

TEST(RunAndRead, ReturnsWhatIsPrintedAndSaysEachLineOfTheRest) {
  std::vector<std::string> said;
  const Watch watch{[&](const std::string& line) { said.push_back(line); }, {}};
  EXPECT_EQ(run_and_read(shell("echo one; echo two >&2; printf three >&2; printf four"), watch), "one\nfour");
  EXPECT_THAT(said, ElementsAre("two", "three"));
}

TEST(RunAndRead, TheLastLineIsWhyItFails) {
  std::vector<std::string> said;
  const Watch watch{[&](const std::string& line) { said.push_back(line); }, {}};
  EXPECT_EQ(error_of(shell("echo before >&2; echo 'no such model' >&2; exit 3"), watch), "no such model");
  EXPECT_THAT(said, ElementsAre("before"));
  EXPECT_THAT(error_of(shell("exit 3")), HasSubstr("status 3"));
  EXPECT_THAT(error_of({{"/nowhere/program"}, {}}), HasSubstr("'/nowhere/program' cannot be started"));
}

TEST(RunAndRead, GivesTheProgramVariablesBesideOurs) {
  Invocation command = shell("printf %s \"$DNATEQ_TEST $HOME\"");
  command.environment = {{"DNATEQ_TEST", "set"}, {"HOME", "elsewhere"}};
  EXPECT_EQ(run_and_read(command, {}), "set elsewhere");
}

TEST(RunAndRead, StopsAProgramThatDoesNotWantTo) {
  const auto begin = std::chrono::steady_clock::now();
  const Watch watch{{}, [] { return false; }};
  EXPECT_THROW(run_and_read(shell("trap '' INT TERM; sleep 60"), watch), Cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(RunToLog, KeepsBothStreams) {
  const auto log = std::filesystem::path(::testing::TempDir()) / "dnateq_process_test.log";
  EXPECT_TRUE(run_to_log(shell("echo one; echo two >&2"), log));
  std::ostringstream text;
  text << std::ifstream(log).rdbuf();
  EXPECT_EQ(text.str(), "one\ntwo\n");
  EXPECT_FALSE(run_to_log(shell("exit 1"), log));
  EXPECT_FALSE(run_to_log({{"/nowhere/program"}, {}}, log));
  std::filesystem::remove(log);
}

}  // namespace
}  // namespace dnateq
