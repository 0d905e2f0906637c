// `allocate`: bits shared out again from a result's measurements. What lies outside of the result is named again:
// whoever made the folder chose what it notes.
#pragma once

#include <string>

#include "job/quantize_job.h"

namespace dnateq {

struct AllocateOptions {
  std::string from, directory;  // the result, and where the new one goes
  std::string target_bits;      // or a limit of loss, as in QuantizeArguments
  std::string max_drop, drop_type, max_loss;
  std::string model, calibration, text, validation, labels, metric;
  bool require_certificate = false;
};

// Throws Error, naming all that is missing.
FinishedJob run_allocate_job(const AllocateOptions& options, const JobSetting& setting);

}  // namespace dnateq
