// The machine: memory, buffers, array and energies, from TOML. Every number has its unit in its key and its origin
// beside it
// (`KEY_source = "..."`, which starts with "assumed" where nobody published it). Unknown keys, missing numbers and
// missing sources are errors; there are no silent defaults. `config/default.toml` in this folder is the configuration
// that is built in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "accelerator/energy_table.h"

namespace dnateq::accelerator {

struct MemoryConfig {  // one 3D stack; a tile has one vault
  int64_t vaults = 0, banks_per_vault = 0;
  int64_t row_bytes = 0, burst_bytes = 0;
  double clock_ns = 0, burst_ns = 0;
  double trcd_ns = 0, tcl_ns = 0, trp_ns = 0, tras_ns = 0, trrd_ns = 0, twr_ns = 0, trtp_ns = 0, twtr_ns = 0,
         trfc_ns = 0, trefi_ns = 0, tfaw_ns = 0;
  double access_pj_per_bit = 0;  // DRAM layers and vias
  double background_mw_per_vault = 0;
};

struct BufferConfig {  // on-chip SRAM of one tile; half of each holds what is computed on, the other half what is
                       // fetched
  int64_t bytes = 0, word_bytes = 0;
  double read_pj_per_word = 0, write_pj_per_word = 0, area_um2 = 0, leakage_mw = 0;
};

struct ArrayConfig {              // of one tile
  int64_t rows = 0, columns = 0;  // lanes; output-stationary: a lane holds one output
  double clock_mhz = 0;
  std::string sizing;           // "same-lanes", or "same-area": as many columns as the INT8 array's area holds
  std::string counters;         // "registers" or "sram"
  int64_t counter_bits = 0;     // width of a counter; a lane is flushed before the worst case can overflow it
  int64_t post_processors = 0;  // of a tile: units that turn counters into outputs, shared by the lanes
  int64_t quantizers = 0;       // of a tile: outputs that can be re-quantized in a cycle
  // Layers with more exponent bits than this, and those without codes, run on INT8 lanes beside a design's own.
  int64_t int8_above_exponent_bits = 0;
  bool flush = true;  // false: a layer whose worst case overflows a counter is an error
  // A second bank of counters, so that post-processing overlaps the next outputs' computing. Its area is counted as a
  // second lane: an upper bound, since only the counters are there twice.
  bool double_buffered_counters = false;
};

struct NetworkConfig {  // between tiles: inputs that several tiles need are broadcast, outputs are exchanged
  double bytes_per_cycle = 0, pj_per_bit = 0;
};

struct Config {
  std::string file;
  MemoryConfig memory;
  BufferConfig input_buffer, weight_buffer, output_buffer;
  ArrayConfig array;
  NetworkConfig network;
  EnergyTable energies;
  std::map<std::string, std::string> sources;  // "memory.trcd_ns" -> origin, as in the file
  std::vector<std::string> assumed() const;    // keys whose source starts with "assumed"
};

Config default_config();
Config load_config(const std::filesystem::path& file);  // whole file; throws Error naming file, key and remedy
// One key by its dotted name, for --sweep and --set; throws Error that lists near names.
void set_value(Config& config, const std::string& key, double value);
// Every number by its dotted name, in the file's units; a flag is 0 or 1.
std::vector<std::pair<std::string, double>> values(const Config& config);

}  // namespace dnateq::accelerator
