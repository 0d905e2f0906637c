// An imported Clip as one Clamp.
#include <optional>

#include "graph/import/passes.h"

namespace dnateq::import_passes {
// Minimum(Maximum(x, a), b) by scalars, an imported Clip, becomes Clamp: its sign is visible and kernels fuse it.
void fuse_clamps(const std::shared_ptr<ov::Model>& model) {
  const auto scalar = [](const ov::Output<ov::Node>& output) -> std::optional<double> {
    const ConstantPtr constant = constant_of(output);
    if (!constant || ov::shape_size(constant->get_shape()) != 1 || !constant->get_element_type().is_real()) return {};
    return static_cast<double>(constant->cast_vector<float>()[0]);
  };
  for (const auto& node : model->get_ordered_ops()) {
    const bool outer_is_minimum = ov::is_type<op::Minimum>(node);
    if (!outer_is_minimum && !ov::is_type<op::Maximum>(node)) continue;
    const auto inner = node->get_input_node_shared_ptr(0);
    if (outer_is_minimum ? !ov::is_type<op::Maximum>(inner) : !ov::is_type<op::Minimum>(inner)) continue;
    const auto outer_bound = scalar(node->input_value(1)), inner_bound = scalar(inner->input_value(1));
    if (!outer_bound || !inner_bound || inner->get_output_target_inputs(0).size() != 1) continue;
    if (node->get_output_partial_shape(0).rank() != inner->get_input_partial_shape(0).rank())
      continue;  // bounds widen it
    const double low = outer_is_minimum ? *inner_bound : *outer_bound;
    const double high = outer_is_minimum ? *outer_bound : *inner_bound;
    if (!(low < high)) continue;
    const auto clamp = std::make_shared<op::Clamp>(inner->input_value(0), low, high);
    clamp->set_friendly_name(node->get_friendly_name());
    ov::replace_node(node, clamp);
  }
}

}  // namespace dnateq::import_passes
