#include "report/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/document.h"
#include "report/page.h"

namespace dnateq {

std::string low_bit_emission(const Recipe& recipe) {
  const bool counts = std::any_of(recipe.emissions.begin(), recipe.emissions.end(),
                                  [](const EmissionResult& e) { return e.emission == "counting"; });
  return counts ? "counting" : "exact";
}

std::string render_html(const ReportInput& input) {
  const size_t marker = kReportTemplate.find(kReportDataMarker);
  std::string page(kReportTemplate.substr(0, marker));
  page += script_safe_json(report_document(input));
  page += kReportTemplate.substr(marker + kReportDataMarker.size());
  return page;
}

}  // namespace dnateq
