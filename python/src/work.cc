#include "work.h"

#include <tbb/global_control.h>

#include <chrono>
#include <utility>

#include "dnateq/error.h"

namespace dnateq::python {

Work::Work(int threads, Body body)
    : thread_([this, threads, body = std::move(body)] {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(threads));
        std::string result;
        std::exception_ptr failure;
        try {
          result = body(*this);
        } catch (...) {
          failure = std::current_exception();
        }
        const std::lock_guard lock(mutex_);
        result_ = std::move(result);
        failure_ = failure;
        finished_ = true;
        changed_.notify_all();
      }) {}

void Work::finish() {
  stop();
  if (thread_.joinable()) thread_.join();
}

Work::News Work::wait(double seconds) {
  std::unique_lock lock(mutex_);
  const bool something = changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                                           [&] { return finished_ || (question_ && !score_); });
  if (!something) return News::kNone;
  if (!finished_) return News::kQuestion;
  if (failure_) std::rethrow_exception(failure_);
  return News::kFinished;
}

std::vector<Work::Step> Work::take_steps() {
  const std::lock_guard lock(mutex_);
  return std::exchange(steps_, {});
}

std::vector<std::filesystem::path> Work::question() {
  const std::lock_guard lock(mutex_);
  return question_.value_or(std::vector<std::filesystem::path>());
}

void Work::answer(ExternalScore score) {
  const std::lock_guard lock(mutex_);
  score_ = std::move(score);
  changed_.notify_all();
}

std::string Work::result() {
  const std::lock_guard lock(mutex_);
  return result_;
}

void Work::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

Progress Work::progress() {
  return [this](const std::string& stage, size_t done, size_t total) { return note(stage, done, total); };
}

bool Work::goes_on() {
  const std::lock_guard lock(mutex_);
  return !stopping_;
}

bool Work::note(const std::string& stage, size_t done, size_t total) {
  const std::lock_guard lock(mutex_);
  if (steps_.empty() || steps_.back().stage != stage) steps_.push_back({stage, 0, 0});
  steps_.back().done = done;
  steps_.back().total = total;
  return !stopping_;
}

ExternalScore Work::ask(const std::vector<std::filesystem::path>& models) {
  std::unique_lock lock(mutex_);
  question_ = models;
  score_.reset();
  changed_.notify_all();
  changed_.wait(lock, [&] { return score_ || stopping_; });
  question_.reset();
  if (!score_) throw Cancelled("stopped while a model was judged");
  return *std::exchange(score_, std::nullopt);
}

}  // namespace dnateq::python
