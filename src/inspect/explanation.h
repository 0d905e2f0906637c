// Which kernel runs each layer of a compiled network, and what binds it there: what explain.h finds. Knows no OpenVINO.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/matmul.h"

namespace dnateq {

enum class Bound { kNone, kMemory, kArithmetic };

struct LayerExplanation {
  std::string name;      // of the layer whose weights it reads, as in the recipe; else of the node that runs
  std::string type;      // FullyConnected, Convolution, ..., or one of our operations
  std::string kernel;    // OpenVINO's primitive, or ours
  std::string fused_in;  // the node that runs it together with other layers of weights; empty: one of its own
  std::string isa;       // empty where the kernel's name does not tell
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

int64_t weight_bytes(const Explanation& explanation);  // of a whole call
std::string to_string(Bound bound);                    // "memory", "arithmetic", ""

}  // namespace dnateq
