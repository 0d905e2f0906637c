// How a layer is cut over the tiles and in which order a tile works through its part.
//
// Cut: into groups x rows x outputs parts, at most one a tile. Of the cuts whose fullest tile has the fewest folds, the
// one with the least DRAM traffic counts, then the least traffic over the network. Where all of them move an operand
// more than once, cuts of up to a seventh more folds compete by DRAM traffic x folds. Tiles that need the same
// operand run in step: it is read once, each of their vaults holding a share, and broadcast.
//
// Order inside a tile, group by group: weights outermost (as many column folds as half the weight buffer holds stay,
// all rows pass by) or inputs outermost (as many row folds as half the input buffer holds stay, all weights pass by),
// whichever moves fewer bytes. What doesn't fit for even one fold streams past in pieces of K. A convolution's rows
// slide: what the previous fold has read and the next needs stays, where the window of a fold fits half the input
// buffer.
//
// Source: output-stationary folding as in SCALE-Sim; the choice of loops is ours.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "accelerator/config.h"
#include "accelerator/workload.h"

namespace dnateq::accelerator {

struct Cut {  // number of parts
  int64_t groups = 1, rows = 1, outputs = 1;
  int64_t tiles() const { return groups * rows * outputs; }
  bool operator==(const Cut&) const = default;
};

struct OperandBits {  // stored bits of a value; 0: the operand is on chip already and costs no DRAM traffic
  int weights = 8, inputs = 8;
  bool weights_on_chip = false, inputs_on_chip = false;
};

struct ArraySize {
  int64_t rows = 0, columns = 0;
};

struct Tiling {
  Cut cut;
  bool weights_outer = true;
  int64_t weight_folds = 0;                   // column folds whose weights stay; 0: weights stream
  int64_t input_folds = 0;                    // row folds whose inputs stay; 0: inputs stream
  int64_t weight_block = 1, input_block = 1;  // folds of the outermost loop's blocks
  bool all_inputs_stay = false;
  bool moves_once = false;  // neither operand passes twice through DRAM (borders of row parts aside)
  // Of all tiles, in values. `fetched`: read from DRAM or from where they lie on chip; a broadcast counts once.
  int64_t fetched_weights = 0, fetched_inputs = 0;
  int64_t tile_weights = 0, tile_inputs = 0;  // the same of the fullest tile, from whichever vaults
  // Over all tiles: how often the array reads a value from its buffers.
  int64_t array_weight_reads = 0, array_input_reads = 0;
  // The fullest tile.
  int64_t groups = 0, first_row = 0, rows = 0, outputs = 0, row_folds = 0, column_folds = 0;
  int64_t folds() const { return groups * row_folds * column_folds; }
  std::string cut_text() const;
  bool operator==(const Tiling&) const = default;
};

// Values of one group's input that rows [first, first + count) read.
int64_t inputs_of(const Layer& layer, int64_t first, int64_t count);

// Throws Error naming the buffer whose half can't hold one step of the array.
Tiling tile(const Layer& layer, const OperandBits& bits, const Config& config, const ArraySize& array);

// Whether `a` has no more folds, DRAM traffic and network traffic than `b`, in all and on the fullest tile.
bool costs_no_more(const Tiling& a, const Tiling& b, const OperandBits& bits);

// A piece of a fold on the fullest tile: `pairs` of its K.
struct Step {
  int64_t rows = 0, columns = 0, pairs = 0;
  bool ends_fold = false;
  int64_t weights = 0, weights_at = 0;  // values to fetch, and the place of the first in the tile's weights
  int64_t inputs = 0, inputs_at = 0;
  int64_t weight_block = 0, input_block = 0;  // what fills one half of a buffer; block b needs the half that b - 2 had
};

// All steps of the fullest tile, in order.
void for_each_step(const Layer& layer, const OperandBits& bits, const Config& config, const ArraySize& array,
                   const Tiling& tiling, const std::function<void(const Step&)>& visit);

}  // namespace dnateq::accelerator
