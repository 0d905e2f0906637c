#include "accelerator/tiling.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

// The array starts on the first values of a fold while the rest is on its way: fetching is tracked in pieces of this
// many pairs.
constexpr int64_t kPairsOfStep = 64;

// A cut may have this much more folds than the best if that saves more in traffic. No more than one bit makes of eight:
// so that what a bit less saves in bytes is not lost to a cut of fewer folds.
constexpr double kSlack = 1.0 / 7 + 1e-9;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t half_bits(const BufferConfig& buffer) { return buffer.bytes * 8 / 2; }

// Positions along one axis of the image that outputs [first, last] read.
int64_t span(int64_t first, int64_t last, int64_t outputs, int64_t inputs, int64_t kernel, int64_t stride) {
  if (kernel < stride) return (last - first + 1) * kernel;  // gaps between windows are not read
  const int64_t padding = std::max<int64_t>(0, (outputs - 1) * stride + kernel - inputs) / 2;
  const int64_t begin = std::max<int64_t>(0, first * stride - padding);
  const int64_t end = std::min(inputs, last * stride - padding + kernel);
  return std::max<int64_t>(0, end - begin);
}

struct Part1d {  // part `index` of `total` in `parts` parts that differ by one at most, the larger first
  int64_t first = 0, count = 0;
};

Part1d part_of(int64_t total, int64_t parts, int64_t index) {
  const int64_t least = total / parts, more = total % parts;
  return {index * least + std::min(index, more), least + (index < more ? 1 : 0)};
}

// Values that a pass over the rows of a tile fetches, one group.
int64_t pass_of(const Layer& layer, const Part1d& rows, int64_t array_rows, bool slides) {
  if (slides) return inputs_of(layer, rows.first, rows.count);
  int64_t sum = 0;
  for (int64_t row = 0; row < rows.count; row += array_rows) {
    sum += inputs_of(layer, rows.first + row, std::min(array_rows, rows.count - row));
  }
  return sum;
}

// Most inputs that a block of `folds` row folds of the tile needs at once.
int64_t widest_block(const Layer& layer, const Part1d& rows, int64_t array_rows, int64_t folds) {
  int64_t widest = 0;
  const int64_t step = array_rows * folds;
  for (int64_t row = 0; row < rows.count; row += step) {
    widest = std::max(widest, inputs_of(layer, rows.first + row, std::min(step, rows.count - row)));
  }
  return widest;
}

// Largest number of row folds whose inputs fit `values`; 0 if not even one.
int64_t folds_that_fit(const Layer& layer, const Part1d& rows, int64_t array_rows, int64_t values) {
  const int64_t all = ceil_div(rows.count, array_rows);
  if (layer.kind == LayerKind::kMatMul)
    return std::min(all, values / (std::min(array_rows, rows.count) * layer.inputs));
  int64_t fits = 0, fails = all + 1;
  while (fails - fits > 1) {
    const int64_t middle = fits + (fails - fits) / 2;
    (widest_block(layer, rows, array_rows, middle) <= values ? fits : fails) = middle;
  }
  return fits;
}

