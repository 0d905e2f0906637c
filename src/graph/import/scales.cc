// Constant factors of convolutions move into their weights.
#include <algorithm>
#include <vector>

#include "graph/import/passes.h"

namespace dnateq::import_passes {
// x * 1, as an imported Gemm has it, is x: else the bias that follows would not join its layer.
void drop_factors_of_one(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    if (!ov::is_type<op::Multiply>(node)) continue;
    for (const size_t port : {size_t{0}, size_t{1}}) {
      const ConstantPtr factor = constant_of(node->input_value(port));
      const ov::Output<ov::Node> x = node->input_value(1 - port);
      if (!factor || !factor->get_element_type().is_real()) continue;
      const std::vector<float> values = factor->cast_vector<float>();
      const bool ones = std::all_of(values.begin(), values.end(), [](float value) { return value == 1.0F; });
      if (!ones || x.get_partial_shape() != node->get_output_partial_shape(0)) continue;  // else it widens x
      ov::replace_output_update_name(node->output(0), x);
      break;
    }
  }
}

// Convolution -> Multiply(constant per output channel): the factor moves into the weights.
void fold_scales(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    const auto multiply = ov::as_type_ptr<op::Multiply>(node);
    if (!multiply) continue;
    ConstantPtr factor = constant_of(multiply->input_value(1));
    const size_t other = factor ? 0 : 1;
    if (!factor) factor = constant_of(multiply->input_value(0));
    const auto layer = multiply->input_value(other).get_node_shared_ptr();
    const bool grouped = ov::is_type<op::GroupConvolution>(layer);
    if (!factor || !(grouped || ov::is_type<op::Convolution>(layer))) continue;
    if (layer->get_output_target_inputs(0).size() != 1) continue;
    const ConstantPtr weights = constant_of(layer->input_value(1));
    if (!weights || weights->get_element_type() != ov::element::f32) continue;
    const ov::Shape shape = weights->get_shape();
    const size_t channels = grouped ? shape[0] * shape[1] : shape[0];
    const ov::Shape factor_shape = factor->get_shape();
    const size_t rank = shape.size() - (grouped ? 1 : 0);
    const bool per_channel =
        factor_shape.size() == rank && factor_shape[1] == channels && ov::shape_size(factor_shape) == channels;
    const bool scalar = ov::shape_size(factor_shape) == 1 && factor_shape.size() <= rank;
    if (!per_channel && !scalar) continue;
    std::vector<float> values = weights->cast_vector<float>();
    const std::vector<float> factors = factor->cast_vector<float>();
    const size_t inner = values.size() / channels;
    for (size_t c = 0; c < channels; ++c)
      for (size_t i = 0; i < inner; ++i) values[c * inner + i] *= factors[scalar ? 0 : c];
    layer->input(1).replace_source_output(op::Constant::create(ov::element::f32, shape, values));
    ov::replace_output_update_name(multiply->output(0), layer->output(0));
  }
}

}  // namespace dnateq::import_passes
