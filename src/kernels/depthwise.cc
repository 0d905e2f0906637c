#include "kernels/depthwise.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstdlib>

#include "core/isa.h"
#include "dnateq/code.h"
#include "dnateq/error.h"
#include "kernels/depthwise_kernel.h"
#include "kernels/epilogue_part.h"
#include "kernels/matmul_list.h"
#include "kernels/matmul_task.h"
#include "kernels/scratch.h"
#include "kernels/window.h"

namespace dnateq::kernels {
namespace {

static_assert(DepthwiseWeights::kBlockChannels == kDepthwiseBlock);

struct DepthwiseKernel {
  const char* name;  // of the matmul kernel of the same instructions
  bool (*runs_on)(const CpuFeatures& cpu);
  void (*run)(const DepthwiseTask& task);
};

constexpr DepthwiseKernel kKernels[] = {
#if defined(__x86_64__)
    {"gemm-vnni", [](const CpuFeatures& c) { return c.avx512_vbmi && c.avx512_vnni; }, run_depthwise_vnni},
    {"avx2", [](const CpuFeatures& c) { return c.avx2; }, run_depthwise_avx2},
#endif
    {"scalar", [](const CpuFeatures&) { return true; }, run_depthwise_scalar},
};

const DepthwiseKernel* kernel_named(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKernels), std::end(kKernels), [&](const DepthwiseKernel& kernel) {
    return name == kernel.name && kernel.runs_on(cpu());
  });
  return found == std::end(kKernels) ? nullptr : found;
}

const DepthwiseKernel& fastest_kernel() {
  return *std::find_if(std::begin(kKernels), std::end(kKernels),
                       [](const DepthwiseKernel& kernel) { return kernel.runs_on(cpu_in_use()); });
}

// DNATEQ_KERNEL's, where it is one of these.
const DepthwiseKernel& chosen_kernel() {
  const MatmulKernel* forced = kernel_of_environment();
  const DepthwiseKernel* same = forced == nullptr ? nullptr : kernel_named(forced->name);
  return same == nullptr ? fastest_kernel() : *same;
}

thread_local Scratch scratch_of_tile;

void run_tile(const DepthwiseKernel& kernel, const ConvolutionShape& s, const DepthwiseWeights& weights,
              const Levels& x, const Epilogue& whole, const Tile& tile) {
  const TileInput input(s, tile, s.channels);
  const size_t taps_at = divide_up(tile.rows() * sizeof(WindowRow), 64) * 64;
  const size_t window_at = taps_at + divide_up(2 * weights.pairs() * sizeof(size_t), 64) * 64;
  uint8_t* const scratch = scratch_of_tile.at_least(window_at + input.bytes() + kWindowSlack);
  auto* const rows = reinterpret_cast<WindowRow*>(scratch);
  auto* const taps = reinterpret_cast<size_t*>(scratch + taps_at);

  const Window window = input.copy(x.data, 0, 0, scratch + window_at);
  input.row_offsets(window, s.kernel_width, rows);
  for (size_t tap = 0; tap < s.taps(); ++tap)
    taps[tap] = tap / s.kernel_width * s.dilation_height * window.line_stride +
                tap % s.kernel_width * s.dilation_width * window.pixel_stride;
  if (s.taps() % 2 != 0) taps[s.taps()] = 0;  // any pixel: its level is 0

  PartSink sink{};
  const Epilogue epilogue = part_of(whole, tile.line_begin * s.output_width() + tile.column_begin, 0, sink);
  kernel.run({.x = window.data,
              .rows = rows,
              .taps = taps,
              .m = tile.rows(),
              .pairs = weights.pairs(),
              .channels = s.channels,
              .x_signed = x.is_signed,
              .levels = weights.levels(),
              .epilogue = &epilogue});
}

void check(const ConvolutionShape& s, const DepthwiseWeights& weights, const Levels& x, const Epilogue& epilogue) {
  check(s);
  check_destination(epilogue);
  if (s.groups != s.channels || s.outputs != s.channels)
    throw Error(fmt::format(
        "a convolution of {} groups, {} inputs and {} outputs is not depthwise; this is a bug of dnateq, report it",
        s.groups, s.channels, s.outputs));
  if (weights.channels() != s.channels || weights.taps() != s.taps())
    throw Error(
        fmt::format("a depthwise convolution needs {} x {} weights and got {} x {}; this is a bug of dnateq, report it",
                    s.channels, s.taps(), weights.channels(), weights.taps()));
  if (weights.largest_absolute_sum() > INT32_MAX / (x.is_signed ? 128 : 255))
    throw Error(
        fmt::format("sums over {} taps may overflow 32 bits; quantize this layer with smaller levels", s.taps()));
}

