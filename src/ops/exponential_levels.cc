#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <vector>

#include "core/pack.h"
#include "ops/blob_input.h"
#include "ops/ops.h"

namespace dnateq::ops {
namespace {

// Matrices alone are shared between operations: embeddings and MatMuls.
void check_header(const ov::Node& node, const BlobHeader& header) {
  OPENVINO_ASSERT(header.code.arithmetic == Arithmetic::kInt8Grid && header.shape.size() == 2, "'",
                  node.get_friendly_name(), "': ExponentialLevels takes matrices on an int8 grid.");
}

ov::Shape shape_of(const BlobHeader& header) { return {header.shape.begin(), header.shape.end()}; }

ov::Shape scale_shape_of(const BlobHeader& header) {
  const auto rows = static_cast<size_t>(header.rows);
  return header.transposed ? ov::Shape{1, rows} : ov::Shape{rows, 1};
}

}  // namespace

ExponentialLevels::ExponentialLevels(const ov::Output<ov::Node>& blob) : Op({blob}) {
  constructor_validate_and_infer_types();
}

void ExponentialLevels::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 1, "ExponentialLevels takes a blob.");
  if (const auto header = check_blob_input(*this, 0, true, verified_)) {
    check_header(*this, *header);
    shape_ = shape_of(*header);
    scale_shape_ = scale_shape_of(*header);
  }
  const auto shape = [](const ov::Shape& known) {
    return known.empty() ? ov::PartialShape::dynamic() : ov::PartialShape(known);
  };
  set_output_size(2);
  set_output_type(0, ov::element::i8, shape(shape_));
  set_output_type(1, ov::element::f32, shape(scale_shape_));
}

std::shared_ptr<ov::Node> ExponentialLevels::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<ExponentialLevels>();
  clone->shape_ = shape_;
  clone->scale_shape_ = scale_shape_;
  clone->verified_ = verified_;
  clone->set_arguments(inputs);
  clone->constructor_validate_and_infer_types();
  return clone;
}

bool ExponentialLevels::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const Blob blob = read_blob_tensor(*this, inputs[0], true);
  check_header(*this, blob);
  outputs[0].set_shape(shape_of(blob));
  outputs[1].set_shape(scale_shape_of(blob));
  const auto columns = static_cast<size_t>(blob.columns), rows = static_cast<size_t>(blob.rows);
  const std::vector<uint8_t> codes = unpack(blob.codes, rows * columns, blob.code.stored_bits);
  std::vector<int8_t> table(blob.grid_levels.size());
  std::transform(blob.grid_levels.begin(), blob.grid_levels.end(), table.begin(),
                 [](int16_t level) { return static_cast<int8_t>(level); });
  auto* levels = outputs[0].data<int8_t>();
  tbb::parallel_for(tbb::blocked_range<size_t>(0, rows, std::max<size_t>(1, 65536 / columns)), [&](const auto& range) {
    for (size_t r = range.begin(); r != range.end(); ++r)
      for (size_t c = 0; c < columns; ++c)
        levels[blob.transposed ? c * rows + r : r * columns + c] = table[codes[r * columns + c]];
  });
  const auto unit = static_cast<float>(1.0 / blob.code.grid);
  auto* scales = outputs[1].data<float>();
  for (size_t r = 0; r < rows; ++r) scales[r] = blob.gamma[r] * unit;
  return true;
}

}  // namespace dnateq::ops
