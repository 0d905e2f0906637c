// Memory for packed weights, on pages of 2 MiB where the system has them: a stream of codes then misses no page table.
//
// What is smaller than such a page shares chunks of several pages with its like, in the order in which it was asked
// for, so that the matrices of a network lie side by side. A chunk is given back once nothing of it is in use; the last
// one is kept. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace dnateq::kernels {

struct LineChunk;

struct FreeLines {
  LineChunk* chunk = nullptr;  // null: the lines are their own
  void operator()(uint8_t* lines) const;
};

using Lines = std::unique_ptr<uint8_t[], FreeLines>;

// `bytes`, not initialized, 64-byte aligned. Throws std::bad_alloc.
Lines allocate_lines(size_t bytes);

}  // namespace dnateq::kernels
