#include "accelerator/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "accelerator/parse.h"
#include "accelerator/toml_file.h"
#include "core/suggestion.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

constexpr const char* kFormat = "dnateq-config-1";

struct Field {
  const char* table;
  const char* key;
  std::variant<int64_t*, double*, bool*> value;
  bool zero_allowed = false;  // energies and leakage; sizes and times are positive

  std::string name() const { return std::string(table) + "." + key; }
};

// A number may be at most this: products of two sizes stay within int64_t.
constexpr double kMost = 1e9;

// Every number, once: reading, writing by name and the list of names go through this.
std::vector<Field> fields(Config& c) {
  MemoryConfig& m = c.memory;
  ArrayConfig& a = c.array;
  std::vector<Field> all = {
      {"memory", "vaults", &m.vaults},
      {"memory", "banks_per_vault", &m.banks_per_vault},
      {"memory", "row_bytes", &m.row_bytes},
      {"memory", "burst_bytes", &m.burst_bytes},
      {"memory", "clock_ns", &m.clock_ns},
      {"memory", "burst_ns", &m.burst_ns},
      {"memory", "trcd_ns", &m.trcd_ns},
      {"memory", "tcl_ns", &m.tcl_ns},
      {"memory", "trp_ns", &m.trp_ns},
      {"memory", "tras_ns", &m.tras_ns},
      {"memory", "trrd_ns", &m.trrd_ns},
      {"memory", "twr_ns", &m.twr_ns},
      {"memory", "trtp_ns", &m.trtp_ns},
      {"memory", "twtr_ns", &m.twtr_ns},
      {"memory", "trfc_ns", &m.trfc_ns},
      {"memory", "trefi_ns", &m.trefi_ns},
      {"memory", "tfaw_ns", &m.tfaw_ns},
      {"memory", "access_pj_per_bit", &m.access_pj_per_bit, true},
      {"memory", "background_mw_per_vault", &m.background_mw_per_vault, true},
      {"array", "rows", &a.rows},
      {"array", "columns", &a.columns},
      {"array", "clock_mhz", &a.clock_mhz},
      {"array", "counter_bits", &a.counter_bits},
      {"array", "post_processors", &a.post_processors},
      {"array", "quantizers", &a.quantizers},
      {"array", "int8_above_exponent_bits", &a.int8_above_exponent_bits},
      {"array", "flush", &a.flush},
      {"array", "double_buffered_counters", &a.double_buffered_counters},
      {"network", "bytes_per_cycle", &c.network.bytes_per_cycle},
      {"network", "pj_per_bit", &c.network.pj_per_bit, true},
      {"energies", "energy_scale", &c.energies.energy_scale},
      {"energies", "area_scale", &c.energies.area_scale},
      {"energies", "delay_scale", &c.energies.delay_scale},
  };
  for (auto& [table, buffer] :
       {std::pair{"input_buffer", &c.input_buffer}, std::pair{"weight_buffer", &c.weight_buffer},
        std::pair{"output_buffer", &c.output_buffer}}) {
    all.push_back({table, "bytes", &buffer->bytes});
    all.push_back({table, "word_bytes", &buffer->word_bytes});
    all.push_back({table, "read_pj_per_word", &buffer->read_pj_per_word, true});
    all.push_back({table, "write_pj_per_word", &buffer->write_pj_per_word, true});
    all.push_back({table, "area_um2", &buffer->area_um2, true});
    all.push_back({table, "leakage_mw", &buffer->leakage_mw, true});
  }
  return all;
}

// Throws Error that begins with `place`.
void assign(const Field& field, double number, const std::string& place) {
  if (bool* const* flag = std::get_if<bool*>(&field.value)) {
    if (number != 0 && number != 1) throw Error(fmt::format("{} must be 0 or 1", place));
    **flag = number != 0;
    return;
  }
  if (!std::isfinite(number) || number < 0 || (number == 0 && !field.zero_allowed) || number > kMost) {
    throw Error(fmt::format("{} is {}: it must be {} and at most {}", place, number,
                            field.zero_allowed ? "0 or more" : "more than 0", kMost));
  }
  if (int64_t* const* whole = std::get_if<int64_t*>(&field.value)) {
    if (number != std::floor(number)) throw Error(fmt::format("{} is {}: it must be a whole number", place, number));
    **whole = static_cast<int64_t>(number);
  } else {
    *std::get<double*>(field.value) = number;
  }
}

