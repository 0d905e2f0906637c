#include "kernels/convolution.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstring>

#include "dnateq/error.h"
#include "kernels/matmul_list.h"
#include "kernels/matmul_task.h"
#include "kernels/scratch.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kSlack = 64;  // bytes after a window and after gathered rows, so that short runs are copied whole

size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }
size_t span_of(size_t kernel, size_t dilation) { return (kernel - 1) * dilation + 1; }

size_t output_size(size_t size, size_t pads, size_t kernel, size_t stride, size_t dilation) {
  const size_t padded = size + pads, span = span_of(kernel, dilation);
  return padded < span ? 0 : (padded - span) / stride + 1;
}

// ---- the epilogue of a part ----

// Passes a part's blocks on as blocks of the whole.
struct PartSink {
  BlockSink sink;
  void* context;
  size_t row, channel;

  static void pass_on(void* context, size_t row, size_t channel, const float* values, size_t count) {
    const auto* part = static_cast<const PartSink*>(context);
    part->sink(part->context, part->row + row, part->channel + channel, values, count);
  }
};

// The epilogue for rows and channels that count from (row, channel) of `whole`. `sink` must outlive it.
Epilogue part_of(const Epilogue& whole, size_t row, size_t channel, PartSink& sink) {
  Epilogue part = whole;
  if (part.row_scale != nullptr) part.row_scale += row;
  if (part.channel_scale != nullptr) part.channel_scale += channel;
  if (part.bias != nullptr) part.bias += channel;
  if (part.residual != nullptr) part.residual += row * part.residual_stride + channel;
  if (part.values != nullptr) part.values += row * part.stride + channel;
  if (part.sums != nullptr) part.sums += row * part.stride + channel;
  if (part.sink != nullptr) {
    sink = {part.sink, part.sink_context, row, channel};
    part.sink = PartSink::pass_on, part.sink_context = &sink;
  }
  return part;
}

// ---- windows ----

// Output rows that one task computes: whole output lines, or a part of a single one. Lines count through the batch.
struct Tile {
  size_t line_begin, line_end;      // of batch * OH
  size_t column_begin, column_end;  // of OW

  size_t columns() const { return column_end - column_begin; }
  size_t rows() const { return (line_end - line_begin) * columns(); }
};

// The input pixels that a tile reads, padding included: for every image an upright block of lines, one below the other.
struct Window {
  const uint8_t* data;
  size_t line_stride, pixel_stride;  // bytes
};

// A group's convolution over one tile.
class TileInput {
 public:
  TileInput(const ConvolutionShape& shape, const Tile& tile)
      : s_(shape), tile_(tile), out_height_(shape.output_height()), group_channels_(shape.channels / shape.groups) {}

  size_t window_width() const {
    return (tile_.columns() - 1) * s_.stride_width + span_of(s_.kernel_width, s_.dilation_width);
  }
  size_t window_lines() const {
    const size_t lines = tile_.line_end - tile_.line_begin, first_image = out_height_ - tile_.line_begin % out_height_;
    if (lines <= first_image) return input_lines(lines);
    const size_t left = lines - first_image, rest = left % out_height_;
    return input_lines(first_image) + left / out_height_ * input_lines(out_height_) +
           (rest == 0 ? 0 : input_lines(rest));
  }
  size_t window_bytes() const { return window_lines() * window_width() * group_channels_; }

  // Copies the window of the group whose channels start at `channel`; level 0 around it. `flip` is added to every byte.
  Window copy_window(const uint8_t* x, size_t channel, uint8_t flip, uint8_t* to) const {
    const size_t width = window_width(), line_bytes = width * group_channels_;
    // Columns of the image: first of the window (less the padding), and those that exist.
    const size_t left = tile_.column_begin * s_.stride_width;
    const size_t inside_begin = std::min(std::max(left, s_.pad_left) - left, width);
    const size_t inside_end = std::max(std::min(left + width, s_.pad_left + s_.width), left + inside_begin) - left;
    uint8_t* line = to;
    for_images([&](size_t image, size_t begin, size_t end) {
      for (size_t i = 0; i < input_lines(end - begin); ++i, line += line_bytes) {
        const size_t padded_line = begin * s_.stride_height + i;
        if (inside_begin == inside_end || padded_line < s_.pad_top || padded_line >= s_.pad_top + s_.height) {
          std::memset(line, flip, line_bytes);
          continue;
        }
        const size_t first =
            (image * s_.height + padded_line - s_.pad_top) * s_.width + left + inside_begin - s_.pad_left;
        std::memset(line, flip, inside_begin * group_channels_);
        copy_pixels(x + first * s_.channels + channel, inside_end - inside_begin, flip,
                    line + inside_begin * group_channels_);
        std::memset(line + inside_end * group_channels_, flip, (width - inside_end) * group_channels_);
      }
    });
    return {to, line_bytes, group_channels_};
  }

