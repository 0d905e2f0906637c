// Any bytes as a text file of labels: at least one number, no more than there are bytes, or one Error. (.npy and .npz
// have fuzzers of their own.)
#include <cstdint>
#include <cstdlib>

#include "data/samples.h"
#include "dnateq/error.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dnateq::fuzz::MemoryFile file;
  file.hold(data, size);
  try {
    const auto labels = dnateq::read_labels(file.path());
    if (labels.empty() || labels.size() > size) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
