// For tests: the built-in machine with a table of energies of round numbers, so that no result of rtl/ changes a test.
#pragma once

#include <fmt/format.h>

#include <string>

#include "accelerator/parse.h"

namespace dnateq::accelerator::testing {

inline std::string part_text(const std::string& name, const std::string& design, int bits, int counter_bits, int q,
                             const std::string& storage, double area, double active, double cycles) {
  return fmt::format(
      "[[part]]\nname = \"{}\"\ndesign = \"{}\"\nexponent_bits = {}\ncounter_bits = {}\nq = {}\nstorage = \"{}\"\n"
      "area_um2 = {:.3f}\nperiod_ns = 5.0\nleakage_nw = 10.0\nidle_pj = {:.4f}\nactive_pj = {:.4f}\n"
      "cycle_pj_source = \"test\"\ncycles = {:.1f}\n",
      name, design, bits, counter_bits, q, storage, area, active / 4, active, cycles);
}

// Every part of every design, 2 to 7 bits; lanes with counters of 10, 16 and 24 bits.
inline std::string energy_table_text() {
  std::string text = "format = \"dnateq-energy-1\"\ntechnology = \"test\"\nsource = \"test\"\n";
  text += part_text("lane", "int8", 0, 32, 0, "none", 6000, 5, 1);
  text += part_text("quantizer", "int8", 0, 0, 0, "none", 3000, 2, 1);
  text += part_text("post", "int8", 0, 0, 0, "none", 20000, 16, 1);
  for (int n = 2; n <= 7; ++n) {
    const int levels = 1 << n, q = n == 2 ? 1 : 1 << (n - 2);
    text += part_text("quantizer", "all", n, 0, 0, "none", 1000 * n, n, 1);
    for (const int width : {10, 16, 24}) {
      text += part_text("lane", "shift", n, width, q, "registers", 5000 + 10 * levels + 100 * width, 3 + n * 0.5, 1);
      for (const char* storage : {"registers", "sram"}) {
        text += part_text("lane", "counting", n, width, 0, storage, 1500.0 * levels * width / 10, levels, 1);
        text += part_text("lane", "counting-beta0", n, width, 0, storage, 700.0 * levels * width / 10, 0.4 * levels, 1);
      }
    }
    text += part_text("lane", "decode", n, 32, 0, "none", 6500 + 20 * levels, 4 + n * 0.5, 1);
    text += part_text("post", "counting", n, 0, 0, "none", 20000, 16, 4 * (levels - 1));
    text += part_text("post", "counting-beta0", n, 0, 0, "none", 20000, 16, 2 * levels - 1);
    text += part_text("post", "shift", n, 0, q, "none", 20000, 16, q);
    text += part_text("post", "decode", n, 0, 0, "none", 20000, 16, 1);
  }
  return text;
}

inline Config test_config() {
  Config config = default_config();
  EnergyTable table = parse_energy_table(energy_table_text(), "test table");
  table.energy_scale = config.energies.energy_scale;
  table.area_scale = config.energies.area_scale;
  table.delay_scale = config.energies.delay_scale;
  config.energies = std::move(table);
  config.array.counter_bits = 10;
  return config;
}

}  // namespace dnateq::accelerator::testing
