// What the parts of bench_kernels share.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <new>
#include <string>
#include <vector>

namespace dnateq::bench {

inline double seconds(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// As OpenVINO and oneDNN align their tensors: a store across two lines costs about twice.
template <typename T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <typename U>
  explicit LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* values, size_t) { ::operator delete(values, std::align_val_t{64}); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
};
template <typename T>
using Tensor = std::vector<T, LineAllocator<T>>;

// Runs a problem string "conv:..."; false if the results are wrong. Ends the program on strings that are none.
bool bench_convolution(const std::string& text);

}  // namespace dnateq::bench
