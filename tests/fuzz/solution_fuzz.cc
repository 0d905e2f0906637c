// Any bytes as a solved layer of a search's checkpoints: refused with Error, or a layer of the right shape that decodes
// to finite weights.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dnateq/error.h"
#include "search/solution_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dnateq::LayerShape shape{2, 5, 1};
  const dnateq::TensorCode request = dnateq::with_level_counts({}, 3);
  try {
    const auto solution = dnateq::read_solution({reinterpret_cast<const char*>(data), size}, shape, request, "fuzz");
    if (solution.codes.size() != 10 || solution.gamma.size() != 2) std::abort();
    for (const float weight : dnateq::decode_weights(solution, shape.columns))
      if (std::isnan(weight)) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
