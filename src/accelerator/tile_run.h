// One layer on its fullest tile, step by step: fetching through the vault model and the network's port, computing,
// reading counters out, quantizing, writing back.
//
// Two clocks: the array's and the memory's. A step's fetch starts once the half of the buffer that it fills is free
// (tiling.h's blocks), its computing once the fetch is done, the array is free and the counters are. Outputs of a fold
// wait in half the output buffer and leave through the vault in order of arrival with the fetches. A fold takes K
// cycles and then rows + columns - 2 to drain the skewed array, one cycle less in the last: SCALE-Sim's
// output-stationary folds x (rows + columns + K - 2) - 1.
#pragma once

#include "accelerator/pe.h"
#include "accelerator/simulate.h"
#include "accelerator/tiling.h"

namespace dnateq::accelerator {

struct TileTask {
  const Config& config;
  const Layer& layer;
  const Tiling& tiling;
  const ProcessingElement& pe;
  OperandBits bits;
  ArraySize array;
  int output_bits = 8;
  int64_t output_values = 0;  // of this tile, that are written
  bool outputs_stay = false;  // on chip, not written to memory
};

struct TileRun {
  CycleSplit cycles;
  int64_t read_bytes = 0, written_bytes = 0;  // of this tile's vault, whole bursts
};

TileRun run_tile(const TileTask& task);

}  // namespace dnateq::accelerator