// Fills what depends on the loop order; everything else of `tiling` is known.
void order_loops(const Layer& layer, const OperandBits& bits, const Config& config, const ArraySize& array,
                 Tiling& tiling) {
  const int64_t weight_room = half_bits(config.weight_buffer) / bits.weights;
  const int64_t input_room = half_bits(config.input_buffer) / bits.inputs;
  const Part1d rows{tiling.first_row, tiling.rows};
  const int64_t row_folds = tiling.row_folds, column_folds = tiling.column_folds;
  tiling.weight_folds = std::min(column_folds, weight_room / (std::min(array.columns, tiling.outputs) * layer.inputs));
  tiling.input_folds = folds_that_fit(layer, rows, array.rows, input_room);
  // Where a single block is all there is, nothing comes after it and it may take both halves.
  if (tiling.groups == 1 && tiling.outputs * layer.inputs <= 2 * weight_room) tiling.weight_folds = column_folds;
  if (tiling.groups == 1 && inputs_of(layer, rows.first, rows.count) <= 2 * input_room) tiling.input_folds = row_folds;
  const bool slides = tiling.input_folds > 0;
  tiling.all_inputs_stay = tiling.input_folds >= row_folds;

  struct Passes {
    int64_t weights, inputs;
  };
  Passes outer_weights, outer_inputs;
  outer_weights.weights = tiling.weight_folds > 0 ? 1 : row_folds;
  outer_weights.inputs = tiling.all_inputs_stay   ? 1
                         : tiling.input_folds > 0 ? ceil_div(column_folds, std::max<int64_t>(1, tiling.weight_folds))
                                                  : column_folds;
  outer_inputs.inputs = tiling.input_folds > 0 ? 1 : column_folds;
  outer_inputs.weights = tiling.weight_folds >= column_folds                 ? 1
                         : tiling.weight_folds > 0 && tiling.input_folds > 0 ? ceil_div(row_folds, tiling.input_folds)
                                                                             : row_folds;
  int64_t pass = 0;
  for (int64_t part = 0; part < tiling.cut.rows; ++part) {
    pass += pass_of(layer, part_of(layer.rows, tiling.cut.rows, part), array.rows, slides);
  }
  pass *= layer.groups;
  const int64_t weights = layer.groups * layer.inputs * layer.outputs;
  const auto cost = [&](const Passes& passes) {
    const int64_t w = passes.weights * weights * bits.weights, i = passes.inputs * pass * bits.inputs;
    const int64_t dram = (bits.weights_on_chip ? 0 : w) + (bits.inputs_on_chip ? 0 : i);
    return std::pair(dram, w + i);
  };
  tiling.weights_outer = cost(outer_weights) <= cost(outer_inputs);
  const Passes& best = tiling.weights_outer ? outer_weights : outer_inputs;
  // Blocks no larger than the passes need: a large block's data is wanted all at once at its beginning, small ones
  // spread it.
  tiling.weight_block = std::max<int64_t>(1, tiling.weight_folds);
  tiling.weight_block =
      tiling.all_inputs_stay ? 1 : ceil_div(column_folds, ceil_div(column_folds, tiling.weight_block));
  tiling.input_block = std::max<int64_t>(1, tiling.input_folds);
  const bool all_weights_stay = tiling.weight_folds >= column_folds;
  tiling.input_block = all_weights_stay ? 1 : ceil_div(row_folds, ceil_div(row_folds, tiling.input_block));
  tiling.moves_once = (best.weights == 1 || bits.weights_on_chip) && (best.inputs == 1 || bits.inputs_on_chip);
  tiling.fetched_weights = best.weights * weights;
  tiling.fetched_inputs = best.inputs * pass;
  tiling.tile_weights = best.weights * tiling.groups * layer.inputs * tiling.outputs;
  tiling.tile_inputs = best.inputs * tiling.groups * pass_of(layer, rows, array.rows, slides);
}

void count_array_reads(const Layer& layer, const ArraySize& array, Tiling& tiling) {
  int64_t row_folds = 0, column_folds = 0;
  for (int64_t i = 0; i < tiling.cut.rows; ++i)
    row_folds += ceil_div(part_of(layer.rows, tiling.cut.rows, i).count, array.rows);
  for (int64_t i = 0; i < tiling.cut.outputs; ++i) {
    column_folds += ceil_div(part_of(layer.outputs, tiling.cut.outputs, i).count, array.columns);
  }
  tiling.array_weight_reads = layer.groups * layer.inputs * layer.outputs * row_folds;
  tiling.array_input_reads = layer.groups * layer.inputs * layer.rows * column_folds;
}

