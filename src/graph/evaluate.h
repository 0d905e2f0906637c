// A network's outputs on samples, for metrics (core/metric.h).
#pragma once

#include <cstddef>
#include <memory>
#include <openvino/openvino.hpp>
#include <string>

#include "core/metric.h"
#include "core/progress.h"
#include "graph/calls.h"

namespace dnateq {

// Index of the output called `name`; the first one for an empty name. Throws Error naming the model's outputs.
size_t find_output(const ov::Model& model, const std::string& name, const std::string& file);

// Runs the network in float32 over all calls. Only the named output is kept.
OutputValues run_output(ov::Core& core, const std::shared_ptr<ov::Model>& model, const Calls& calls, size_t output,
                        int threads, const Progress& progress, const std::string& stage);

}  // namespace dnateq
