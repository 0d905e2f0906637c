#include "report/report.h"

#include <nlohmann/json.hpp>

#include "report/document.h"
#include "report/page.h"

namespace dnateq {

std::string render_html(const ReportInput& input) {
  const size_t marker = kReportTemplate.find(kReportDataMarker);
  std::string page(kReportTemplate.substr(0, marker));
  page += script_safe_json(report_document(input));
  page += kReportTemplate.substr(marker + kReportDataMarker.size());
  return page;
}

}  // namespace dnateq