// Of the largest row parts, the one that reads most: an inner one has neighbours on both sides.
Part1d fullest_rows(const Layer& layer, int64_t parts) {
  Part1d fullest = part_of(layer.rows, parts, 0);
  if (layer.kind == LayerKind::kMatMul) return fullest;
  int64_t most = inputs_of(layer, fullest.first, fullest.count);
  for (int64_t i = 1; i < parts; ++i) {
    const Part1d rows = part_of(layer.rows, parts, i);
    const int64_t reads = inputs_of(layer, rows.first, rows.count);
    if (rows.count == fullest.count && reads > most) most = reads, fullest = rows;
  }
  return fullest;
}

// Those that have at most kSlack more folds than the fewest.
std::vector<Tiling> cuts_of_few_folds(const Layer& layer, int64_t tiles, const ArraySize& array) {
  std::vector<Tiling> cuts;
  int64_t fewest = std::numeric_limits<int64_t>::max();
  for (int64_t groups = 1; groups <= std::min(tiles, layer.groups); ++groups) {
    for (int64_t rows = 1; rows <= std::min(tiles / groups, layer.rows); ++rows) {
      for (int64_t outputs = 1; outputs <= std::min(tiles / groups / rows, layer.outputs); ++outputs) {
        Tiling tiling;
        tiling.cut = {groups, rows, outputs};
        tiling.groups = ceil_div(layer.groups, groups);
        tiling.rows = ceil_div(layer.rows, rows);
        tiling.outputs = ceil_div(layer.outputs, outputs);
        tiling.row_folds = ceil_div(tiling.rows, array.rows);
        tiling.column_folds = ceil_div(tiling.outputs, array.columns);
        fewest = std::min(fewest, tiling.folds());
        cuts.push_back(tiling);
      }
    }
  }
  std::erase_if(cuts, [&](const Tiling& tiling) {
    return static_cast<double>(tiling.folds()) > static_cast<double>(fewest) * (1 + kSlack);
  });
  return cuts;
}

struct Cost {
  int64_t folds = 0;
  int64_t dram_bits = 0, network_bits = 0;  // of all tiles
  double vault_bits = 0, port_bits = 0;     // of the fullest tile

  double weighed() const { return static_cast<double>(folds) * static_cast<double>(dram_bits); }
  bool operator<(const Cost& other) const {
    return std::tuple(weighed(), folds, vault_bits, network_bits) <
           std::tuple(other.weighed(), other.folds, other.vault_bits, other.network_bits);
  }
  bool nowhere_above(const Cost& other) const {
    return folds <= other.folds && dram_bits <= other.dram_bits && network_bits <= other.network_bits &&
           vault_bits <= other.vault_bits && port_bits <= other.port_bits;
  }
};

Cost cost_of(const Tiling& tiling, const OperandBits& bits) {
  const int64_t weights = tiling.fetched_weights * bits.weights, inputs = tiling.fetched_inputs * bits.inputs;
  Cost cost;
  cost.folds = tiling.folds();
  cost.dram_bits = (bits.weights_on_chip ? 0 : weights) + (bits.inputs_on_chip ? 0 : inputs);
  cost.network_bits = weights * (tiling.cut.rows - 1) + inputs * (tiling.cut.outputs - 1);
  for (const auto& [bits_moved, shared_by, on_chip] :
       {std::tuple(tiling.tile_weights * bits.weights, tiling.cut.rows, bits.weights_on_chip),
        std::tuple(tiling.tile_inputs * bits.inputs, tiling.cut.outputs, bits.inputs_on_chip)}) {
    const auto moved = static_cast<double>(bits_moved), own = moved / static_cast<double>(shared_by);
    cost.vault_bits += on_chip ? 0 : own;
    cost.port_bits += on_chip ? moved : moved - own;
  }
  return cost;
}

}  // namespace

std::string Tiling::cut_text() const {
  const auto counted = [](int64_t n, const char* what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); };
  return fmt::format("{} x {} x {}", counted(cut.groups, "group"), counted(cut.rows, "row"),
                     counted(cut.outputs, "output"));
}

