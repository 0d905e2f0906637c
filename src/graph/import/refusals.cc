// Networks that cannot be quantized as a whole.
#include <fmt/format.h>

#include "dnateq/error.h"
#include "graph/import/passes.h"

namespace dnateq::import_passes {
namespace {

bool is_narrow(const ov::element::Type& type) {
  return type.is_static() && (type.bitwidth() < 16 || type == ov::element::i8 || type == ov::element::u8) &&
         type != ov::element::boolean;
}

// Weights that are stored as small integers, followed by their decompression.
bool is_compressed_weight(const ov::Output<ov::Node>& output) {
  const auto node = output.get_node_shared_ptr();
  if (const auto constant = ov::as_type_ptr<op::Constant>(node)) return is_narrow(constant->get_element_type());
  if (ov::is_type<op::Convert>(node) || ov::is_type<op::Multiply>(node) || ov::is_type<op::Subtract>(node) ||
      ov::is_type<op::Reshape>(node) || ov::is_type<op::Transpose>(node) || ov::is_type<op::Gather>(node)) {
    for (const auto& input : node->input_values())
      if (is_compressed_weight(input)) return true;
  }
  return false;
}

}  // namespace

void refuse_foreign_quantization(const ov::Model& model, const std::string& file) {
  if (!model.get_variables().empty() || !model.get_sinks().empty())
    throw Error(fmt::format(
        "'{}' is a stateful model; export it without state (explicit past/present inputs and outputs)", file));
  for (const auto& node : model.get_ops()) {
    if (std::string(node->get_type_info().version_id) == "dnateq")
      throw Error(fmt::format("'{}' is a result of dnateq already (layer '{}'); give the FP32 model", file,
                              node->get_friendly_name()));
    if (ov::is_type<op::FakeQuantize>(node))
      throw Error(fmt::format("'{}' is quantized already (FakeQuantize '{}'); give the FP32 model", file,
                              node->get_friendly_name()));
    if (ov::is_type<op::MatMul>(node) || ov::is_type<op::Convolution>(node) ||
        ov::is_type<op::GroupConvolution>(node)) {
      for (const auto& input : node->input_values())
        if (is_compressed_weight(input))
          throw Error(fmt::format("'{}' holds compressed weights already (layer '{}'); give the FP32 model", file,
                                  node->get_friendly_name()));
    }
  }
}

}  // namespace dnateq::import_passes
