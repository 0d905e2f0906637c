#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "core/hadamard.h"
#include "ops/ops.h"

namespace dnateq::ops {

HadamardTransform::HadamardTransform(const ov::Output<ov::Node>& x, int64_t block) : Op({x}), block_(block) {
  constructor_validate_and_infer_types();
}

void HadamardTransform::validate_and_infer_types() {
  const ov::element::Type type = get_input_element_type(0);
  OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::f32, "'", get_friendly_name(),
                  "': HadamardTransform takes f32.");
  OPENVINO_ASSERT(block_ > 0 && hadamard_block(static_cast<size_t>(block_)) == static_cast<size_t>(block_), "'",
                  get_friendly_name(), "': a block of ", block_, " values; it must be a power of 2, at most 512.");
  const ov::PartialShape& shape = get_input_partial_shape(0);
  if (shape.rank().is_static() && shape.size() > 0 && shape[shape.size() - 1].is_static())
    OPENVINO_ASSERT(shape[shape.size() - 1].get_length() % block_ == 0, "'", get_friendly_name(), "': ", shape,
                    " is not made of blocks of ", block_, ".");
  set_output_type(0, ov::element::f32, shape);
}

std::shared_ptr<ov::Node> HadamardTransform::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  return std::make_shared<HadamardTransform>(inputs[0], block_);
}

bool HadamardTransform::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("block", block_);
  return true;
}

bool HadamardTransform::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  outputs[0].set_shape(inputs[0].get_shape());
  const size_t values = inputs[0].get_size(), block = static_cast<size_t>(block_);
  OPENVINO_ASSERT(values % block == 0, "'", get_friendly_name(), "': ", inputs[0].get_shape(),
                  " is not made of blocks of ", block_, ".");
  const auto* x = inputs[0].data<const float>();
  auto* y = outputs[0].data<float>();
  constexpr size_t kValuesATask = 1 << 16;
  const size_t grain = std::max<size_t>(kValuesATask / block, 1);
  tbb::parallel_for(tbb::blocked_range<size_t>(0, values / block, grain), [&](const auto& range) {
    const size_t begin = range.begin() * block, end = range.end() * block;
    std::copy(x + begin, x + end, y + begin);
    hadamard({y + begin, end - begin}, block);
  });
  return true;
}

}  // namespace dnateq::ops
