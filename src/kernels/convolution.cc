#include "kernels/convolution.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstring>

#include "dnateq/error.h"
#include "kernels/epilogue_part.h"
#include "kernels/matmul_list.h"
#include "kernels/matmul_task.h"
#include "kernels/scratch.h"
#include "kernels/window.h"

namespace dnateq::kernels {
namespace {

size_t output_size(size_t size, size_t pads, size_t kernel, size_t stride, size_t dilation) {
  const size_t padded = size + pads, span = (kernel - 1) * dilation + 1;
  return padded < span ? 0 : (padded - span) / stride + 1;
}

// ---- gathering ----

// Runs of a row that lie side by side in a window.
struct Segments {
  size_t count, inputs;

  explicit Segments(const ConvolutionShape& s) {
    const bool lines = s.dilation_width == 1;  // a filter line's taps follow each other
    count = lines ? s.kernel_height : s.taps();
    inputs = s.inputs() / count;
  }
  void offsets(const ConvolutionShape& s, const Window& window, size_t* offsets) const {
    const size_t steps = count / s.kernel_height;
    for (size_t line = 0; line < s.kernel_height; ++line)
      for (size_t step = 0; step < steps; ++step)
        *offsets++ = line * s.dilation_height * window.line_stride + step * s.dilation_width * window.pixel_stride;
  }
};

constexpr size_t kShortRun = 64;
static_assert(kShortRun <= kWindowSlack);

// Runs of no more than kMost bytes, of which kMost may be read and written: without a call of memcpy.
template <size_t kMost>
void gather_short(const uint8_t* window, const Windows& windows, size_t rows, size_t row_bytes, uint8_t* to) {
  for (size_t row = 0; row < rows; ++row, to += row_bytes) {
    const uint8_t* from = window + windows.rows[row].offset;
    uint8_t* at = to;
    for (size_t i = 0; i < windows.count; ++i, at += windows.inputs) std::memcpy(at, from + windows.segments[i], kMost);
    std::memset(at, 0, static_cast<size_t>(to + row_bytes - at));
  }
}

// Rows of K inputs side by side, zeros up to `row_bytes`.
void gather(const uint8_t* window, const Windows& windows, size_t rows, size_t row_bytes, uint8_t* to) {
  if (windows.inputs <= 16) return gather_short<16>(window, windows, rows, row_bytes, to);
  if (windows.inputs <= 32) return gather_short<32>(window, windows, rows, row_bytes, to);
  if (windows.inputs <= kShortRun) return gather_short<kShortRun>(window, windows, rows, row_bytes, to);
  for (size_t row = 0; row < rows; ++row, to += row_bytes) {
    const uint8_t* from = window + windows.rows[row].offset;
    uint8_t* at = to;
    for (size_t i = 0; i < windows.count; ++i, at += windows.inputs)
      std::memcpy(at, from + windows.segments[i], windows.inputs);
    std::memset(at, 0, static_cast<size_t>(to + row_bytes - at));
  }
}

// ---- tiles ----

thread_local Scratch scratch_of_tile;

// One convolution's plan: the same for every tile.
struct Plan {
  const ConvolutionShape& shape;
  std::span<const PackedWeights> groups;
  const Levels& x;
  const Epilogue& epilogue;
  const MatmulKernel& kernel;
  Segments segments{shape};
  // The kernel reads out of the window; else rows are gathered.
  bool windows = kernel.takes_windows && segments.inputs % 4 == 0;
  bool shifted = kernel.takes_windows && x.is_signed;
  // Nothing to pad, to flip or to read past the end of.
  bool in_place = shape.pads() == 0 && !shifted && (shape.groups == 1 || shape.kernel_width == 1) &&
                  (windows || segments.inputs > kShortRun);
  size_t row_bytes = windows ? 0 : groups[0].units() * kUnitInputs;  // gathered: whole units, with levels 0 beyond K

  size_t group_channels() const { return shape.channels / shape.groups; }
};

// Where the parts of a tile's scratch begin.
struct TileScratch {
  size_t rows, segments, window, gathered, bytes;

