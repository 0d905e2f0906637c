#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace dnateq {
namespace {

std::string duration(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return whole < 60 ? fmt::format("{} s", whole) : fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

}  // namespace

ProgressBar::ProgressBar(bool quiet, const std::atomic<bool>& interrupted)
    : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1), interrupted_(interrupted) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

Progress ProgressBar::callback() {
  return [this](const std::string& stage, size_t done, size_t total) { return update(stage, done, total); };
}

bool ProgressBar::update(const std::string& stage, size_t done, size_t total) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  const auto now = std::chrono::steady_clock::now();
  if (stage != stage_ || done == 0) {
    clear();
    stage_ = stage;
    stage_start_ = now;
    last_drawn_ = {};
  }
  const double elapsed = std::chrono::duration<double>(now - stage_start_).count();
  if (!quiet_ && terminal_ && (done == total || duration_cast<milliseconds>(now - last_drawn_).count() > 100)) {
    last_drawn_ = now;
    const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
    const auto filled = static_cast<size_t>(share * 24);
    const std::string left = done > 0 && done < total ? duration(elapsed / share - elapsed) + " left" : "";
    fmt::print(stderr, "\r\x1b[K{:<28} [{}{}] {}/{} {}", stage, std::string(filled, '='), std::string(24 - filled, ' '),
               done, total, left);
    std::fflush(stderr);
    drawn_ = true;
    if (done == total) clear();
  } else if (!quiet_ && !terminal_ && done == total && total > 0) {
    fmt::print(stderr, "{}: {} done in {}\n", stage, total, duration(elapsed));
  }
  return !interrupted_;
}

}  // namespace dnateq
