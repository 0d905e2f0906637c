// What lies in a result folder, read again.
#pragma once

#include <filesystem>

#include "dnateq/recipe.h"
#include "report/report.h"

namespace dnateq {

// Throws Error where a folder is no result of ours, or none yet: what it is instead, and what to give.
void check_result(const std::filesystem::path& folder);

// The recipe of a result folder. Throws Error if there is none, or it belongs to another model than the rest.
Recipe load_result(const std::filesystem::path& folder);

// The recipe, and what the report draws beside it. Throws Error as load_result(), and for damaged measurements.
ReportInput load_report_input(const std::filesystem::path& folder);

// The report's data that the recipe does not hold, for load_report_input().
void save_report_input(const ReportInput& input, const std::filesystem::path& folder);

// Copies a result into another folder, whose former result it replaces. Throws Error where something of the user's
// would be replaced, or a run lies there that was stopped or still works.
void save_result(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace dnateq
