// Hadamard transforms in a network: what they look like there, and where they are.
#pragma once

#include <cstdint>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>

namespace dnateq {

// core/hadamard.h on the last axis of `x`, of static rank and that width, as Reshape, MatMul, Reshape. The last one
// gets the name; `block` divides the width.
ov::Output<ov::Node> hadamard_of(const ov::Output<ov::Node>& x, int64_t width, int64_t block, const std::string& name);

struct HadamardNodes {
  ov::Output<ov::Node> x;
  int64_t block = 0;
  const void* matrix = nullptr;  // its values
};
// Of what hadamard_of() gave; none for anything else.
std::optional<HadamardNodes> hadamard_behind(const ov::Output<ov::Node>& output);

}  // namespace dnateq
