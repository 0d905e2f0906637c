// Fuzzes the readers of a machine's configuration and of its table of energies: any text is refused with Error or read.
// A configuration that is read answers to every one of its names.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "accelerator/parse.h"
#include "dnateq/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dnateq::accelerator;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    Config config = parse_config(text, "fuzz", "/nowhere");
    if (config.sources.empty()) std::abort();
    for (const auto& [key, source] : config.sources) {
      if (source.empty()) std::abort();
    }
    set_value(config, "array.rows", 4);
  } catch (const dnateq::Error&) {
  }
  try {
    if (parse_energy_table(text, "fuzz").parts.empty()) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
