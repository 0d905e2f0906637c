// Any bytes as a .tar of images: an index of at least one name, whose files are read or refused, or one Error.
#include <cstdint>
#include <cstdlib>

#include "data/image_files.h"
#include "data/samples.h"
#include "dnateq/error.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dnateq::fuzz::MemoryFile file;
  file.hold(data, size);
  try {
    const auto images = dnateq::open_image_tar(file.path());
    if (images->names().empty()) std::abort();
    for (size_t i = 0; i < images->names().size(); ++i) {
      try {
        if (images->read(i).size() > size) std::abort();
      } catch (const dnateq::Error&) {
      }
    }
    dnateq::Fingerprint fingerprint;
    images->add_to(fingerprint);
  } catch (const dnateq::Error&) {
  }
  try {
    for (const int64_t label : dnateq::labels_from_image_names(file.path()))
      if (label < 0) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
