// A network's outputs on samples, for metrics (core/metric.h).
#pragma once

#include <cstddef>
#include <memory>
#include <openvino/openvino.hpp>
#include <string>

#include "core/metric.h"
#include "core/progress.h"
#include "graph/calls.h"
#include "graph/parts.h"

namespace dnateq {

// Index of the output called `name`; the first one in float32 for an empty name. Throws Error naming the model's
// outputs.
size_t find_output(const ov::Model& model, const std::string& name, const std::string& file);

// Which output an empty name means, as a sentence with options marked, where that is not the network's first. Empty: it
// is, or there is none.
std::string note_on_default_output(const ov::Model& model);

// Runs the network in float32 over all calls. Only the named output is kept.
OutputValues run_output(ov::Core& core, const std::shared_ptr<ov::Model>& model, const Calls& calls, size_t output,
                        int threads, const Progress& progress, const std::string& stage);

// Whether a network's output is so wide (the vocabulary of a language model) that those of all calls are not to be
// kept.
bool is_wide(const ov::Output<const ov::Node>& output);

// Runs two networks with the same inputs call by call and shows both outputs, which are valid only inside. `sink` is
// called from several threads, once a call, in no particular order.
using PairSink = std::function<void(size_t call, const ov::Tensor& got, const ov::Tensor& reference)>;
void visit_pairs(ov::Core& core, const std::shared_ptr<ov::Model>& model, const std::shared_ptr<ov::Model>& reference,
                 const Calls& calls, size_t output, int threads, const Progress& progress, const std::string& stage,
                 const PairSink& sink);

// score() of a network beside its reference, without labels, where outputs are wide. Of a reference with more bytes of
// constants than `part_bytes` all outputs are computed first, and wait on disk.
std::vector<double> score_beside(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                 const std::shared_ptr<ov::Model>& reference, const Calls& calls, size_t output,
                                 Metric metric, int threads, const Progress& progress, const std::string& stage,
                                 size_t part_bytes = kPartBytes);

}  // namespace dnateq
