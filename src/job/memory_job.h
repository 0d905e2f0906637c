// What a model takes in memory once it is compiled.
#pragma once

#include <cstdint>
#include <filesystem>

namespace dnateq {

// Resident bytes that compiling adds to this process, which does nothing else (job/quantize_job.cc starts one for each
// model). Throws Error.
int64_t resident_bytes_of(const std::filesystem::path& model);

}  // namespace dnateq
