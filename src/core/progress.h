// Progress and cancellation: one callback, called with what is being done and how far it is.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>

#include "dnateq/error.h"

namespace dnateq {

// (stage, steps done, steps in all); returns false to ask for a stop.
using Progress = std::function<bool(const std::string& stage, size_t done, size_t total)>;

// One stage of work; advance() may be called from several threads.
class Task {
 public:
  Task(const Progress& progress, std::string stage, size_t total)
      : progress_(progress), stage_(std::move(stage)), total_(total) {
    report(0);
  }
  void advance(size_t steps = 1) { report(done_ += steps); }

 private:
  void report(size_t done) {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    if (!progress_(stage_, done, total_)) throw Cancelled("stopped");
  }

  const Progress& progress_;
  std::string stage_;
  size_t total_;
  std::atomic<size_t> done_{0};
  std::mutex mutex_;
};

}  // namespace dnateq
