// Cycle-level within a tile, transaction-level between tiles.
//
// A layer is cut over the tiles, then into folds of (array rows x array columns) outputs. For each fold the vault model
// runs the burst stream of the operands that are not on chip (vault.h), the array computes it (pe.h), counters are
// post-processed and outputs re-quantized and written back; fetching the next fold overlaps computing this one. The
// layer's time is what comes out; there are no fitted factors. Source of the structure: DNA-TEQ's accelerator (logic
// die of a 3D-stacked memory, three stages a processing element); figures are config.h's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "accelerator/config.h"
#include "accelerator/workload.h"

namespace dnateq::accelerator {

struct Bytes {  // from and to DRAM, all tiles
  int64_t weights = 0, inputs = 0, outputs = 0;
  int64_t total() const { return weights + inputs + outputs; }
};

struct CycleSplit {  // of the slowest tile; they add up to `total`
  int64_t compute = 0, memory_stall = 0, post_processing = 0, drain = 0;
  int64_t total() const { return compute + memory_stall + post_processing + drain; }
};

// Energy by component in pJ: dram, dram_background, input_buffer, weight_buffer, output_buffer, network, lanes,
// quantizers, post, leakage. They add up to the total.
using Energy = std::map<std::string, double>;
double total(const Energy& energy);

struct LayerResult {  // of all repeats of the layer
  std::string name;
  int64_t macs = 0;
  CycleSplit cycles;
  Bytes bytes;
  Energy energy_pj;
  int64_t flushes = 0;      // of the counters, beyond the one at an output's end
  std::string bound;        // "compute", "memory", "post-processing": the largest share
  std::string cut;          // over the tiles, "1 group x 4 rows x 4 outputs"
  Bytes compulsory;         // every operand that is not on chip moved once, at its stored bits
  bool int8_lanes = false;  // ran on INT8 lanes beside the design's own
  int64_t folds = 0;        // array-sized blocks of outputs of the slowest tile
};

struct DesignResult {
  Design design = Design::kInt8;
  int64_t lanes = 0, peak_macs_per_cycle = 0;  // all tiles
  double clock_mhz = 0;
  std::vector<LayerResult> layers;
  std::optional<Part> lane, int8_lane;  // what was built; the second one beside a design's own lanes
  // lanes, quantizers, post, buffers; beside a design's own int8_lanes, int8_quantizers, int8_post
  std::map<std::string, double> area_um2;
  int64_t macs() const;
  CycleSplit cycles() const;
  Bytes bytes() const;
  Energy energy_pj() const;
};

// Throws Error (counters too narrow, missing energies, bits outside the range), naming layer and key. Pure: same in,
// same out.
DesignResult simulate(const Workload& workload, const Config& config, Design design);

}  // namespace dnateq::accelerator
