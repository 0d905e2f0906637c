// The JSON document that the report's page draws. Every number of the report is in it, already computed.
//
// Top level: `summary`, `advice`, `layers`, `tensors`, `curve`, `steps`, `thresholds` (or null), `unquantized`. NaN and
// infinities are null.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "report/report.h"

namespace dnateq {

nlohmann::json report_document(const ReportInput& input);

// Text that may stand inside <script type="application/json">: ASCII only and without `<`, so no `</script>` and no
// `<!--` whatever a layer's name holds. Invalid UTF-8 becomes U+FFFD.
std::string script_safe_json(const nlohmann::json& document);

}  // namespace dnateq
