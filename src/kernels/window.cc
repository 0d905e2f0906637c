#include "kernels/window.h"

#include <cstring>

namespace dnateq::kernels {
namespace {

size_t span_of(size_t kernel, size_t dilation) { return (kernel - 1) * dilation + 1; }

void copy_bytes(const uint8_t* from, size_t count, uint8_t flip, uint8_t* to) {
  if (flip == 0)
    std::memcpy(to, from, count);
  else
    for (size_t i = 0; i < count; ++i) to[i] = from[i] ^ flip;
}

}  // namespace

// body(image, first output line within it, end of them).
template <typename Body>
void TileInput::for_images(const Body& body) const {
  for (size_t line = tile_.line_begin; line < tile_.line_end;) {
    const size_t image = line / out_height_, begin = line % out_height_;
    const size_t end = std::min(out_height_, begin + tile_.line_end - line);
    body(image, begin, end);
    line += end - begin;
  }
}

size_t TileInput::width() const {
  return (tile_.columns() - 1) * s_.stride_width + span_of(s_.kernel_width, s_.dilation_width);
}

size_t TileInput::input_lines(size_t output_lines) const {
  return (output_lines - 1) * s_.stride_height + span_of(s_.kernel_height, s_.dilation_height);
}

size_t TileInput::bytes() const {
  const size_t lines = tile_.line_end - tile_.line_begin;
  const size_t first_image = std::min(out_height_ - tile_.line_begin % out_height_, lines);
  const size_t whole_images = (lines - first_image) / out_height_, rest = (lines - first_image) % out_height_;
  const size_t all =
      input_lines(first_image) + whole_images * input_lines(out_height_) + (rest == 0 ? 0 : input_lines(rest));
  return all * width() * channels_;
}

Window TileInput::in_place(const uint8_t* x, size_t first) const {
  return {x + first, s_.width * s_.channels, s_.channels, true};
}

Window TileInput::copy(const uint8_t* x, size_t first, uint8_t flip, uint8_t* to) const {
  const size_t columns = width(), line_bytes = columns * channels_;
  // From the window's first column, in padded columns: where the image begins and ends.
  const size_t left = tile_.column_begin * s_.stride_width;
  const size_t inside_begin = std::min(std::max(left, s_.pad_left) - left, columns);
  const size_t inside_end = std::max(std::min(left + columns, s_.pad_left + s_.width), left + inside_begin) - left;
  uint8_t* line = to;
  for_images([&](size_t image, size_t begin, size_t end) {
    for (size_t i = 0; i < input_lines(end - begin); ++i, line += line_bytes) {
      const size_t padded_line = begin * s_.stride_height + i;
      if (inside_begin == inside_end || padded_line < s_.pad_top || padded_line >= s_.pad_top + s_.height) {
        std::memset(line, flip, line_bytes);
        continue;
      }
      const size_t image_line = image * s_.height + padded_line - s_.pad_top;
      const size_t pixel = image_line * s_.width + left + inside_begin - s_.pad_left;
      std::memset(line, flip, inside_begin * channels_);
      copy_pixels(x + pixel * s_.channels + first, inside_end - inside_begin, flip, line + inside_begin * channels_);
      std::memset(line + inside_end * channels_, flip, (columns - inside_end) * channels_);
    }
  });
  return {to, line_bytes, channels_, false};
}

void TileInput::copy_pixels(const uint8_t* from, size_t pixels, uint8_t flip, uint8_t* to) const {
  if (channels_ == s_.channels) return copy_bytes(from, pixels * channels_, flip, to);
  for (size_t i = 0; i < pixels; ++i, from += s_.channels, to += channels_) copy_bytes(from, channels_, flip, to);
}

void TileInput::row_offsets(const Window& window, size_t per_line, WindowRow* rows) const {
  size_t lines_above = 0;  // of the window, before this image's
  for_images([&](size_t image, size_t begin, size_t end) {
    for (size_t line = begin; line < end; ++line) {
      const size_t top = line * s_.stride_height, bottom = s_.pad_top + s_.height;  // in padded lines
      const size_t above = top >= s_.pad_top ? 0 : divide_up(s_.pad_top - top, s_.dilation_height);
      const size_t below = top >= bottom ? 0 : std::min(divide_up(bottom - top, s_.dilation_height), s_.kernel_height);
      WindowRow row{(lines_above + (line - begin) * s_.stride_height) * window.line_stride,
                    static_cast<uint32_t>(std::min(above, below) * per_line), static_cast<uint32_t>(below * per_line)};
      if (window.in_place)
        row.offset =
            (image * s_.height + top) * window.line_stride + tile_.column_begin * s_.stride_width * window.pixel_stride;
      for (size_t column = 0; column < tile_.columns(); ++column, row.offset += s_.stride_width * window.pixel_stride)
        *rows++ = row;
    }
    lines_above += input_lines(end - begin);
  });
}

Tile TileCut::tile(const ConvolutionShape& shape, size_t index) const {
  const size_t line = index / along_columns * lines, column = index % along_columns * columns;
  return {line, std::min(line + lines, shape.batch * shape.output_height()), column,
          std::min(column + columns, shape.output_width())};
}

TileCut cut_tiles(const ConvolutionShape& shape, size_t channels, size_t row_bytes, size_t wanted, size_t fewest_rows) {
  constexpr size_t kMostBytes = size_t{256} << 10;
  const size_t out_width = shape.output_width(), all_lines = shape.batch * shape.output_height();
  const auto fits = [&](size_t lines, size_t columns) {
    const Tile tile{0, lines, 0, columns};
    return TileInput(shape, tile, channels).bytes() + tile.rows() * row_bytes <= kMostBytes;
  };
  size_t lines = 1, columns = out_width;
  while (columns > 8 && !fits(1, columns)) columns = divide_up(columns, 2);
  if (columns < out_width || all_lines == 1) {  // long lines: perhaps of one dimension
    if (wanted > 1) columns = std::min(columns, std::max(fewest_rows, divide_up(all_lines * out_width, wanted)));
  } else {
    const size_t most =
        wanted == 1 ? all_lines : std::max(divide_up(all_lines, wanted), divide_up(fewest_rows, out_width));
    while (lines < std::min(most, all_lines) && fits(lines + 1, columns)) ++lines;
  }
  lines = divide_up(all_lines, divide_up(all_lines, lines));      // all
  columns = divide_up(out_width, divide_up(out_width, columns));  // alike
  return {lines, columns, divide_up(all_lines, lines), divide_up(out_width, columns)};
}

}  // namespace dnateq::kernels
