// Any bytes as measurements/report.cbor: refused with Error, or what writes itself back and can be drawn.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "dnateq/error.h"
#include "report/report_file.h"
#include "report/tensor_view.h"

namespace {

dnateq::Recipe two_layers() {
  dnateq::Recipe recipe;
  recipe.layers.resize(2);
  recipe.layers[0].name = "conv";
  return recipe;
}

dnateq::TensorCode real_levels() {
  dnateq::TensorCode code;
  code.arithmetic = dnateq::Arithmetic::kExponential;
  return code;
}

std::string written(const dnateq::ReportInput& input) {
  const std::vector<uint8_t> bytes = dnateq::report_file_bytes(input);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dnateq::Recipe recipe = two_layers();
  try {
    const dnateq::ReportInput input =
        dnateq::read_report_file({reinterpret_cast<const char*>(data), size}, recipe, "fuzz");
    const std::string again = written(input);
    if (written(dnateq::read_report_file(again, recipe, "fuzz")) != again) std::abort();
    for (const dnateq::TensorView& view : input.tensors)
      if (dnateq::display_histogram(view.histogram, view.histogram.minimum(), view.histogram.maximum()).counts.size() !=
          dnateq::kDisplayBins)
        std::abort();
    if (input.tensors.size() == 1) dnateq::tensor_view_document(input.tensors[0].histogram, real_levels());
  } catch (const dnateq::Error&) {
  }
  return 0;
}
