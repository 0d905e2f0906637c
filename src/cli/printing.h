// What several commands print.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.h"
#include "job/float_kernels.h"
#include "job/quantize_job.h"

namespace dnateq {

void print_json(const nlohmann::ordered_json& document);
std::string human_bytes(int64_t bytes);
// On standard error, one line behind the program's name; options that it marks in the program's words.
void print_aside(const std::string& sentence);
// One line: what an exact or counting network leaves to OpenVINO's float32 kernels.
void print_float_kernels(const FloatKernels& kernels);
// Layers, bits, sizes and losses of a result in `directory`.
void print_summary(const FinishedJob& job, const std::string& directory);

// How quantize and allocate run.
JobSetting setting_of(const Session& session);
// Their exit status once everything is written: 3 where a certificate was required and is missing.
int certificate_status(const FinishedJob& job, bool required);

}  // namespace dnateq
