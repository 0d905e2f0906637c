#include "graph/float_operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

namespace dnateq {
namespace {

// Values go through unchanged, or one of several is chosen; roundings and signs are exact.
bool is_exact(std::string_view type) {
  static const std::set<std::string_view> exact = {"Abs",
                                                   "Assign",
                                                   "BatchToSpace",
                                                   "Broadcast",
                                                   "Ceiling",
                                                   "Clamp",
                                                   "Concat",
                                                   "Constant",
                                                   "Convert",
                                                   "DepthToSpace",
                                                   "Equal",
                                                   "ExtractImagePatches",
                                                   "Floor",
                                                   "Gather",
                                                   "GatherElements",
                                                   "GatherND",
                                                   "MaxPool",
                                                   "Maximum",
                                                   "Minimum",
                                                   "Negative",
                                                   "Pad",
                                                   "Parameter",
                                                   "PRelu",
                                                   "ReadValue",
                                                   "ReduceMax",
                                                   "ReduceMin",
                                                   "Relu",
                                                   "Reshape",
                                                   "Result",
                                                   "Reverse",
                                                   "ReverseSequence",
                                                   "Round",
                                                   "ScatterElementsUpdate",
                                                   "ScatterNDUpdate",
                                                   "ScatterUpdate",
                                                   "Select",
                                                   "ShuffleChannels",
                                                   "Sign",
                                                   "Slice",
                                                   "SpaceToBatch",
                                                   "SpaceToDepth",
                                                   "Split",
                                                   "Squeeze",
                                                   "StridedSlice",
                                                   "Tile",
                                                   "TopK",
                                                   "Transpose",
                                                   "Unsqueeze",
                                                   "VariadicSplit",
                                                   "ShapeOf"};
  return exact.contains(type);
}

bool is_ours(const ov::Node& node) {
  const char* set = node.get_type_info().version_id;
  return set != nullptr && std::string_view(set) == "dnateq";
}

bool rounds_once(const ov::Node& node, const std::unordered_set<const ov::Node*>& folded) {
  const std::string_view type = node.get_type_name();
  if (type == "Multiply") return true;
  if (type != "Add" && type != "Subtract") return false;
  for (const auto& input : node.input_values())  // OpenVINO makes one fused operation of both on some CPUs
    if (std::string_view(input.get_node()->get_type_name()) == "Multiply" && !folded.contains(input.get_node()))
      return false;
  return true;
}

}  // namespace

std::vector<FloatOperations> float_operations(const ov::Model& model) {
  std::map<std::string, FloatOperations> by_type;
  std::unordered_set<const ov::Node*> folded;
  for (const auto& node : model.get_ordered_ops()) {
    const std::string type = node->get_type_name();
    const auto inputs = node->input_values();
    const bool is_folded =
        type == "Constant" || (!inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [&](const auto& input) {
          return folded.contains(input.get_node());
        }));
    if (is_folded) folded.insert(node.get());
    const auto outputs = node->outputs();
    const bool gives_floats = std::any_of(outputs.begin(), outputs.end(), [](const auto& output) {
      return output.get_element_type().is_dynamic() || output.get_element_type().is_real();
    });
    if (is_folded || !gives_floats || is_ours(*node) || is_exact(type) || rounds_once(*node, folded)) continue;
    FloatOperations& all = by_type[type];
    all.type = type;
    all.names.push_back(node->get_friendly_name());
  }
  std::vector<FloatOperations> list;
  for (auto& [type, operations] : by_type) list.push_back(std::move(operations));
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.names.size() > b.names.size(); });
  return list;
}

bool promises_same_bits(const ov::Model& model) {
  if (!model.has_rt_info("dnateq", "emission")) return false;
  const auto emission = model.get_rt_info<std::string>("dnateq", "emission");
  return emission == "exact" || emission == "counting";
}

std::string to_string(const std::vector<FloatOperations>& operations) {
  std::string text;
  for (const FloatOperations& of : operations)
    text += fmt::format("{}{} {} ({}'{}')", text.empty() ? "" : ", ", of.names.size(), of.type,
                        of.names.size() > 1 ? "first " : "", of.names.front());
  return text;
}

}  // namespace dnateq
