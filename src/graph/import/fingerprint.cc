// What tells two networks apart whatever their nodes are called.
#include <fmt/format.h>

#include <map>
#include <span>

#include "core/hash.h"
#include "graph/disk_constants.h"
#include "graph/import/passes.h"

namespace dnateq::import_passes {
// Nodes count by kind, shape and place, not by name: OpenVINO numbers the nameless ones by a counter of the process.
std::string fingerprint_of(const PreparedModel& prepared) {
  uint64_t digest = kFnvStart;
  const auto add = [&](const std::string& text) { digest = fnv1a(std::as_bytes(std::span(text)), digest); };
  std::map<const ov::Node*, size_t> place;
  for (const auto& node : prepared.model->get_ordered_ops()) {
    place.emplace(node.get(), place.size());
    add(fmt::format("|{}", node->get_type_name()));
    for (const auto& input : node->input_values())
      add(fmt::format(" {}.{}", place.at(input.get_node()), input.get_index()));
    for (const auto& output : node->outputs()) add(output.get_partial_shape().to_string());
    if (const auto constant = ov::as_type_ptr<op::Constant>(node)) {
      digest = fnv1a({static_cast<const std::byte*>(constant->get_data_ptr()), constant->get_byte_size()}, digest);
      leave_memory(*constant);
    }
  }
  for (const Layer& layer : prepared.layers) add("|" + layer.name);
  return to_hex(digest);
}

}  // namespace dnateq::import_passes
