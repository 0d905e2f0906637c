#include "image_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dnateq::fuzz::check_image(dnateq::decode_png, data, size);
}
