#include "kernels/crew.h"

#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dnateq::kernels {
namespace {

constexpr uint64_t kPieceMask = 0xFFFFFFFF;
constexpr int kPausesPerLook = 8;  // at the clock, which costs about as much as one
constexpr auto kPatience = std::chrono::microseconds(20);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Waits a little each time it is asked; false once that has taken longer than a helper's patience.
class Patience {
 public:
  bool wait() {
    pause();
    if (++pauses_ % kPausesPerLook != 0) return true;
    const auto now = std::chrono::steady_clock::now();
    if (pauses_ == kPausesPerLook) begin_ = now;
    return now - begin_ < kPatience;
  }
  void reset() { pauses_ = 0; }

 private:
  int pauses_ = 0;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace

Crew::~Crew() {
  dismissed_.store(true, std::memory_order_release);
  group_.wait();  // helpers that never came find themselves dismissed
}

bool Crew::take_piece() {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (true) {
    const Job& job = jobs_[(ticket >> 32) % 2];
    const Body body = job.body.load(std::memory_order_relaxed);
    const void* const context = job.context.load(std::memory_order_relaxed);
    if ((ticket & kPieceMask) >= job.pieces.load(std::memory_order_relaxed)) return false;
    // Holds only while the generation is that of `job`, which is not written to before the one after the next.
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    body(context, static_cast<size_t>(ticket & kPieceMask));
    finished_.fetch_add(1, std::memory_order_acq_rel);
    return true;
  }
}

void Crew::help() {
  Patience patience;
  while (!dismissed_.load(std::memory_order_acquire)) {
    if (take_piece())
      patience.reset();
    else if (!patience.wait())
      break;
  }
  helpers_.fetch_sub(1, std::memory_order_acq_rel);
}

void Crew::ask_for_helpers() {
  while (helpers_.load(std::memory_order_acquire) + 1 < threads_) {
    helpers_.fetch_add(1, std::memory_order_acq_rel);
    group_.run([this] { help(); });
  }
}

void Crew::run(size_t pieces, Body body, const void* context) {
  if (pieces == 0) return;
  if (pieces == 1 || threads_ < 2) {
    for (size_t piece = 0; piece < pieces; ++piece) body(context, piece);
    return;
  }
  const uint64_t generation = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  Job& job = jobs_[generation % 2];
  job.body.store(body, std::memory_order_relaxed);
  job.context.store(context, std::memory_order_relaxed);
  job.pieces.store(pieces, std::memory_order_relaxed);
  finished_.store(0, std::memory_order_relaxed);
  ticket_.store(generation << 32, std::memory_order_release);
  ask_for_helpers();
  while (take_piece()) {
  }
  Patience patience;
  while (finished_.load(std::memory_order_acquire) < pieces)
    if (!patience.wait()) std::this_thread::yield();  // a helper was put off its CPU: let it go on
}

}  // namespace dnateq::kernels
