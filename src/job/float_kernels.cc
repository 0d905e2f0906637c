#include "job/float_kernels.h"

#include "graph/float_operations.h"

namespace dnateq {

std::optional<FloatKernels> float_kernels_of(const ov::Model& model) {
  if (!promises_same_bits(model)) return std::nullopt;
  const std::vector<FloatOperations> found = float_operations(model);
  FloatKernels kernels{{}, to_string(found)};
  for (const FloatOperations& of : found) kernels.operations.emplace_back(of.type, of.names);
  return kernels;
}

}  // namespace dnateq
