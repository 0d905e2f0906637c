// Progress on stderr: a bar with time left on a terminal, one quiet line a stage otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "core/progress.h"

namespace dnateq {

class ProgressBar {
 public:
  // `interrupted` is polled: once it is true, the work is asked to stop.
  ProgressBar(bool quiet, const std::atomic<bool>& interrupted);
  ~ProgressBar();

  Progress callback();

 private:
  bool update(const std::string& stage, size_t done, size_t total);
  void clear();

  bool quiet_, terminal_;
  const std::atomic<bool>& interrupted_;
  std::string stage_;
  std::chrono::steady_clock::time_point stage_start_, last_drawn_;
  bool drawn_ = false;
};

}  // namespace dnateq
