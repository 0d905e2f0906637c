// Any bytes as a .npy file: an array of the declared size, or one Error.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "data/npy.h"
#include "dnateq/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const dnateq::Array array = dnateq::parse_npy({bytes.begin(), bytes.end()}, "'fuzz.npy'");
    if (array.bytes.size() != static_cast<size_t>(array.elements()) * dnateq::size_of(array.type)) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
