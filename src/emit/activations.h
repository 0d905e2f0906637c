// What operations of an emitted network pass to each other, and in how many bits: the activations that stay in floating
// point beside those that have codes.
//
// A tensor is what an operation writes, or an input of the network, and counts once, in the widest form that a reader
// takes it in: 32 bits by float32, k through an encoder of k bits (our activation codes, FakeQuantize) or as levels, 8
// by a PackedMatMul, which rounds what it reads, or where matmuls alone of a PackedBlock read it; what stays inside of
// such a block passes to no operation. Operations that only move values (Reshape, Transpose, Split, Concat,
// Gather of activations ...) and encoders write nothing of their own. Neither does one of OpenVINO's operations whose
// only reader works value by value with constants (bias, scale, ReLU, GELU ...): kernels do both in one pass. What
// nobody but the network's outputs reads passes to no operation. Integer tensors (indices, shapes) and what stands
// inside the bodies of loops are not counted.
#pragma once

#include <memory>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "dnateq/recipe.h"
#include "graph/calls.h"

namespace dnateq {

struct PassedTensor {
  std::string name;     // of the operation that writes it
  std::string type;     // of the one that computes it: MVN, where a scale and a shift that follow are merged with it
  double elements = 0;  // a sample, mean over the calls
  int bits = 32;
};

// In the network's order. Sizes are those of the calls, of 64 spread evenly where there are more.
std::vector<PassedTensor> passed_tensors(const std::shared_ptr<const ov::Model>& emitted, const Calls& calls);

// Fills `recipe.passed` of what passed_tensors() found; `emission` names the network.
void describe_passed_tensors(const std::string& emission, const std::vector<PassedTensor>& tensors, Recipe& recipe);

}  // namespace dnateq
