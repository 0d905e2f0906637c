// Codes whose levels are integers of 8 bits: what tensors of levels hold.
#pragma once

#include <openvino/core/except.hpp>
#include <openvino/core/node.hpp>

#include "core/blob.h"
#include "dnateq/error.h"
#include "kernels/encoder.h"

namespace dnateq::ops {

inline ov::element::Type level_type(const ov::Node& node, const TensorCode& code) {
  OPENVINO_ASSERT(code.arithmetic == Arithmetic::kInt8Grid, "'", node.get_friendly_name(),
                  "': levels of exponential arithmetic are no integers.");
  return code.negative_levels > 0 ? ov::element::i8 : ov::element::u8;
}

inline kernels::ActivationEncoder level_encoder(const ov::Node& node, const TensorCode& code) {
  try {
    return kernels::ActivationEncoder(code);
  } catch (const Error& error) {
    OPENVINO_THROW("'", node.get_friendly_name(), "': ", error.what());
  }
}

}  // namespace dnateq::ops
