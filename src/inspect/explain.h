// Which kernel runs each layer of a compiled network, and what binds it there: reading weights or arithmetic.
//
// OpenVINO's own layers are described by its runtime model, our MatMuls by the list of our kernels, with the reasons
// why faster ones do not take them. The roofline counts bytes of weights and multiply-accumulates; activations are
// taken to stay in a cache. Non-goals: measuring layers (`dnateq bench --layers`), networks of recurrent cells.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "inspect/explanation.h"
#include "inspect/machine.h"

namespace dnateq {

struct ExplanationOptions {
  std::map<std::string, std::vector<int64_t>> shapes;  // of inputs, by name
  // Rows of activations where the model leaves them open: the last open axis of every input becomes this, the other
  // open axes 1; of inputs of rank 4 and more (images) only an open first axis is set. Where the network does not take
  // that, it is compiled with open shapes.
  int64_t expected_rows = 1;
  int threads = 1;
};

// Compiles a copy of `model` for the CPU in float32 precision. Throws Error for shapes that do not fit.
Explanation explain(ov::Core& core, const std::shared_ptr<ov::Model>& model, const ExplanationOptions& options);

void find_bounds(Explanation& explanation, const Machine& machine);

}  // namespace dnateq
