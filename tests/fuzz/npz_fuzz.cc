// Any bytes as a .npz file: arrays of their declared sizes, or one Error.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "data/npz.h"
#include "dnateq/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    dnateq::NpzArchive archive(std::as_bytes(std::span(data, size)), "fuzz.npz");
    for (const auto& [name, array] : archive.read())
      if (array.bytes.size() != static_cast<size_t>(array.elements()) * dnateq::size_of(array.type)) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
