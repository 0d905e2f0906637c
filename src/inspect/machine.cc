#include "inspect/machine.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <openvino/opsets/opset13.hpp>
#include <vector>

#include "kernels/matmul.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

// The fastest of some runs: what else the machine does only slows it down.
template <typename Work>
double seconds(const Work& work) {
  using Clock = std::chrono::steady_clock;
  constexpr double kEnough = 0.05;  // seconds
  constexpr int kFewestRuns = 3, kMostRuns = 1000;
  double best = 0, spent = 0;
  for (int run = 0; run < kFewestRuns || (spent < kEnough && run < kMostRuns); ++run) {
    const auto start = Clock::now();
    work();
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    best = run == 0 ? took : std::min(best, took);
    spent += took;
  }
  return std::max(best, 1e-9);
}

double read_bandwidth(size_t working_set, tbb::task_arena& arena) {
  constexpr size_t kSmallest = size_t{64} << 10, kLargest = size_t{256} << 20;
  const std::vector<uint64_t> words(std::clamp(working_set, kSmallest, kLargest) / sizeof(uint64_t), 1);
  volatile uint64_t sink = 0;
  const double time = arena.execute([&] {
    return seconds([&] {
      sink = tbb::parallel_reduce(
          tbb::blocked_range<size_t>(0, words.size(), 1 << 16), uint64_t{0},
          [&](const tbb::blocked_range<size_t>& range, uint64_t sum) {
            for (size_t i = range.begin(); i != range.end(); ++i) sum ^= words[i];
            return sum;
          },
          [](uint64_t a, uint64_t b) { return a ^ b; });
    });
  });
  return static_cast<double>(words.size() * sizeof(uint64_t)) / time;
}

double kernel_rate(tbb::task_arena& arena) {
  constexpr size_t kRows = 128, kInputs = 1024, kChannels = 1024;
  constexpr int kBits = 4;
  std::vector<uint8_t> codes(kChannels * kInputs);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i * 7 % (1U << kBits));
  std::vector<int> levels(1U << kBits);
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<int>(i);
  const kernels::PackedWeights weights(codes, kChannels, kInputs, kBits, levels);
  const std::vector<int8_t> x(kRows * kInputs, 1);
  const std::vector<int32_t> x_sums(kRows, kInputs);
  std::vector<int32_t> sums(kRows * kChannels);
  kernels::Epilogue epilogue;
  epilogue.sums = sums.data();
  epilogue.stride = kChannels;
  const double time = arena.execute([&] {
    return seconds([&] { kernels::matmul(weights, {x.data(), kRows, kInputs, x_sums.data()}, epilogue); });
  });
  return static_cast<double>(kRows * kInputs * kChannels) / time;
}

double openvino_rate(ov::Core& core, int threads, bool in_int8) {
  constexpr size_t kRows = 128, kInputs = 1024, kChannels = 1024;
  const auto x = std::make_shared<op::Parameter>(ov::element::f32, ov::Shape{kRows, kInputs});
  ov::Output<ov::Node> left = x, right;
  const auto scalar = [](float value) { return op::Constant::create(ov::element::f32, ov::Shape{}, {value}); };
  if (in_int8) {
    const auto low = scalar(-1.28F), high = scalar(1.27F);
    left = std::make_shared<op::FakeQuantize>(x, low, high, low, high, 256);
    const auto levels = op::Constant::create(ov::element::i8, ov::Shape{kChannels, kInputs},
                                             std::vector<int8_t>(kChannels * kInputs, 50));
    right = std::make_shared<op::Multiply>(std::make_shared<op::Convert>(levels, ov::element::f32), scalar(0.01F));
  } else {
    right = op::Constant::create(ov::element::f32, ov::Shape{kChannels, kInputs},
                                 std::vector<float>(kChannels * kInputs, 0.5F));
  }
  const auto model = std::make_shared<ov::Model>(
      ov::OutputVector{std::make_shared<op::MatMul>(left, right, false, true)}, ov::ParameterVector{x});
  auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32), ov::num_streams(1),
                                     ov::inference_num_threads(threads));
  ov::InferRequest request = compiled.create_infer_request();
  std::fill_n(request.get_input_tensor().data<float>(), kRows * kInputs, 1.0F);
  return static_cast<double>(kRows * kInputs * kChannels) / seconds([&] { request.infer(); });
}

}  // namespace

Machine measure_machine(ov::Core& core, size_t working_set, int threads) {
  tbb::task_arena arena(threads);
  return {read_bandwidth(working_set, arena), std::max(kernel_rate(arena), openvino_rate(core, threads, true)),
          openvino_rate(core, threads, false)};
}

}  // namespace dnateq
