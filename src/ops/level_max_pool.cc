#include "dnateq/error.h"
#include "kernels/pooling.h"
#include "ops/level_windows.h"
#include "ops/ops.h"

namespace dnateq::ops {

LevelMaxPool::LevelMaxPool(const ov::Output<ov::Node>& levels, LevelWindows windows, std::vector<int64_t> kernel)
    : Op({levels}), windows_(std::move(windows)), kernel_(std::move(kernel)) {
  constructor_validate_and_infer_types();
}

bool LevelMaxPool::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("kernel", kernel_);
  visit_windows(visitor, windows_);
  return true;
}

void LevelMaxPool::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 1, "LevelMaxPool takes a tensor.");
  const ov::element::Type type = get_input_element_type(0);
  OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::i8 || type == ov::element::u8, "'", get_friendly_name(),
                  "': LevelMaxPool takes i8 or u8.");
  check_windows(*this, windows_);
  OPENVINO_ASSERT(kernel_.size() == windows_.strides.size() &&
                      std::all_of(kernel_.begin(), kernel_.end(), [](int64_t size) { return size > 0; }),
                  "'", get_friendly_name(), "': the kernel has other axes than its strides.");
  const ov::PartialShape& x = get_input_partial_shape(0);
  const ov::Dimension channels = x.rank().is_static() && x.size() > 0 ? x[x.size() - 1] : ov::Dimension::dynamic();
  set_output_type(0, type, windows_shape(*this, x, windows_, kernel_.data(), channels));
}

std::shared_ptr<ov::Node> LevelMaxPool::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  return std::make_shared<LevelMaxPool>(inputs[0], windows_, kernel_);
}

bool LevelMaxPool::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const ov::Shape& x = inputs[0].get_shape();
  outputs[0].set_shape(windows_shape(*this, x, windows_, kernel_.data(), static_cast<int64_t>(x.back())).to_shape());
  const size_t axes = windows_.strides.size(), w = axes - 1;
  const auto at = [](const std::vector<int64_t>& values, size_t axis) { return static_cast<size_t>(values[axis]); };
  kernels::PoolingShape shape;
  shape.batch = x[0], shape.width = x[axes], shape.channels = x[axes + 1];
  shape.kernel_width = at(kernel_, w), shape.stride_width = at(windows_.strides, w);
  shape.dilation_width = at(windows_.dilations, w);
  shape.pad_left = at(windows_.pads_begin, w), shape.pad_right = at(windows_.pads_end, w);
  if (axes == 2) {
    shape.height = x[1];
    shape.kernel_height = at(kernel_, 0), shape.stride_height = at(windows_.strides, 0);
    shape.dilation_height = at(windows_.dilations, 0);
    shape.pad_top = at(windows_.pads_begin, 0), shape.pad_bottom = at(windows_.pads_end, 0);
  }
  try {
    if (inputs[0].get_element_type() == ov::element::u8)
      kernels::max_pool(shape, static_cast<const uint8_t*>(inputs[0].data()), static_cast<uint8_t*>(outputs[0].data()));
    else
      kernels::max_pool(shape, static_cast<const int8_t*>(inputs[0].data()), static_cast<int8_t*>(outputs[0].data()));
  } catch (const Error& error) {
    OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
  }
  return true;
}

}  // namespace dnateq::ops
