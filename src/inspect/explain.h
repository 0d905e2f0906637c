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

#include "inspect/machine.h"
#include "kernels/matmul.h"

namespace dnateq {

struct ExplainOptions {
  std::map<std::string, std::vector<int64_t>> shapes;  // of inputs, by name
  // Rows of activations where the model leaves them open: the last open axis of every input becomes this, the other
  // open axes 1; of inputs of rank 4 and more (images) only an open first axis is set. Where the network does not take
  // that, it is compiled with open shapes.
  int64_t expected_rows = 1;
  int threads = 1;
};

enum class Bound { kNone, kMemory, kArithmetic };

struct LayerExplanation {
  std::string name;    // of the layer whose weights it reads, as in the recipe; else of the node that runs
  std::string type;    // FullyConnected, Convolution, ..., or one of our operations
  std::string kernel;  // OpenVINO's primitive, or ours
  std::string isa;     // empty where the kernel's name does not tell
  std::vector<kernels::KernelVerdict> refused;  // faster kernels of ours that do not take it, and why
  std::vector<std::string> inputs, outputs;     // shapes
  int64_t m = 0, k = 0, n = 0;              // rows, inputs a channel, channels; embeddings: rows looked up, 1, width
  int64_t weights = 0;                      // values
  double stored_bits = 0;                   // all bytes that the file holds for the weights, a value; 0 = unknown
  int64_t weight_bytes = 0;                 // of weights, scales and biases, read in a call
  int64_t macs = 0;                         // in a call
  bool in_int8 = false;                     // the arithmetic; else float
  bool counts = false;                      // or exponents counted: then `macs` are pairs, whose rate is not measured
  double memory_us = 0, arithmetic_us = 0;  // at best; set by find_bounds()
  Bound bound = Bound::kNone;
};

struct Explanation {
  std::vector<LayerExplanation> layers;  // in order of execution; constants, inputs and outputs left out
  bool dynamic = false;                  // some shapes are still open: kernels and rows of those are not known
};

// Compiles a copy of `model` for the CPU in float32 precision. Throws Error for shapes that do not fit.
Explanation explain(ov::Core& core, const std::shared_ptr<ov::Model>& model, const ExplainOptions& options);

int64_t weight_bytes(const Explanation& explanation);  // of a whole call
void find_bounds(Explanation& explanation, const Machine& machine);
std::string to_string(Bound bound);  // "memory", "arithmetic", ""

}  // namespace dnateq