// What single ranges don't say. Throws Error.
void check(const Config& config) {
  const MemoryConfig& memory = config.memory;
  if (memory.row_bytes % memory.burst_bytes != 0) {
    throw Error(fmt::format("{}: memory.row_bytes ({}) must be a multiple of memory.burst_bytes ({})", config.file,
                            memory.row_bytes, memory.burst_bytes));
  }
  const double waits = memory.trfc_ns + memory.trp_ns + memory.tras_ns + memory.trcd_ns + memory.tcl_ns +
                       memory.burst_ns + memory.trrd_ns + memory.twr_ns + memory.trtp_ns + memory.twtr_ns +
                       memory.tfaw_ns;
  if (memory.trefi_ns <= 2 * waits) {
    throw Error(
        fmt::format("{}: memory.trefi_ns ({}) leaves no time between refreshes for an access whose waits add up to {} "
                    "ns: raise it, or lower memory.trfc_ns or whichever of the others is long",
                    config.file, memory.trefi_ns, waits));
  }
  if (config.array.counter_bits < 2 || config.array.counter_bits > 64) {
    throw Error(fmt::format("{}: array.counter_bits is {}: a signed counter has 2 to 64", config.file,
                            config.array.counter_bits));
  }
  if (config.array.int8_above_exponent_bits < 2 || config.array.int8_above_exponent_bits > 7) {
    throw Error(fmt::format("{}: array.int8_above_exponent_bits is {}: the exponential lanes take 2 to 7", config.file,
                            config.array.int8_above_exponent_bits));
  }
  if (config.memory.vaults > 1024) {
    throw Error(fmt::format("{}: memory.vaults is {}: at most 1024, of which each has a tile", config.file,
                            config.memory.vaults));
  }
  for (const auto& [key, size] :
       {std::pair{"array.rows", config.array.rows}, std::pair{"array.columns", config.array.columns},
        std::pair{"memory.banks_per_vault", config.memory.banks_per_vault}}) {
    if (size > 65536) throw Error(fmt::format("{}: {} is {}: at most 65536", config.file, key, size));
  }
}

TomlTable& table_of(TomlFile& file, const std::string& name) {
  const auto found = file.tables.find(name);
  if (found == file.tables.end()) throw Error(fmt::format("{} lacks [{}]: add it", file.name, name));
  return found->second;
}

std::string choice(TomlTable& table, const std::string& key, const std::vector<std::string>& names) {
  std::string text = table.text(key);
  for (const std::string& name : names) {
    if (text == name) return text;
  }
  throw Error(fmt::format("{} is '{}': it must be {}", table.place(key), text, fmt::join(names, " or ")));
}

}  // namespace

std::vector<std::string> Config::assumed() const {
  std::vector<std::string> keys;
  for (const auto& [key, source] : sources) {
    if (source.starts_with("assumed")) keys.push_back(key);
  }
  return keys;
}

Config parse_config(std::string_view text, const std::string& name, const std::filesystem::path& folder) {
  TomlFile file = parse_toml(text, name);
  if (file.root.text("format") != kFormat) {
    throw Error(fmt::format("{} must be \"{}\"", file.root.place("format"), kFormat));
  }
  file.root.finish();
  for (const auto& [key, unused] : file.arrays) {
    throw Error(fmt::format("{}: [[{}]] must be [{}]", name, key, key));
  }
  Config config;
  // The table first: the scales are the configuration's and written into it below.
  const std::string energies = table_of(file, "energies").text("table");
  config.energies = energies == "built-in"
                        ? parse_energy_table(kDefaultEnergyTable, std::string(kDefaultEnergyTableName))
                        : load_energy_table(folder / energies);
  config.file = name;
  std::vector<std::string> tables;
  for (const Field& field : fields(config)) {
    TomlTable& table = table_of(file, field.table);
    if (std::holds_alternative<bool*>(field.value)) {
      assign(field, table.flag(field.key) ? 1 : 0, table.place(field.key));
      continue;
    }
    const bool whole = std::holds_alternative<int64_t*>(field.value);
    assign(field, whole ? static_cast<double>(table.integer(field.key)) : table.number(field.key),
           table.place(field.key));
    config.sources[field.name()] = table.source(field.key);
  }
  config.array.sizing = choice(table_of(file, "array"), "sizing", {"same-lanes", "same-area"});
  config.array.counters = choice(table_of(file, "array"), "counters", {"registers", "sram"});
  const std::vector<std::string> known = {"memory", "input_buffer", "weight_buffer", "output_buffer",
                                          "array",  "network",      "energies"};
  for (const auto& [key, table] : file.tables) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error(fmt::format("{}: [{}] is not a table of this file: {}", name, key, suggestion(key, known)));
    }
    table.finish();
  }
  check(config);
  return config;
}

Config default_config() { return parse_config(kDefaultConfig, "built-in configuration", {}); }

Config load_config(const std::filesystem::path& file) {
  return parse_config(read_text(file.string()), file.string(), file.parent_path());
}

void set_value(Config& config, const std::string& key, double value) {
  std::vector<std::string> names;
  for (const Field& field : fields(config)) {
    if (field.name() != key) {
      names.push_back(field.name());
      continue;
    }
    Config changed = config;
    for (const Field& same : fields(changed)) {
      if (same.name() == key) assign(same, value, key);
    }
    check(changed);
    changed.sources[key] = "set by name";
    config = std::move(changed);
    return;
  }
  throw Error(fmt::format("no key is called '{}': {}", key, suggestion(key, names)));
}

std::vector<std::pair<std::string, double>> values(const Config& config) {
  std::vector<std::pair<std::string, double>> all;
  Config copy = config;
  for (const Field& field : fields(copy))
    all.emplace_back(field.name(),
                     std::visit([](const auto* value) { return static_cast<double>(*value); }, field.value));
  return all;
}

}  // namespace dnateq::accelerator
