// Energy, area and speed of the processing element's parts, from gate-level runs of rtl/ (`make rtl-report` writes
// rtl/results/osu018.toml) or from publications. The simulator takes no energy from anywhere else: a part that a design
// needs and the table lacks is an error.
//
// The file:
//   format = "dnateq-energy-1"
//   technology = "OSU018, 180 nm, 1.8 V, typical"
//   source = "make rtl-report, Yosys 0.23, Icarus 11, OpenSTA 2.3"
//   [[part]]
//   name = "lane"                # lane, quantizer, post; "pe", all of them together, is read and not used
//   design = "counting-beta0"    # as in design.h; a quantizer's is "all" or "int8"
//   exponent_bits = 3            # 0 for int8
//   counter_bits = 10            # of a counter or accumulator; shift: below the largest shift; 0 where there are none
//   horizon = 490                # pairs of a lane's worst case; left out: what counter_bits allow from 0 (pe.h)
//   q = 2                        # shift: base 2^(1/q); left out elsewhere
//   variant = "..."              # of lanes that do the same: what tells them apart; may be left out
//   storage = "registers"        # registers, sram, none
//   area_um2 = 1234.5
//   period_ns = 3.2              # longest path, OpenSTA
//   leakage_nw = 12.0
//   idle_pj = 0.02               # a clock cycle whose pair has a zero operand
//   active_pj = 1.10             # a clock cycle of a pair without zero, mean over the measured stream
//   cycle_pj_source = "..."      # which streams
//   cycles = 1                   # post: clock cycles for one output (bins read one a cycle), lane: 1
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "accelerator/design.h"

namespace dnateq::accelerator {

struct Part {
  std::string name, design, storage, variant;
  int exponent_bits = 0, counter_bits = 0, q = 0;
  int64_t horizon = 0;
  double area_um2 = 0, period_ns = 0, leakage_nw = 0, idle_pj = 0, active_pj = 0, cycles = 1;
};

struct EnergyTable {
  std::string file, technology, source;
  double energy_scale = 1,
         area_scale = 1;   // to the node of the memory's logic die; from the configuration, with a source
  double delay_scale = 1;  // the same for period_ns
  std::vector<Part> parts;

  // The part for these, or the narrowest one of more exponent bits; throws Error that names what is missing and the
  // file. An empty storage, q = 0 and counter_bits = 0 match any: of several the widest, whose counters last longest,
  // and of these the one with the least active_pj: every design, INT8 too, gets the best lane that was measured.
  const Part& find(const std::string& name, Design design, int exponent_bits, const std::string& storage, int q = 0,
                   int counter_bits = 0) const;
};

EnergyTable load_energy_table(const std::filesystem::path& file);

}  // namespace dnateq::accelerator
