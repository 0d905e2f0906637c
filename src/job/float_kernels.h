// What a network of ours leaves to OpenVINO's float32 kernels, whose last bits depend on the CPU.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ov {
class Model;
}

namespace dnateq {

struct FloatKernels {
  std::vector<std::pair<std::string, std::vector<std::string>>> operations;  // type and names, most frequent first
  std::string text;  // "3 Softmax (first 'attention/softmax')"; empty where there are none
};

// None where the network does not promise the same bits on every CPU.
std::optional<FloatKernels> float_kernels_of(const ov::Model& model);

}  // namespace dnateq
