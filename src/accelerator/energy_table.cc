#include "accelerator/energy_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "accelerator/parse.h"
#include "accelerator/toml_file.h"
#include "core/suggestion.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

constexpr const char* kFormat = "dnateq-energy-1";
const std::vector<std::string> kNames = {"lane", "quantizer", "post", "pe"};
const std::vector<std::string> kStorages = {"registers", "sram", "none"};

std::string one_of(TomlTable& table, const std::string& key, const std::vector<std::string>& names) {
  std::string text = table.text(key);
  if (std::find(names.begin(), names.end(), text) == names.end()) {
    throw Error(fmt::format("{} is '{}': {}", table.place(key), text, suggestion(text, names)));
  }
  return text;
}

double non_negative(TomlTable& table, const std::string& key) {
  const double number = table.number(key);
  if (number < 0) throw Error(fmt::format("{} must not be negative", table.place(key)));
  return number;
}

int small_integer(TomlTable& table, const std::string& key, int64_t most) {
  const int64_t number = table.integer(key);
  if (number < 0 || number > most) throw Error(fmt::format("{} must be 0 to {}", table.place(key), most));
  return static_cast<int>(number);
}

Part part_of(TomlTable& table) {
  std::vector<std::string> designs = {"all"};
  for (const Design design : all_designs()) designs.emplace_back(to_string(design));
  Part part;
  part.name = one_of(table, "name", kNames);
  part.design = one_of(table, "design", designs);
  part.storage = one_of(table, "storage", kStorages);
  if (table.has("variant")) part.variant = table.text("variant");
  part.exponent_bits = small_integer(table, "exponent_bits", 8);
  part.counter_bits = small_integer(table, "counter_bits", 64);
  if (table.has("q")) part.q = small_integer(table, "q", 256);
  if (table.has("horizon")) part.horizon = table.integer("horizon");
  if (part.horizon < 0) throw Error(fmt::format("{} must not be negative", table.place("horizon")));
  part.area_um2 = non_negative(table, "area_um2");
  part.period_ns = non_negative(table, "period_ns");
  part.leakage_nw = non_negative(table, "leakage_nw");
  part.idle_pj = non_negative(table, "idle_pj");
  part.active_pj = non_negative(table, "active_pj");
  part.cycles = table.number("cycles");
  if (part.cycles < 1) throw Error(fmt::format("{} must be 1 or more", table.place("cycles")));
  table.source("cycle_pj");
  table.finish();
  return part;
}

}  // namespace

EnergyTable parse_energy_table(std::string_view text, const std::string& name) {
  TomlFile file = parse_toml(text, name);
  if (file.root.text("format") != kFormat) {
    throw Error(fmt::format("{} must be \"{}\": write the table again with this version's make rtl-report",
                            file.root.place("format"), kFormat));
  }
  EnergyTable table;
  table.file = name;
  table.technology = file.root.text("technology");
  table.source = file.root.text("source");
  file.root.finish();
  for (const auto& [key, unused] : file.tables) {
    throw Error(fmt::format("{}: [{}] is not a table of this file: it has [[part]] alone", name, key));
  }
  for (auto& [key, entries] : file.arrays) {
    if (key != "part")
      throw Error(fmt::format("{}: [[{}]] is not a table of this file: it has [[part]] alone", name, key));
    for (TomlTable& entry : entries) table.parts.push_back(part_of(entry));
  }
  if (table.parts.empty()) throw Error(fmt::format("{} has no [[part]]: write it with make rtl-report", name));
  return table;
}

EnergyTable load_energy_table(const std::filesystem::path& file) {
  return parse_energy_table(read_text(file.string()), file.string());
}

const Part& EnergyTable::find(const std::string& name, Design design, int exponent_bits, const std::string& storage,
                              int q, int counter_bits) const {
  const std::string design_name = to_string(design);
  const Part* found = nullptr;
  for (const Part& part : parts) {
    // Codes of fewer bits run on the narrowest lane that holds them.
    const bool holds = exponent_bits == 0 ? part.exponent_bits == 0 : part.exponent_bits >= exponent_bits;
    const auto better = [&](const Part& other) {
      return std::tuple(part.exponent_bits, -part.counter_bits, part.active_pj) <
             std::tuple(other.exponent_bits, -other.counter_bits, other.active_pj);
    };
    if (part.name == name && (part.design == design_name || part.design == "all") && holds &&
        (found == nullptr || better(*found)) && (storage.empty() || part.storage == storage) &&
        (q == 0 || part.q == 0 || part.q == q) &&
        (counter_bits == 0 || part.counter_bits == 0 || part.counter_bits == counter_bits)) {
      found = &part;
    }
  }
  if (found != nullptr) return *found;
  std::string wanted = fmt::format("{} of design {}", name, design_name);
  if (exponent_bits > 0) wanted += fmt::format(" with {} exponent bits", exponent_bits);
  if (q > 0) wanted += fmt::format(", q = {}", q);
  if (counter_bits > 0) wanted += fmt::format(", {}-bit counters", counter_bits);
  if (!storage.empty()) wanted += fmt::format(", storage {}", storage);
  throw Error(fmt::format("{} has no {}: add a [[part]] for it, or leave the design out", file, wanted));
}

}  // namespace dnateq::accelerator
