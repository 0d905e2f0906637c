// What an emitted network still leaves to OpenVINO's float32 kernels, whose last bits are not ours to promise.
//
// Our operations give the same bits on every CPU and with every number of threads. OpenVINO chooses kernels by the
// CPU's instructions: those of an exponential function, of a float32 sum of many summands or of a product fused with a
// sum differ in their last bits, and a value that lies on a threshold may then take the neighbouring level. What only
// moves, compares or rounds once (Transpose, MaxPool, Relu, one Add) is exact everywhere, and not listed.
#pragma once

#include <cstddef>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

namespace dnateq {

struct FloatOperations {
  std::string type;
  std::vector<std::string> names;  // in topological order
};

// By type, most frequent first; what depends on constants alone is left out.
std::vector<FloatOperations> float_operations(const ov::Model& model);

// Whether the file of `model` was written by an emission whose layers give the same bits everywhere.
bool promises_same_bits(const ov::Model& model);

// "3 Softmax (first 'attention/softmax'), 1 Gelu ('ffn/gelu')"; empty where there are none.
std::string to_string(const std::vector<FloatOperations>& operations);

}  // namespace dnateq