int64_t inputs_of(const Layer& layer, int64_t first, int64_t count) {
  if (layer.kind == LayerKind::kMatMul || count == 0) return count * layer.inputs;
  const Geometry& g = layer.geometry;
  if (!g.known()) {
    const int64_t share = ceil_div(ceil_div(layer.input_elements, layer.groups) * count, layer.rows);
    return std::min(share, count * layer.inputs);
  }
  if (g.kernel_height == 1 && g.kernel_width == 1) return count * layer.inputs;
  const int64_t of_image = g.output_height * g.output_width;
  int64_t area = 0;  // positions read, of all images
  for (int64_t row = first, end = first + count; row < end;) {
    const int64_t in_image = row % of_image, last = std::min(end - row, of_image - in_image) + in_image - 1;
    const int64_t top = in_image / g.output_width, bottom = last / g.output_width;
    const bool one_line = top == bottom;
    const int64_t left = one_line ? in_image % g.output_width : 0;
    const int64_t right = one_line ? last % g.output_width : g.output_width - 1;
    area += span(top, bottom, g.output_height, g.input_height, g.kernel_height, g.stride_height) *
            span(left, right, g.output_width, g.input_width, g.kernel_width, g.stride_width);
    row += last - in_image + 1;
  }
  // By the values of all positions, not K over the kernel's area: a dilated kernel reaches further than it has values.
  const int64_t whole =
      ceil_div(layer.rows, of_image) *
      span(0, g.output_height - 1, g.output_height, g.input_height, g.kernel_height, g.stride_height) *
      span(0, g.output_width - 1, g.output_width, g.input_width, g.kernel_width, g.stride_width);
  const auto values = static_cast<__int128>(ceil_div(layer.input_elements, layer.groups)) * area;
  return static_cast<int64_t>((values + whole - 1) / std::max<int64_t>(1, whole));
}

Tiling tile(const Layer& layer, const OperandBits& bits, const Config& config, const ArraySize& array) {
  if (half_bits(config.weight_buffer) < array.columns * bits.weights) {
    throw Error(fmt::format("layer {}: half of weight_buffer.bytes ({}) holds no {} weights of {} bits: raise it",
                            layer.name, config.weight_buffer.bytes, array.columns, bits.weights));
  }
  if (half_bits(config.input_buffer) < array.rows * bits.inputs) {
    throw Error(fmt::format("layer {}: half of input_buffer.bytes ({}) holds no {} inputs of {} bits: raise it",
                            layer.name, config.input_buffer.bytes, array.rows, bits.inputs));
  }
  std::vector<Tiling> cuts = cuts_of_few_folds(layer, config.memory.vaults, array);
  int64_t fewest = std::numeric_limits<int64_t>::max();
  bool once = false;  // a cut of the fewest folds moves nothing twice: no reason for more folds
  for (const Tiling& tiling : cuts) fewest = std::min(fewest, tiling.folds());
  for (Tiling& tiling : cuts) {
    tiling.first_row = fullest_rows(layer, tiling.cut.rows).first;
    order_loops(layer, bits, config, array, tiling);
    once = once || (tiling.folds() == fewest && tiling.moves_once);
  }
  Tiling best;
  std::optional<Cost> least;
  for (const Tiling& tiling : cuts) {
    if (once && tiling.folds() > fewest) continue;
    const Cost cost = cost_of(tiling, bits);
    if (!least || cost < *least) least = cost, best = tiling;
  }
  count_array_reads(layer, array, best);
  return best;
}

bool costs_no_more(const Tiling& a, const Tiling& b, const OperandBits& bits) {
  return cost_of(a, bits).nowhere_above(cost_of(b, bits));
}

