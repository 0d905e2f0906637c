#include "kernels/crew.h"

#include <gtest/gtest.h>
#include <tbb/task_arena.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace dnateq::kernels {
namespace {

TEST(Crew, EveryPieceOfEveryJobIsDoneOnceAndBeforeTheNextOne) {
  for (const int threads : {1, 2, 4}) {
    tbb::task_arena arena(threads);
    arena.execute([&] {
      for (int round = 0; round < 20; ++round) {
        Crew crew(static_cast<size_t>(threads));
        std::vector<int> done(1000);
        for (int job = 1; job <= 50; ++job) {
          const size_t pieces = static_cast<size_t>(job * 37 % 1000);
          crew.run(pieces, [&](size_t piece) { done[piece] += done[piece] >= 0 ? 1 : 0; });
          for (size_t i = 0; i < done.size(); ++i) {
            ASSERT_EQ(done[i], i < pieces ? 1 : 0) << threads << " threads, job " << job << ", piece " << i;
            done[i] = 0;
          }
        }
      }
    });
  }
}

TEST(Crew, HelpersTakeAPart) {
  tbb::task_arena arena(2);
  arena.execute([] {
    Crew crew(2);
    std::atomic<size_t> by_others = 0;
    const auto self = std::this_thread::get_id();
    // As long as it takes: on a busy machine a helper may come late.
    for (int job = 0; job < 2000 && by_others == 0; ++job)
      crew.run(8, [&](size_t) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
        while (std::chrono::steady_clock::now() < end) {
        }
        if (std::this_thread::get_id() != self) ++by_others;
      });
    EXPECT_GT(by_others, 0U);
  });
}

TEST(Crew, HelpersThatFoundNothingComeAgain) {
  tbb::task_arena arena(3);
  arena.execute([] {
    Crew crew(3);
    for (int job = 0; job < 20; ++job) {
      std::atomic<size_t> sum = 0;
      crew.run(100, [&](size_t piece) { sum += piece; });
      EXPECT_EQ(sum, 4950U);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // longer than a helper waits
    }
  });
}

// With more threads than CPUs, and no thread but the caller's in the arena: nothing waits for a helper.
TEST(Crew, NeedsNoHelpers) {
  tbb::task_arena arena(1);
  arena.execute([] {
    Crew crew(16);
    for (int job = 0; job < 100; ++job) {
      std::atomic<size_t> sum = 0;
      crew.run(10, [&](size_t piece) { sum += piece; });
      EXPECT_EQ(sum, 45U);
    }
  });
}

}  // namespace
}  // namespace dnateq::kernels
