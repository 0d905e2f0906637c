// Fuzzes the recipe reader: any bytes are either refused with Error or read as a recipe that writes itself back.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "dnateq/error.h"
#include "dnateq/recipe.h"

namespace {

std::optional<dnateq::Recipe> read(const std::string& text) {
  try {
    return dnateq::recipe_from_json(text, "fuzz");
  } catch (const dnateq::Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::optional<dnateq::Recipe> recipe = read(std::string(data, data + size));
  if (!recipe) return 0;
  const std::string written = dnateq::to_json(*recipe);
  const std::optional<dnateq::Recipe> again = read(written);
  if (!again || dnateq::to_json(*again) != written) std::abort();
  dnateq::weight_bits(*recipe);
  dnateq::activation_bits(*recipe);
  dnateq::all_tensor_mean_bits(*recipe);
  return 0;
}