void for_each_step(const Layer& layer, const OperandBits& bits, const Config& config, const ArraySize& array,
                   const Tiling& tiling, const std::function<void(const Step&)>& visit) {
  const bool weights_stream = tiling.weight_folds == 0, inputs_stream = tiling.input_folds == 0;
  const int64_t pairs_that_fit = std::min(half_bits(config.weight_buffer) / (array.columns * bits.weights),
                                          half_bits(config.input_buffer) / (array.rows * bits.inputs));
  const int64_t piece = std::min(kPairsOfStep, pairs_that_fit);
  const int64_t all_inputs = inputs_of(layer, tiling.first_row, tiling.rows);
  Step step;

  // One fold; fetches of it are spread over its pieces of K.
  const auto fold = [&](int64_t group, int64_t row_fold, int64_t column_fold, bool fetch_weights, bool fetch_inputs) {
    const int64_t first = row_fold * array.rows, column = column_fold * array.columns;
    step.rows = std::min(array.rows, tiling.rows - first);
    step.columns = std::min(array.columns, tiling.outputs - column);
    const int64_t weights = fetch_weights ? step.columns * layer.inputs : 0;
    const int64_t weights_at = (group * tiling.outputs + column) * layer.inputs;
    // Sliding: what rows up to the last of this fold read, less what rows before it have read.
    const int64_t seen = inputs_of(layer, tiling.first_row, first);
    const int64_t inputs = !fetch_inputs   ? 0
                           : inputs_stream ? inputs_of(layer, tiling.first_row + first, step.rows)
                                           : inputs_of(layer, tiling.first_row, first + step.rows) - seen;
    const int64_t inputs_at = group * all_inputs + (inputs_stream ? std::min(seen, all_inputs - inputs) : seen);
    const int64_t pieces = weights + inputs > 0 ? ceil_div(layer.inputs, piece) : 1;
    for (int64_t i = 0; i < pieces; ++i) {
      const auto upto = [&](int64_t total, int64_t n) {  // total * n / pieces without overflow
        return total / pieces * n + total % pieces * n / pieces;
      };
      step.pairs = upto(layer.inputs, i + 1) - upto(layer.inputs, i);
      step.weights = upto(weights, i + 1) - upto(weights, i);
      step.weights_at = weights_at + upto(weights, i);
      step.inputs = upto(inputs, i + 1) - upto(inputs, i);
      step.inputs_at = inputs_at + upto(inputs, i);
      step.ends_fold = i + 1 == pieces;
      if (weights_stream && step.weights > 0) ++step.weight_block;
      if (inputs_stream && step.inputs > 0) ++step.input_block;
      visit(step);
    }
  };

  for (int64_t group = 0; group < tiling.groups; ++group) {
    if (tiling.weights_outer) {
      const int64_t block = tiling.weight_block;
      if (tiling.all_inputs_stay) ++step.input_block;
      for (int64_t begin = 0; begin < tiling.column_folds; begin += block) {
        if (!weights_stream) ++step.weight_block;
        for (int64_t row_fold = 0; row_fold < tiling.row_folds; ++row_fold) {
          if (!inputs_stream && !tiling.all_inputs_stay) ++step.input_block;
          for (int64_t column = begin; column < std::min(begin + block, tiling.column_folds); ++column) {
            const bool first_of_row = column == begin && !(tiling.all_inputs_stay && begin > 0);
            fold(group, row_fold, column, weights_stream || row_fold == 0, inputs_stream || first_of_row);
          }
        }
      }
      continue;
    }
    const int64_t block = tiling.input_block;
    const bool all_weights_stay = tiling.weight_folds >= tiling.column_folds;
    if (all_weights_stay) ++step.weight_block;
    for (int64_t begin = 0; begin < tiling.row_folds; begin += block) {
      if (!inputs_stream) ++step.input_block;
      for (int64_t column = 0; column < tiling.column_folds; ++column) {
        if (!weights_stream && !all_weights_stay) ++step.weight_block;
        for (int64_t row_fold = begin; row_fold < std::min(begin + block, tiling.row_folds); ++row_fold) {
          const bool first_of_column = row_fold == begin && !(all_weights_stay && begin > 0);
          fold(group, row_fold, column, weights_stream || first_of_column, inputs_stream || column == 0);
        }
      }
    }
  }
}

}  // namespace dnateq::accelerator
