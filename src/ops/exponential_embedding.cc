#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>

#include "core/pack.h"
#include "ops/blob_input.h"
#include "ops/ops.h"

namespace dnateq::ops {

struct ExponentialEmbedding::Prepared {
  Blob blob;     // all but its codes, which are taken from the tensor at hand each time
  size_t bytes;  // of the whole blob
};

ExponentialEmbedding::ExponentialEmbedding(const ov::Output<ov::Node>& blob, const ov::Output<ov::Node>& indices)
    : Op({blob, indices}) {
  constructor_validate_and_infer_types();
}

void ExponentialEmbedding::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() == 2, "ExponentialEmbedding takes a blob and indices.");
  const ov::element::Type type = get_input_element_type(1);
  OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::i32 || type == ov::element::i64, "'", get_friendly_name(),
                  "': indices must be i32 or i64.");
  if (const auto header = check_blob_input(*this, 0, true, verified_)) width_ = header->columns;
  ov::PartialShape shape = get_input_partial_shape(1);
  if (shape.rank().is_static()) shape.push_back(width_ < 0 ? ov::Dimension::dynamic() : ov::Dimension(width_));
  set_output_type(0, ov::element::f32, shape);
}

std::shared_ptr<ov::Node> ExponentialEmbedding::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  check_new_args_count(this, inputs);
  auto clone = std::make_shared<ExponentialEmbedding>();
  clone->width_ = width_;
  clone->verified_ = verified_;
  clone->set_arguments(inputs);
  clone->constructor_validate_and_infer_types();
  return clone;
}

bool ExponentialEmbedding::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  std::call_once(once_, [&] {
    Blob blob = read_blob_tensor(*this, inputs[0], true);
    blob.codes = {};
    prepared_ = std::make_shared<Prepared>(Prepared{std::move(blob), inputs[0].get_byte_size()});
  });
  OPENVINO_ASSERT(inputs[0].get_byte_size() == prepared_->bytes, "'", get_friendly_name(), "': the blob changed.");
  const Blob& blob = prepared_->blob;
  const auto codes =
      blob_bytes(inputs[0]).last(packed_bytes(static_cast<size_t>(blob.rows * blob.columns), blob.code.stored_bits));
  ov::Shape shape = inputs[1].get_shape();
  shape.push_back(static_cast<size_t>(blob.columns));
  outputs[0].set_shape(shape);
  auto* out = static_cast<float*>(outputs[0].data());
  const bool wide = inputs[1].get_element_type() == ov::element::i64;
  const void* indices = inputs[1].data();
  const auto grain = static_cast<size_t>(std::max<int64_t>(1, 16384 / blob.columns));
  tbb::parallel_for(tbb::blocked_range<size_t>(0, inputs[1].get_size(), grain), [&](const auto& range) {
    for (size_t i = range.begin(); i != range.end(); ++i) {
      int64_t row = wide ? static_cast<const int64_t*>(indices)[i] : static_cast<const int32_t*>(indices)[i];
      if (row < 0) row += blob.rows;
      float* values = out + i * static_cast<size_t>(blob.columns);
      if (row < 0 || row >= blob.rows)
        std::fill_n(values, blob.columns, 0.0F);
      else
        decode_rows(blob, codes, row, row + 1, values);
    }
  });
  return true;
}

}  // namespace dnateq::ops
