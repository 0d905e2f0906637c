#include "kernels/line_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace dnateq::kernels {
namespace {

constexpr size_t kLineOfCache = 64, kSharedPiece = 50'000, kChunkOfPages = size_t{16} << 20;

bool is_aligned(const Lines& lines) { return reinterpret_cast<uintptr_t>(lines.get()) % kLineOfCache == 0; }

TEST(LineMemory, OfAnySizeIsAlignedAndWritable) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{16383}, size_t{16384}, size_t{1} << 20, (size_t{4} << 20) - 1,
                             size_t{4} << 20, (size_t{33} << 20) + 1}) {
    const Lines lines = allocate_lines(bytes);
    ASSERT_NE(lines, nullptr) << bytes;
    EXPECT_TRUE(is_aligned(lines)) << bytes;
    std::memset(lines.get(), 1, bytes);
  }
}

TEST(LineMemory, MatricesOfANetworkLieSideBySide) {
  const Lines first = allocate_lines(kSharedPiece), second = allocate_lines(kSharedPiece);
  const size_t distance = static_cast<size_t>(second.get() - first.get());
  EXPECT_EQ(distance, (kSharedPiece + kLineOfCache - 1) / kLineOfCache * kLineOfCache);
}

TEST(LineMemory, IsUsedAgainOnceNothingOfItIsInUse) {
  std::vector<Lines> all;
  all.push_back(allocate_lines(kSharedPiece));
  const uint8_t* const first = all[0].get();
  all.push_back(allocate_lines(kSharedPiece));
  all.erase(all.begin());
  all.push_back(allocate_lines(kSharedPiece));
  EXPECT_NE(all.back().get(), first);  // the second one is still in use
  all.clear();
  EXPECT_EQ(allocate_lines(kSharedPiece).get(), first);
}

TEST(LineMemory, PiecesOfSeveralThreadsKeepTheirOwnBytes) {
  const auto work = [](unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::pair<Lines, size_t>> pieces;
    for (int turn = 0; turn < 400; ++turn) {
      const size_t bytes = 16384 + random() % (kChunkOfPages / 40);
      pieces.emplace_back(allocate_lines(bytes), bytes);
      std::memset(pieces.back().first.get(), static_cast<int>(seed), bytes);
      if (pieces.size() < 30) continue;
      const size_t gone = random() % pieces.size();
      const auto& [lines, size] = pieces[gone];
      for (size_t i = 0; i < size; i += 999) ASSERT_EQ(lines[i], seed);
      ASSERT_EQ(lines[size - 1], seed);
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(gone));
    }
  };
  std::thread one([&] { work(1); }), two([&] { work(2); });
  one.join();
  two.join();
}

}  // namespace
}  // namespace dnateq::kernels
