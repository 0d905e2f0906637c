// What QuantizeArguments ask for, checked and made numbers of.
#pragma once

#include <string>

#include "core/progress.h"
#include "job/arguments.h"
#include "quantize/quantize.h"

namespace dnateq {

// Which layers are chosen.
ImportOptions import_options_of(const QuantizeArguments& arguments);

// Throws Error for what is neither a list of emissions nor auto.
void check_emit(const std::string& list);

// The emissions that are written: what was asked for; or by auto `cpu`, and `exact` beside it where activations of less
// than 8 bits are asked for, which `cpu` does not have; `exact` alone for strategy paper, whose levels are real.
std::string emissions_for(const QuantizeArguments& arguments);

// Whether the options agree with each other, and what they ask for. `has_validation`, `has_labels`: such were given, by
// whatever way. Throws Error naming the option. `judge` is left empty, but for metrics that are commands.
QuantizeOptions options_of(const QuantizeArguments& arguments, int threads, Progress progress, bool has_validation,
                           bool has_labels);

}  // namespace dnateq
