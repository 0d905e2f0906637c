// Memory that a thread keeps between kernel calls, so that none allocates on the hot path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace dnateq::kernels {

// Grows to the largest task its thread has run and stays. 64-byte aligned; the contents do not survive growing.
class Scratch {
 public:
  uint8_t* at_least(size_t bytes) {
    if (bytes > size_) {
      bytes_.reset();
      size_ = 0;
      bytes_.reset(static_cast<uint8_t*>(::operator new(bytes, kAlignment)));
      size_ = bytes;
    }
    return bytes_.get();
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(uint8_t* bytes) const { ::operator delete(bytes, kAlignment); }
  };
  std::unique_ptr<uint8_t, Free> bytes_;
  size_t size_ = 0;
};

}  // namespace dnateq::kernels
