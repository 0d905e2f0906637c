// measurements/job.json of a result folder: what a job was told, for `allocate` and `simulate` to go on from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "job/arguments.h"

namespace dnateq {

// Paths become absolute.
std::string job_to_json(const QuantizeArguments& arguments, const std::string& model_fingerprint);
// Throw Error, naming the file and the key, for what is no such file.
QuantizeArguments job_from_json(std::string_view text, const std::string& source);
QuantizeArguments load_job(const std::filesystem::path& file);

}  // namespace dnateq
