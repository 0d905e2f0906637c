// Networks that cannot be quantized as a whole.
#include <fmt/format.h>

#include <openvino/op/util/gather_base.hpp>
#include <set>

#include "dnateq/error.h"
#include "graph/import/passes.h"

namespace dnateq::import_passes {
namespace {

bool is_narrow(const ov::element::Type& type) {
  return type.is_static() && (type.bitwidth() < 16 || type == ov::element::i8 || type == ov::element::u8) &&
         type != ov::element::boolean;
}

constexpr size_t kFewestBits = 3;  // of weights that are worth another code

// The constant of small integers that weights are decompressed from; null where they are not.
std::shared_ptr<op::Constant> compressed_weight(const ov::Output<ov::Node>& output) {
  const auto node = output.get_node_shared_ptr();
  if (const auto constant = ov::as_type_ptr<op::Constant>(node))
    return is_narrow(constant->get_element_type()) ? constant : nullptr;
  if (ov::is_type<op::Convert>(node) || ov::is_type<op::Multiply>(node) || ov::is_type<op::Subtract>(node) ||
      ov::is_type<op::Reshape>(node) || ov::is_type<op::Transpose>(node)) {
    for (const auto& input : node->input_values())
      if (const auto found = compressed_weight(input)) return found;
  }
  return nullptr;
}

}  // namespace

void refuse_foreign_quantization(const ov::Model& model, const std::string& file) {
  for (const auto& node : model.get_ops()) {
    if (std::string(node->get_type_info().version_id) == "dnateq")
      throw Error(fmt::format("'{}' is a result of dnateq already (layer '{}'); give the network that it was made from",
                              file, node->get_friendly_name()));
    if (ov::is_type<op::FakeQuantize>(node))
      throw Error(fmt::format("'{}' is quantized already (FakeQuantize '{}'); give the FP32 model", file,
                              node->get_friendly_name()));
  }
}

std::vector<std::string> types_of_compressed_weights(const ov::Model& model, const std::string& file) {
  std::set<std::string> types;
  for (const auto& node : model.get_ops()) {
    const bool gather = ov::is_type<ov::op::util::GatherBase>(node);
    if (!gather && !ov::is_type<op::MatMul>(node) && !ov::is_type<op::Convolution>(node) &&
        !ov::is_type<op::GroupConvolution>(node))
      continue;
    for (size_t i = 0; i < (gather ? 1 : node->get_input_size()); ++i) {
      const auto constant = compressed_weight(node->input_value(i));
      if (!constant || (gather && constant.get() == node->get_input_node_ptr(i))) continue;
      if (constant->get_element_type().bitwidth() < kFewestBits)
        throw Error(
            fmt::format("'{}' holds weights of {} bits already (layer '{}'); give the network that it was made "
                        "from",
                        file, constant->get_element_type().bitwidth(), node->get_friendly_name()));
      types.insert(constant->get_element_type().get_type_name());
    }
  }
  return {types.begin(), types.end()};
}

}  // namespace dnateq::import_passes