  // Where in a window each of the tile's rows starts, and which of a row's segments (`per_line` a filter line) are not
  // all padding.
  void row_offsets(const Window& window, size_t per_line, WindowRow* rows) const {
    size_t first_line = 0;
    for_images([&](size_t, size_t begin, size_t end) {
      for (size_t line = begin; line < end; ++line) {
        const size_t top = line * s_.stride_height, dilation = s_.dilation_height;
        const size_t above = top >= s_.pad_top ? 0 : divide_up(s_.pad_top - top, dilation);
        const size_t bottom = s_.pad_top + s_.height;  // of the image, in padded lines
        const size_t below = top >= bottom ? 0 : std::min(divide_up(bottom - top, dilation), s_.kernel_height);
        WindowRow row{(first_line + (line - begin) * s_.stride_height) * window.line_stride,
                      static_cast<uint32_t>(std::min(above, below) * per_line),
                      static_cast<uint32_t>(below * per_line)};
        for (size_t column = 0; column < tile_.columns(); ++column, row.offset += s_.stride_width * window.pixel_stride)
          *rows++ = row;
      }
      first_line += input_lines(end - begin);
    });
  }

 private:
  size_t input_lines(size_t output_lines) const {
    return (output_lines - 1) * s_.stride_height + span_of(s_.kernel_height, s_.dilation_height);
  }

  // body(image, first output line within it, end of them).
  template <typename Body>
  void for_images(const Body& body) const {
    for (size_t line = tile_.line_begin; line < tile_.line_end;) {
      const size_t image = line / out_height_, begin = line % out_height_;
      const size_t end = std::min(out_height_, begin + tile_.line_end - line);
      body(image, begin, end);
      line += end - begin;
    }
  }

  void copy_pixels(const uint8_t* from, size_t pixels, uint8_t flip, uint8_t* to) const {
    if (group_channels_ == s_.channels) return copy_bytes(from, pixels * group_channels_, flip, to);
    for (size_t i = 0; i < pixels; ++i, from += s_.channels, to += group_channels_)
      copy_bytes(from, group_channels_, flip, to);
  }
  static void copy_bytes(const uint8_t* from, size_t count, uint8_t flip, uint8_t* to) {
    if (flip == 0)
      std::memcpy(to, from, count);
    else
      for (size_t i = 0; i < count; ++i) to[i] = from[i] ^ flip;
  }

  const ConvolutionShape& s_;
  const Tile& tile_;
  size_t out_height_, group_channels_;
};

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

// `bytes` <= kMost, of which kMost may be read and written: without a call of memcpy.
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
  if (windows.inputs <= 64) return gather_short<64>(window, windows, rows, row_bytes, to);
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
  const MatmulKernel* kernel;
  Segments segments;
  bool windows;      // the kernel reads out of the window; else rows are gathered
  size_t row_bytes;  // of a gathered row: the inputs of whole units, whose levels are 0 beyond K
  size_t lines_of_tile, columns_of_tile;
  size_t panels_of_task;

  size_t out_width() const { return shape.output_width(); }
  size_t lines() const { return shape.batch * shape.output_height(); }
};

// Where the parts of a tile's scratch begin.
struct TileScratch {
  size_t rows, segments, window, gathered, bytes;

  TileScratch(const Plan& plan, const Tile& tile, const TileInput& input) {
    const auto aligned = [](size_t size) { return divide_up(size, 64) * 64; };
    rows = 0;
    segments = aligned(tile.rows() * sizeof(WindowRow));
    window = segments + aligned(plan.segments.count * sizeof(size_t));
    gathered = window + aligned(input.window_bytes() + kSlack);
    bytes = gathered + (plan.windows ? 0 : aligned(tile.rows() * plan.row_bytes + kSlack));
  }
};

void run_tile(const Plan& plan, size_t group, const Tile& tile, size_t panel_begin, size_t panel_end) {
  const ConvolutionShape& s = plan.shape;
  const TileInput input(s, tile);
  const TileScratch layout(plan, tile, input);
  uint8_t* const scratch = scratch_of_tile.at_least(layout.bytes);
  const bool shifted = plan.kernel->takes_windows && plan.x.is_signed;
  const Window window =
      input.copy_window(plan.x.data, group * (s.channels / s.groups), shifted ? 0x80 : 0, scratch + layout.window);

  auto* const rows = reinterpret_cast<WindowRow*>(scratch + layout.rows);
  auto* const segments = reinterpret_cast<size_t*>(scratch + layout.segments);
  input.row_offsets(window, plan.segments.count / s.kernel_height, rows);
  plan.segments.offsets(s, window, segments);
  const Windows windows{rows, segments, plan.segments.count, plan.segments.inputs};

  const PackedWeights& weights = plan.groups[group];
  PartSink sink{};
  const Epilogue epilogue =
      part_of(plan.epilogue, tile.line_begin * plan.out_width() + tile.column_begin, group * weights.channels(), sink);
  MatmulTask task = task_of(weights);
  task.m = tile.rows();
  task.epilogue = &epilogue;
  task.x_shifted = shifted;
  if (plan.windows) {
    task.x = window.data;
    task.windows = &windows;
  } else {
    uint8_t* const gathered = scratch + layout.gathered;
    gather(window.data, windows, task.m, plan.row_bytes, gathered);
    task.x = gathered;
    task.x_stride = task.k = plan.row_bytes;
    task.x_signed = plan.x.is_signed && !shifted;
  }
  run_range(*plan.kernel, task, {0, task.m, panel_begin, panel_end});
}

