// Reads NumPy's `.npz`: a zip archive of `NAME.npy` members, stored (numpy.savez) or deflated (numpy.savez_compressed).
//
// Memory is bounded before anything is unpacked: together the arrays that are read may declare at most 1 GiB or 200
// times the archive, whichever is more (deflate itself can reach 1032 times; masks of ones come near it, but are
// small), and buffers grow with the bytes that really arrive. Checksums are verified. Non-goals: writing, encryption,
// other methods.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

// Not thread-safe: one archive, one thread.
class NpzArchive {
 public:
  explicit NpzArchive(const std::filesystem::path& path);
  // `bytes` must outlive the archive; `name` stands for the path in messages.
  NpzArchive(std::span<const std::byte> bytes, const std::string& name);
  ~NpzArchive();
  NpzArchive(const NpzArchive&) = delete;
  NpzArchive& operator=(const NpzArchive&) = delete;

  // Arrays in the archive's order, without `.npy`; at least one.
  const std::vector<std::string>& names() const;

  // The arrays in the order of `wanted` (empty: all). Throws Error that lists what there is if one is missing.
  std::vector<NamedArray> read(const std::vector<std::string>& wanted = {});

 private:
  struct Zip;
  std::unique_ptr<Zip> zip_;
};

}  // namespace dnateq
