#include "kernels/line_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>

namespace dnateq::kernels {

struct LineChunk {
  uint8_t* lines = nullptr;
  size_t used = 0, pieces = 0;
};

namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kChunk = 8 * kHugePage;
// Of one matrix: less is left to malloc, more is worth pages of its own.
constexpr size_t kLeastShared = size_t{16} << 10, kMostShared = kChunk / 4;

size_t rounded(size_t bytes, size_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

uint8_t* allocate(size_t bytes, size_t alignment) {
  auto* lines = static_cast<uint8_t*>(std::aligned_alloc(alignment, rounded(bytes, alignment)));
  if (lines == nullptr) throw std::bad_alloc();
  return lines;
}

uint8_t* allocate_pages(size_t bytes) {
  uint8_t* const lines = allocate(bytes, kHugePage);
  madvise(lines, rounded(bytes, kHugePage), MADV_HUGEPAGE);  // a wish: without it all works as well
  return lines;
}

class Chunks {
 public:
  Lines piece(size_t bytes) {
    bytes = rounded(bytes, kLine);
    const std::lock_guard lock(mutex_);
    if (last_ == nullptr || kChunk - last_->used < bytes) {
      auto chunk = std::make_unique<LineChunk>();
      chunk->lines = allocate_pages(kChunk);
      last_ = chunk.release();  // the former one is given back with the last of its pieces
    }
    uint8_t* const lines = last_->lines + last_->used;
    last_->used += bytes;
    ++last_->pieces;
    return Lines(lines, FreeLines{last_});
  }

  void give_back(LineChunk* chunk) {
    const std::lock_guard lock(mutex_);
    if (--chunk->pieces > 0) return;
    if (chunk == last_)
      chunk->used = 0;
    else
      release(chunk);
  }

 private:
  static void release(LineChunk* chunk) {
    std::free(chunk->lines);
    delete chunk;
  }

  std::mutex mutex_;
  LineChunk* last_ = nullptr;
};

// Never destroyed: weights that live until the program ends are given back after that.
Chunks& chunks() {
  static auto* const all = new Chunks;
  return *all;
}

}  // namespace

void FreeLines::operator()(uint8_t* lines) const {
  if (chunk == nullptr)
    std::free(lines);
  else
    chunks().give_back(chunk);
}

Lines allocate_lines(size_t bytes) {
  bytes = std::max(bytes, size_t{1});
  if (bytes < kLeastShared) return Lines(allocate(bytes, kLine));
  return bytes < kMostShared ? chunks().piece(bytes) : Lines(allocate_pages(bytes));
}

}  // namespace dnateq::kernels
