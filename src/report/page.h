// The report's page before its data: template.html with report.css, plots.js and report.js put in, by embed.cmake.
#pragma once

#include <string_view>

namespace dnateq {

// Holds kReportDataMarker exactly once, where the JSON document goes.
extern const std::string_view kReportTemplate;
extern const std::string_view kAcceleratorTemplate;  // the same for `dnateq simulate`, made of accelerator.html
inline constexpr std::string_view kReportDataMarker = "@report.data@";

}  // namespace dnateq
