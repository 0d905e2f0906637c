// Any bytes as measurements/job.json: refused with Error, or arguments that write themselves back and that options_of()
// takes or refuses.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dnateq/error.h"
#include "job/job_file.h"
#include "job/quantize_options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const dnateq::QuantizeArguments a = dnateq::job_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    const std::string written = dnateq::job_to_json(a, a.model_fingerprint);
    const dnateq::QuantizeArguments again = dnateq::job_from_json(written, "fuzz");
    if (dnateq::job_to_json(again, again.model_fingerprint) != written) std::abort();
    dnateq::options_of(a, 1, {}, true, true);
  } catch (const dnateq::Error&) {
  }
  return 0;
}
