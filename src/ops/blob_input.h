// The blob input that our operations share.
#pragma once

#include <algorithm>
#include <openvino/core/except.hpp>
#include <openvino/op/constant.hpp>
#include <optional>
#include <span>

#include "core/blob.h"
#include "dnateq/error.h"
#include "ops/ops.h"

namespace dnateq::ops {

inline std::span<const uint8_t> blob_bytes(const ov::Tensor& tensor) {
  return {static_cast<const uint8_t*>(tensor.data()), tensor.get_byte_size()};
}

// Checks the input's type and, where it is a constant (not so in the copies that OpenVINO's shape inference makes), its
// header. That runs some twenty times per compilation, and at each inference of a dynamic model on a fresh copy, so the
// CRC is checked only for a header (which holds the CRC) that is not the one in `verified`; evaluate() checks it
// anyway.
inline std::optional<BlobHeader> check_blob_input(const ov::Node& node, size_t port, bool with_codes,
                                                  VerifiedHeader& verified) {
  OPENVINO_ASSERT(node.get_input_element_type(port) == ov::element::u8, "'", node.get_friendly_name(),
                  "': the blob must be a u8 constant.");
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node.get_input_node_shared_ptr(port));
  if (!constant) return std::nullopt;
  const std::span<const uint8_t> bytes{static_cast<const uint8_t*>(constant->get_data_ptr()),
                                       constant->get_byte_size()};
  try {
    BlobHeader header = read_blob_header(bytes, node.get_friendly_name());
    if (!std::equal(verified.begin(), verified.end(), bytes.begin())) {
      read_blob(bytes, node.get_friendly_name());
      std::copy_n(bytes.begin(), verified.size(), verified.begin());
    }
    OPENVINO_ASSERT(header.has_codes == with_codes, "'", node.get_friendly_name(), "': the blob is of another kind.");
    return header;
  } catch (const Error& error) {
    OPENVINO_THROW(error.what());
  }
}

// Blob of a tensor handed to evaluate(), with the CRC checked.
inline Blob read_blob_tensor(const ov::Node& node, const ov::Tensor& tensor, bool with_codes) {
  try {
    Blob blob = read_blob(blob_bytes(tensor), node.get_friendly_name());
    OPENVINO_ASSERT(blob.has_codes == with_codes, "'", node.get_friendly_name(), "': the blob is of another kind.");
    return blob;
  } catch (const Error& error) {
    OPENVINO_THROW(error.what());
  }
}

}  // namespace dnateq::ops
