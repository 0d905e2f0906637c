// Threads that share several short jobs, one after the other, without being woken for each: the caller's job is cut
// into pieces that the caller and its helpers take by one counter. The caller never waits for a helper to begin, only
// for pieces that one has begun, so that a machine with less free CPUs than threads loses no more than a piece. A
// helper that finds nothing to take for some 20 us goes, and is asked again by the next job that is worth it.
//
// Helpers are TBB's, of the caller's arena. Bodies must not throw, nor start work of TBB's.
// Source: ours; the counter is the usual ticket with a generation.
#pragma once

#include <tbb/task_group.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace dnateq::kernels {

class Crew {
 public:
  explicit Crew(size_t threads) : threads_(threads) {}
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  size_t threads() const { return threads_; }
  // body(context, piece) for every piece below `pieces`, each once. Called by the thread that made the crew.
  using Body = void (*)(const void* context, size_t piece);
  void run(size_t pieces, Body body, const void* context);
  template <typename Function>
  void run(size_t pieces, const Function& function) {
    run(
        pieces, [](const void* context, size_t piece) { (*static_cast<const Function*>(context))(piece); }, &function);
  }

 private:
  struct Job {  // atomic, because a late helper may read it while the next but one is written; its ticket fails then
    std::atomic<Body> body = nullptr;
    std::atomic<const void*> context = nullptr;
    std::atomic<size_t> pieces = 0;
  };
  bool take_piece();
  void help();
  void ask_for_helpers();

  const size_t threads_;
  Job jobs_[2];                       // of even and odd generations
  std::atomic<uint64_t> ticket_ = 0;  // generation << 32 | next piece
  std::atomic<size_t> finished_ = 0;  // pieces of the present generation
  std::atomic<size_t> helpers_ = 0;   // asked for, and not gone
  std::atomic<bool> dismissed_ = false;
  tbb::task_group group_;
};

}  // namespace dnateq::kernels
