// Long work on a thread of its own, watched from Python's main thread: there Ctrl-C arrives, and there the user's own
// functions must run. Knows nothing of Python.
#pragma once

#include <condition_variable>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/progress.h"
#include "job/quantize_job.h"

namespace dnateq::python {

class Work {
 public:
  using Body = std::function<std::string(Work&)>;  // returns a JSON document

  // Starts at once. `threads`: the most that TBB may use meanwhile.
  Work(int threads, Body body);
  ~Work() { finish(); }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  struct Step {
    std::string stage;
    size_t done = 0, total = 0;
  };
  enum class News { kNone, kQuestion, kFinished };
  // Returns when there is a question, when the work has finished, or after `seconds`. Throws what the work threw.
  News wait(double seconds);
  std::vector<Step> take_steps();                 // the latest of each stage since the last call, in order
  std::vector<std::filesystem::path> question();  // the model files to judge
  void answer(ExternalScore score);
  std::string result();  // once it has finished
  // Stops the work and waits for its end. Whatever the body holds is gone then.
  void finish();
  // The next progress report, or a question under way, ends the work with Cancelled.
  void stop();

  // For the body.
  Progress progress();
  bool goes_on();                                                       // false once it is to stop
  ExternalScore ask(const std::vector<std::filesystem::path>& models);  // blocks until answer()

 private:
  bool note(const std::string& stage, size_t done, size_t total);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Step> steps_;
  std::optional<std::vector<std::filesystem::path>> question_;
  std::optional<ExternalScore> score_;
  bool stopping_ = false, finished_ = false;
  std::string result_;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace dnateq::python