void run(const DepthwiseKernel& kernel, const ConvolutionShape& s, const DepthwiseWeights& weights, const Levels& x,
         const Epilogue& epilogue) {
  if (s.rows() == 0) return;
  const auto threads = static_cast<size_t>(std::max(tbb::this_task_arena::max_concurrency(), 1));
  const double macs = static_cast<double>(s.rows()) * static_cast<double>(s.taps()) * static_cast<double>(s.channels);
  constexpr double kWorthSharing = 1e6;  // 20 microseconds
  const bool share = threads > 1 && macs >= kWorthSharing;
  const TileCut cut = cut_tiles(s, s.channels, sizeof(WindowRow), share ? 4 * threads : 1, 1);
  const auto run_piece = [&](size_t tile) { run_tile(kernel, s, weights, x, epilogue, cut.tile(s, tile)); };
  if (share) return tbb::parallel_for(size_t{0}, cut.tiles(), run_piece);
  for (size_t tile = 0; tile < cut.tiles(); ++tile) run_piece(tile);
}

}  // namespace

size_t DepthwiseWeights::place(size_t channel, size_t tap) const {
  constexpr size_t kOctet = 8, kPlaceOfOctet[] = {0, 2, 1, 3};
  const size_t in_block = channel % kBlockChannels;
  return channel / kBlockChannels * block_levels() + tap / 2 * 2 * kBlockChannels +
         2 * (kOctet * kPlaceOfOctet[in_block / kOctet] + in_block % kOctet) + tap % 2;
}

DepthwiseWeights::DepthwiseWeights(std::span<const uint8_t> codes, size_t channels, size_t taps, int bits,
                                   std::span<const int> levels)
    : channels_(channels), taps_(taps) {
  if (channels == 0 || taps == 0 || codes.size() / channels != taps || codes.size() % channels != 0)
    throw Error(
        fmt::format("{} codes are no {} filters of {} taps; emit the model again", codes.size(), channels, taps));
  if (bits < kMinStoredBits || bits > kMaxStoredBits || levels.size() != size_t{1} << bits || levels[0] != 0)
    throw Error(fmt::format("filters of {} stored bits with {} levels are none of dnateq's; emit the model again", bits,
                            levels.size()));
  // As PackedWeights, whose products these replace.
  constexpr int kLargest = 127 * 128 + 63, kSmallest = -127 * 128 - 64;
  const auto [smallest, largest] = std::minmax_element(levels.begin(), levels.end());
  if (*smallest < kSmallest || *largest > kLargest)
    throw Error(fmt::format("levels from {} to {} are outside {} ... {}; quantize with a coarser grid", *smallest,
                            *largest, kSmallest, kLargest));
  levels_.resize(blocks() * block_levels());
  for (size_t channel = 0; channel < channels; ++channel) {
    int64_t absolute = 0;
    for (size_t tap = 0; tap < taps; ++tap) {
      const uint8_t code = codes[channel * taps + tap];
      if (code >> bits != 0) throw Error(fmt::format("code {} does not fit {} bits; emit the model again", code, bits));
      levels_[place(channel, tap)] = static_cast<int16_t>(levels[code]);
      absolute += std::abs(levels[code]);
    }
    largest_absolute_sum_ = std::max(largest_absolute_sum_, absolute);
  }
}

void convolve_depthwise(const ConvolutionShape& shape, const DepthwiseWeights& weights, const Levels& x,
                        const Epilogue& epilogue) {
  check(shape, weights, x, epilogue);
  run(chosen_kernel(), shape, weights, x, epilogue);
}

void convolve_depthwise_with(std::string_view name, const ConvolutionShape& shape, const DepthwiseWeights& weights,
                             const Levels& x, const Epilogue& epilogue) {
  check(shape, weights, x, epilogue);
  const DepthwiseKernel* kernel = kernel_named(name);
  if (kernel == nullptr)
    throw Error(
        fmt::format("this CPU has no depthwise kernel {}; use one of {}", name, fmt::join(depthwise_kernels(), ", ")));
  run(*kernel, shape, weights, x, epilogue);
}

std::vector<std::string> depthwise_kernels() {
  std::vector<std::string> names;
  for (const DepthwiseKernel& kernel : kKernels)
    if (kernel.runs_on(cpu())) names.emplace_back(kernel.name);
  return names;
}

}  // namespace dnateq::kernels
