#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <vector>

#include "ops/blob_input.h"
#include "ops/ops.h"

namespace dnateq::ops {

ExponentialWeights::ExponentialWeights(const ov::Output<ov::Node>& blob) : Op({blob}) {
  constructor_validate_and_infer_types();
}

void ExponentialWeights::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 1, "ExponentialWeights takes a blob.");
  if (const auto header = check_blob_input(*this, 0, true, verified_))
    shape_.assign(header->shape.begin(), header->shape.end());
  set_output_type(0, ov::element::f32, shape_.empty() ? ov::PartialShape::dynamic() : ov::PartialShape(shape_));
}

std::shared_ptr<ov::Node> ExponentialWeights::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<ExponentialWeights>();
  clone->shape_ = shape_;
  clone->verified_ = verified_;
  clone->set_arguments(inputs);
  clone->constructor_validate_and_infer_types();
  return clone;
}

bool ExponentialWeights::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const Blob blob = read_blob_tensor(*this, inputs[0], true);
  outputs[0].set_shape(ov::Shape(blob.shape.begin(), blob.shape.end()));
  auto* out = static_cast<float*>(outputs[0].data());
  const int64_t grain = std::max<int64_t>(1, 65536 / blob.columns);
  tbb::parallel_for(tbb::blocked_range<int64_t>(0, blob.rows, static_cast<size_t>(grain)), [&](const auto& range) {
    if (!blob.transposed) {
      decode_rows(blob, blob.codes, range.begin(), range.end(), out + range.begin() * blob.columns);
      return;
    }
    std::vector<float> row(static_cast<size_t>(blob.columns));
    for (int64_t r = range.begin(); r != range.end(); ++r) {
      decode_rows(blob, blob.codes, r, r + 1, row.data());
      for (int64_t c = 0; c < blob.columns; ++c) out[c * blob.rows + r] = row[static_cast<size_t>(c)];
    }
  });
  return true;
}

}  // namespace dnateq::ops
