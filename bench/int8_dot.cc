// The INT8 dot product as a plain loop, compiled under a name of its own for each instruction set.
#include <cstddef>
#include <cstdint>

namespace dnateq::bench {

int32_t DOT(const int8_t* x, const int8_t* w, size_t count);

int32_t DOT(const int8_t* x, const int8_t* w, size_t count) {
  int32_t sum = 0;
  for (size_t k = 0; k < count; ++k) sum += x[k] * w[k];
  return sum;
}

}  // namespace dnateq::bench
