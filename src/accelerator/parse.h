// The readers, of texts: what load_config and load_energy_table do once the file is read. `name` stands in the errors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "accelerator/config.h"
#include "accelerator/energy_table.h"

namespace dnateq::accelerator {

// What is built in (embed.cmake).
extern const std::string_view kDefaultConfig;       // config/default.toml
extern const std::string_view kDefaultEnergyTable;  // named in CMakeLists.txt
extern const std::string_view kDefaultEnergyTableName;

EnergyTable parse_energy_table(std::string_view text, const std::string& name);  // throws Error
// A table of energies that it names is looked for in `folder`.
Config parse_config(std::string_view text, const std::string& name,
                    const std::filesystem::path& folder);  // throws Error

}  // namespace dnateq::accelerator
