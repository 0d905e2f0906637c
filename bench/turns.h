// Time taken by turns: competitors run one after the other, many times, and medians are compared, because absolute
// times mean little on a shared machine.
#pragma once

#include <fmt/format.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <new>
#include <string>
#include <vector>

namespace dnateq::bench {

inline double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Median seconds of one run of each, `repeats` runs a turn: enough for the clock, few enough for the turns to mix.
inline std::vector<double> by_turns(const std::vector<std::function<void()>>& works, const std::vector<size_t>& repeats,
                                    int turns = 41) {
  std::vector<std::vector<double>> times(works.size());
  for (int turn = 0; turn < turns; ++turn)
    for (size_t i = 0; i < works.size(); ++i)
      times[i].push_back(seconds([&] {
                           for (size_t run = 0; run < repeats[i]; ++run) works[i]();
                         }) /
                         static_cast<double>(repeats[i]));
  std::vector<double> medians;
  for (const std::vector<double>& all : times) medians.push_back(median(all));
  return medians;
}

// Prints how much faster `work` is on `threads` threads than on one; `parts`: its equal parts, of which one's time is
// printed. Always true: there is no result to be wrong.
inline bool print_scaling(const std::string& name, const std::function<void()>& work, size_t repeats, int threads,
                          double parts) {
  tbb::task_arena one(1), many(threads);
  const std::vector<double> times =
      by_turns({[&] { one.execute(work); }, [&] { many.execute(work); }}, {repeats, repeats});
  fmt::print("{:44} 1 thread {:9.1f} us, {} threads {:9.1f} us: {:.2f}x\n", name, times[0] * 1e6 / parts, threads,
             times[1] * 1e6 / parts, times[0] / times[1]);
  return true;
}

// Runs for about `wanted` seconds of each, by one timed call.
inline std::vector<size_t> repeats_for(const std::vector<std::function<void()>>& works, double wanted = 5e-4) {
  std::vector<size_t> repeats;
  for (const auto& work : works) {
    work();
    repeats.push_back(std::max<size_t>(1, static_cast<size_t>(wanted / std::max(seconds(work), 1e-8))));
  }
  return repeats;
}

// As OpenVINO and oneDNN align their tensors: a store across two lines costs about twice.
template <typename T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <typename U>
  explicit LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* values, size_t) { ::operator delete (values, std::align_val_t{64}); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
};
template <typename T>
using Tensor = std::vector<T, LineAllocator<T>>;

}  // namespace dnateq::bench
