// What a tile of a convolution's output reads: a window of the padded image, copied once into scratch (or the image
// itself where there is nothing to pad), and where in it every output row's inputs lie.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/convolution.h"
#include "kernels/matmul_kernel.h"

namespace dnateq::kernels {

inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

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
  bool in_place;                     // data is the whole batch itself
};

// Bytes that may be read after a copied window, so that short runs and vectors need no tails.
inline constexpr size_t kWindowSlack = 64;

class TileInput {
 public:
  // The tile reads `channels` of the shape's channels.
  TileInput(const ConvolutionShape& shape, const Tile& tile, size_t channels)
      : s_(shape), tile_(tile), out_height_(shape.output_height()), channels_(channels) {}

  size_t bytes() const;  // of a copy, without the slack

  // Copies the window of the channels from `first`, level 0 around it. All bytes are xored with `flip`.
  Window copy(const uint8_t* x, size_t first, uint8_t flip, uint8_t* to) const;
  // The batch as a window; only for shapes without padding.
  Window in_place(const uint8_t* x, size_t first) const;

  // Where each of the tile's rows starts, and which of a row's segments (`per_line` a filter line) are not all padding.
  void row_offsets(const Window& window, size_t per_line, WindowRow* rows) const;

 private:
  size_t width() const;
  size_t input_lines(size_t output_lines) const;
  template <typename Body>
  void for_images(const Body& body) const;
  void copy_pixels(const uint8_t* from, size_t pixels, uint8_t flip, uint8_t* to) const;

  const ConvolutionShape& s_;
  const Tile& tile_;
  size_t out_height_, channels_;
};

// Which tiles an output is cut into.
struct TileCut {
  size_t lines, columns;              // of a tile
  size_t along_lines, along_columns;  // tiles

  size_t tiles() const { return along_lines * along_columns; }
  Tile tile(const ConvolutionShape& shape, size_t index) const;
};

// Tiles as large as stay in the second-level cache: the window of `channels` and `row_bytes` of scratch for each row.
// Smaller ones, of no less than `fewest_rows`, where `wanted` are to be shared by threads (1: none are).
TileCut cut_tiles(const ConvolutionShape& shape, size_t channels, size_t row_bytes, size_t wanted, size_t fewest_rows);

}  // namespace dnateq::kernels
