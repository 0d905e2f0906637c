#include "accelerator/design.h"

#include <fmt/format.h>

#include "accelerator/toml_file.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {

const char* to_string(Design design) {
  switch (design) {
    case Design::kInt8:
      return "int8";
    case Design::kCounting:
      return "counting";
    case Design::kCountingBeta0:
      return "counting-beta0";
    case Design::kShift:
      return "shift";
    case Design::kDecode:
      return "decode";
  }
  return "";
}

std::vector<Design> all_designs() {
  return {Design::kInt8, Design::kCounting, Design::kCountingBeta0, Design::kShift, Design::kDecode};
}

Design design_from_string(const std::string& text) {
  std::vector<std::string> names;
  for (const Design design : all_designs()) {
    if (text == to_string(design)) return design;
    names.emplace_back(to_string(design));
  }
  throw Error(fmt::format("no design is called '{}': there are {}", text, fmt::join(names, ", ")));
}

}  // namespace dnateq::accelerator
