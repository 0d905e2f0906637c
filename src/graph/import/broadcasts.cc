// Broadcasts as OpenVINO GenAI writes them: of keys and values to the heads that share them, with a 0 in the target
// shape where the length is to stay as it is. OpenVINO gives that up in favour of an attention operation before it
// computes it; where a part of the network is computed, the 0 would leave no values.
#include <algorithm>
#include <vector>

#include "graph/import/passes.h"

namespace dnateq::import_passes {

void keep_length_in_broadcasts(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    const auto broadcast = ov::as_type_ptr<op::Broadcast>(node);
    if (!broadcast || broadcast->get_broadcast_spec().m_type != ov::op::BroadcastType::BIDIRECTIONAL) continue;
    const auto target = ov::as_type_ptr<op::Concat>(broadcast->get_input_node_shared_ptr(1));
    if (!target) continue;
    for (ov::Input<ov::Node> part : target->inputs()) {
      const ConstantPtr constant = constant_of(part.get_source_output());
      if (!constant || !constant->get_element_type().is_integral_number()) continue;
      std::vector<int64_t> dims = constant->cast_vector<int64_t>();
      if (std::find(dims.begin(), dims.end(), 0) == dims.end()) continue;
      std::replace(dims.begin(), dims.end(), int64_t{0}, int64_t{1});
      part.replace_source_output(op::Constant::create(constant->get_element_type(), constant->get_shape(), dims));
    }
  }
  model->validate_nodes_and_infer_types();
}

}  // namespace dnateq::import_passes
