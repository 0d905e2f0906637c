// Programs that a job runs, as processes of their own.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace dnateq {

struct Invocation {
  std::vector<std::string> words;                  // the first one is the program's path
  std::map<std::string, std::string> environment;  // in addition to ours
};

// Runs it to its end; both of its streams go to `log`. False if it fails or cannot be started.
bool run_to_log(const Invocation& command, const std::filesystem::path& log);

struct Watch {
  std::function<void(const std::string& line)> say;  // what it prints on standard error; empty: that is dropped
  std::function<bool()> goes_on;                     // asked several times a second; empty: always
};

// Runs it to its end and returns what it prints on standard output. The last line on standard error of one that fails
// becomes the Error. Once `goes_on` says no, it is interrupted, and Cancelled is thrown.
std::string run_and_read(const Invocation& command, const Watch& watch);

}  // namespace dnateq
