// Batch normalization as one Multiply and one Add by constants.
#include <cmath>
#include <vector>

#include "graph/import/passes.h"

namespace dnateq::import_passes {
// y = gamma (x - mean) / sqrt(variance + eps) + beta as one Multiply and one Add by constants.
void decompose_batch_norm(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    const auto norm = ov::as_type_ptr<op::BatchNormInference>(node);
    if (!norm) continue;
    const ConstantPtr gamma = constant_of(norm->input_value(1)), beta = constant_of(norm->input_value(2)),
                      mean = constant_of(norm->input_value(3)), variance = constant_of(norm->input_value(4));
    const auto rank = norm->get_input_partial_shape(0).rank();
    if (!gamma || !beta || !mean || !variance || rank.is_dynamic()) continue;
    const auto g = gamma->cast_vector<float>(), b = beta->cast_vector<float>(), m = mean->cast_vector<float>(),
               v = variance->cast_vector<float>();
    std::vector<float> scale(g.size()), shift(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      const double s = g[i] / std::sqrt(static_cast<double>(v[i]) + norm->get_eps_value());
      scale[i] = static_cast<float>(s);
      shift[i] = static_cast<float>(b[i] - m[i] * s);
    }
    ov::Shape shape(static_cast<size_t>(rank.get_length()), 1);
    shape[1] = g.size();
    const auto multiply =
        std::make_shared<op::Multiply>(norm->input_value(0), op::Constant::create(ov::element::f32, shape, scale));
    const auto add = std::make_shared<op::Add>(multiply, op::Constant::create(ov::element::f32, shape, shift));
    multiply->set_friendly_name(norm->get_friendly_name() + "/scale");
    add->set_friendly_name(norm->get_friendly_name());
    ov::replace_node(norm, add);
  }
}

}  // namespace dnateq::import_passes