// Tiles as large as stay in the second-level cache beside a panel of levels; smaller where threads would be idle, but
// of enough rows to be worth decoding the panels for (a panel costs about as much as two rows of products).
void cut(Plan& plan, size_t threads) {
  constexpr size_t kWindowBytes = size_t{256} << 10, kFewestRows = 96;
  const ConvolutionShape& s = plan.shape;
  const size_t panels = plan.groups[0].panels();
  const auto bytes_of = [&](size_t lines, size_t columns) {
    const Tile tile{0, lines, 0, columns};
    return TileInput(s, tile).window_bytes() + (plan.windows ? 0 : tile.rows() * plan.row_bytes);
  };
  plan.lines_of_tile = 1, plan.columns_of_tile = plan.out_width(), plan.panels_of_task = panels;
  while (plan.columns_of_tile > 8 && bytes_of(1, plan.columns_of_tile) > kWindowBytes)
    plan.columns_of_tile = divide_up(plan.columns_of_tile, 2);
  if (plan.columns_of_tile < plan.out_width()) {
    // A long line, one-dimensional perhaps.
    if (threads > 1)
      plan.columns_of_tile = std::min(plan.columns_of_tile,
                                      std::max(kFewestRows, divide_up(plan.lines() * plan.out_width(), 4 * threads)));
    return;
  }
  const size_t wanted = 4 * threads;
  const double macs = static_cast<double>(s.rows()) * static_cast<double>(s.inputs()) * static_cast<double>(s.outputs);
  constexpr double kWorthSharing = 1e7;  // as in matmul.cc: 20 microseconds
  const bool share = threads > 1 && macs >= kWorthSharing;
  size_t most = plan.lines();
  if (share) most = std::max(divide_up(plan.lines(), wanted), divide_up(kFewestRows, plan.out_width()));
  while (plan.lines_of_tile < most && bytes_of(plan.lines_of_tile + 1, plan.out_width()) <= kWindowBytes)
    ++plan.lines_of_tile;
  const size_t tiles = divide_up(plan.lines(), plan.lines_of_tile) * s.groups;
  plan.lines_of_tile = divide_up(plan.lines(), divide_up(plan.lines(), plan.lines_of_tile));  // alike
  if (share && tiles < wanted) plan.panels_of_task = divide_up(panels, std::min(panels, divide_up(wanted, tiles)));
}

void run_plan(Plan& plan) {
  const auto threads = static_cast<size_t>(std::max(tbb::this_task_arena::max_concurrency(), 1));
  cut(plan, threads);
  const size_t along_columns = divide_up(plan.out_width(), plan.columns_of_tile);
  const size_t along_lines = divide_up(plan.lines(), plan.lines_of_tile);
  const size_t panels = plan.groups[0].panels(), along_panels = divide_up(panels, plan.panels_of_task);
  const auto run_piece = [&](size_t piece) {
    const size_t panel = piece % along_panels * plan.panels_of_task;
    piece /= along_panels;
    const size_t column = piece % along_columns * plan.columns_of_tile;
    piece /= along_columns;
    const size_t line = piece % along_lines * plan.lines_of_tile, group = piece / along_lines;
    const Tile tile{line, std::min(line + plan.lines_of_tile, plan.lines()), column,
                    std::min(column + plan.columns_of_tile, plan.out_width())};
    run_tile(plan, group, tile, panel, std::min(panel + plan.panels_of_task, panels));
  };
  const size_t pieces = along_panels * along_columns * along_lines * plan.shape.groups;
  if (pieces == 1 || threads == 1) {
    for (size_t piece = 0; piece < pieces; ++piece) run_piece(piece);
    return;
  }
  tbb::parallel_for(size_t{0}, pieces, run_piece);
}

bool is_matmul(const ConvolutionShape& s) {
  return s.taps() == 1 && s.stride_height == 1 && s.stride_width == 1 &&
         s.pad_top + s.pad_left + s.pad_bottom + s.pad_right == 0;
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
  const Segments segments(s);
  Plan plan{s,
            groups,
            x,
            epilogue,
            kernel,
            segments,
            kernel->takes_windows && segments.inputs % 4 == 0,
            groups[0].units() * kUnitInputs,
            1,
            1,
            1};
  run_plan(plan);
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