  TileScratch(const Plan& plan, const Tile& tile, const TileInput& input) {
    const auto aligned = [](size_t size) { return divide_up(size, 64) * 64; };
    rows = 0;
    segments = aligned(tile.rows() * sizeof(WindowRow));
    window = segments + aligned(plan.segments.count * sizeof(size_t));
    gathered = window + (plan.in_place ? 0 : aligned(input.bytes() + kWindowSlack));
    bytes = gathered + (plan.windows ? 0 : aligned(tile.rows() * plan.row_bytes + kShortRun));
  }
};

void run_tile(const Plan& plan, size_t group, const Tile& tile, size_t panel_begin, size_t panel_end) {
  const ConvolutionShape& s = plan.shape;
  const TileInput input(s, tile, plan.group_channels());
  const TileScratch layout(plan, tile, input);
  uint8_t* const scratch = scratch_of_tile.at_least(layout.bytes);
  const size_t channel = group * plan.group_channels();
  const Window window = plan.in_place
                            ? input.in_place(plan.x.data, channel)
                            : input.copy(plan.x.data, channel, plan.shifted ? 0x80 : 0, scratch + layout.window);
  auto* const rows = reinterpret_cast<WindowRow*>(scratch + layout.rows);
  auto* const segments = reinterpret_cast<size_t*>(scratch + layout.segments);
  input.row_offsets(window, plan.segments.count / s.kernel_height, rows);
  plan.segments.offsets(s, window, segments);
  const Windows windows{rows, segments, plan.segments.count, plan.segments.inputs};

  const PackedWeights& weights = plan.groups[group];
  PartSink sink{};
  const Epilogue epilogue =
      part_of(plan.epilogue, tile.line_begin * s.output_width() + tile.column_begin, group * weights.channels(), sink);
  MatmulTask task = task_of(weights);
  task.m = tile.rows();
  task.epilogue = &epilogue;
  task.x_shifted = plan.shifted;
  if (plan.windows) {
    task.x = window.data;
    task.windows = &windows;
  } else {
    uint8_t* const gathered = scratch + layout.gathered;
    gather(window.data, windows, task.m, plan.row_bytes, gathered);
    task.x = gathered;
    task.x_stride = task.k = plan.row_bytes;
    task.x_signed = plan.x.is_signed && !plan.shifted;
  }
  run_range(plan.kernel, task, {0, task.m, panel_begin, panel_end});
}

void run_plan(const Plan& plan) {
  const ConvolutionShape& s = plan.shape;
  const auto threads = static_cast<size_t>(std::max(tbb::this_task_arena::max_concurrency(), 1));
  const double macs = static_cast<double>(s.rows()) * static_cast<double>(s.inputs()) * static_cast<double>(s.outputs);
  constexpr double kWorthSharing = 1e7;  // 20 microseconds, as in matmul.cc
  constexpr size_t kWorthDecoding = 96;  // rows: a panel's decoding takes about as long as two rows of products
  const size_t wanted = threads > 1 && macs >= kWorthSharing ? divide_up(4 * threads, s.groups) : 1;
  const TileCut cut = cut_tiles(s, plan.group_channels(), plan.row_bytes + sizeof(WindowRow), wanted, kWorthDecoding);
  const size_t panels = plan.groups[0].panels();
  const size_t panels_of_task = divide_up(panels, std::min(panels, divide_up(wanted, cut.tiles())));
  const size_t along_panels = divide_up(panels, panels_of_task), pieces = along_panels * cut.tiles() * s.groups;
  const auto run_piece = [&](size_t piece) {
    const size_t panel = piece % along_panels * panels_of_task;
    const size_t tile = piece / along_panels % cut.tiles(), group = piece / along_panels / cut.tiles();
    run_tile(plan, group, cut.tile(s, tile), panel, std::min(panel + panels_of_task, panels));
  };
  if (pieces > 1 && threads > 1 && macs >= kWorthSharing) return tbb::parallel_for(size_t{0}, pieces, run_piece);
  for (size_t piece = 0; piece < pieces; ++piece) run_piece(piece);
}

bool is_matmul(const ConvolutionShape& s) {
  return s.taps() == 1 && s.stride_height == 1 && s.stride_width == 1 && s.pads() == 0;
}

void run_matmuls(std::string_view kernel, const ConvolutionShape& s, std::span<const PackedWeights> groups,
                 const Levels& x, const Epilogue& epilogue) {
  for (size_t group = 0; group < groups.size(); ++group) {
    const uint8_t* const first = x.data + group * (s.channels / s.groups);
    const Activations activations = x.is_signed
                                        ? Activations(reinterpret_cast<const int8_t*>(first), s.rows(), s.channels)
                                        : Activations(first, s.rows(), s.channels);
    PartSink sink{};
    const Epilogue part = part_of(epilogue, 0, group * groups[group].channels(), sink);
    if (kernel.empty())
      matmul(groups[group], activations, part);
    else
      matmul_with(kernel, groups[group], activations, part);
  }
}

void check_groups(const ConvolutionShape& s, std::span<const PackedWeights> groups, const Levels& x,
                  const Epilogue& epilogue) {
  if (groups.size() != s.groups)
    throw Error(fmt::format("a convolution of {} groups got the weights of {}; this is a bug of dnateq, report it",
                            s.groups, groups.size()));
  for (const PackedWeights& weights : groups) {
    check_matmul(weights, x.is_signed, epilogue);
    if (weights.channels() != s.outputs / s.groups || weights.inputs() != s.inputs())
      throw Error(fmt::format(
          "a group of a convolution needs {} x {} weights and got {} x {}; this is a bug of dnateq, report it",
          s.outputs / s.groups, s.inputs(), weights.channels(), weights.inputs()));
  }
}

void run(std::string_view name, const ConvolutionShape& s, std::span<const PackedWeights> groups, const Levels& x,
         const Epilogue& epilogue) {
  check(s);
  check_groups(s, groups, x, epilogue);
  const MatmulKernel* kernel = name.empty() ? nullptr : &matmul_kernel_named(name);
  if (s.rows() == 0) return;
  if (is_matmul(s)) return run_matmuls(name, s, groups, x, epilogue);
  const auto more_tables = [](const PackedWeights& a, const PackedWeights& b) { return a.tables() < b.tables(); };
  const MatmulProblem problem{.m = s.rows(),
                              .n = groups[0].channels(),
                              .k = groups[0].inputs(),
                              .bits = groups[0].bits(),
                              .tables = std::max_element(groups.begin(), groups.end(), more_tables)->tables(),
                              .signed_activations = x.is_signed};
  if (kernel == nullptr)
    kernel = &matmul_kernel_for(problem);
  else if (const char* refusal = kernel->refusal(problem))
    throw Error(fmt::format("kernel {} does not take this convolution: {}", name, refusal));
  run_plan({.shape = s, .groups = groups, .x = x, .epilogue = epilogue, .kernel = *kernel});
}

}  // namespace

size_t ConvolutionShape::output_height() const {
  return output_size(height, pad_top + pad_bottom, kernel_height, stride_height, dilation_height);
}

size_t ConvolutionShape::output_width() const {
  return output_size(width, pad_left + pad_right, kernel_width, stride_width, dilation_width);
}

void check(const ConvolutionShape& s) {
  if (s.height == 0 || s.width == 0 || s.channels == 0 || s.outputs == 0)
    throw Error(
        fmt::format("a convolution of {} x {} x {} inputs to {} outputs computes nothing; check the model's shapes",
                    s.height, s.width, s.channels, s.outputs));
  if (s.taps() == 0 || s.stride_height == 0 || s.stride_width == 0 || s.dilation_height == 0 || s.dilation_width == 0)
    throw Error("kernel, strides and dilations of a convolution must be 1 or more; check the model");
  if (s.groups == 0 || s.channels % s.groups != 0 || s.outputs % s.groups != 0)
    throw Error(fmt::format("{} input and {} output channels do not split into {} groups; check the model", s.channels,
                            s.outputs, s.groups));
  if (s.output_height() == 0 || s.output_width() == 0)
    throw Error(fmt::format("a {} x {} kernel does not fit an image of {} x {} with its padding; check the model",
                            s.kernel_height, s.kernel_width, s.height, s.width));
}

void convolve(const ConvolutionShape& shape, std::span<const PackedWeights> groups, const Levels& x,
              const Epilogue& epilogue) {
  run("", shape, groups, x, epilogue);
}

void convolve_with(std::string_view kernel, const ConvolutionShape& shape, std::span<const PackedWeights> groups,
                   const Levels& x, const Epilogue& epilogue) {
  run(kernel, shape, groups, x, epilogue);
}

}  // namespace dnateq::kernels
