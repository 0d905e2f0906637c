// measurements/report.cbor of a result folder: what the report draws beside the recipe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "report/report.h"

namespace dnateq {

std::vector<uint8_t> report_file_bytes(const ReportInput& input);
// Throws Error, naming `source` and the key, for bytes that are no such file of this recipe's network.
ReportInput read_report_file(std::string_view bytes, Recipe recipe, const std::string& source);

}  // namespace dnateq
