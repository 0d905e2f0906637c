#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <vector>

#include "core/pack.h"
#include "ops/blob_input.h"
#include "ops/ops.h"

namespace dnateq::ops {

struct ExponentialEmbedding::Prepared {
  struct Block {
    Blob blob;          // all but its codes, which are taken from the tensor at hand each time
    size_t bytes;       // of the whole blob
    int64_t first_row;  // in the table
  };
  std::vector<Block> blocks;
  int64_t rows = 0;
};

ExponentialEmbedding::ExponentialEmbedding(const ov::OutputVector& blobs, const ov::Output<ov::Node>& indices) {
  ov::OutputVector inputs = blobs;
  inputs.push_back(indices);
  set_arguments(inputs);
  constructor_validate_and_infer_types();
}

void ExponentialEmbedding::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() >= 2, "ExponentialEmbedding takes blobs and indices.");
  const size_t blobs = get_input_size() - 1;
  const ov::element::Type type = get_input_element_type(blobs);
  OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::i32 || type == ov::element::i64, "'", get_friendly_name(),
                  "': indices must be i32 or i64.");
  verified_.resize(blobs);
  for (size_t b = 0; b < blobs; ++b)
    if (const auto header = check_blob_input(*this, b, true, verified_[b])) {
      OPENVINO_ASSERT(b == 0 || width_ < 0 || width_ == header->columns, "'", get_friendly_name(),
                      "': the blobs' rows differ in length.");
      width_ = header->columns;
    }
  ov::PartialShape shape = get_input_partial_shape(blobs);
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
    auto prepared = std::make_shared<Prepared>();
    for (size_t b = 0; b + 1 < inputs.size(); ++b) {
      Blob blob = read_blob_tensor(*this, inputs[b], true);
      blob.codes = {};
      OPENVINO_ASSERT(b == 0 || blob.columns == prepared->blocks[0].blob.columns, "'", get_friendly_name(),
                      "': the blobs' rows differ in length.");
      prepared->blocks.push_back({std::move(blob), inputs[b].get_byte_size(), prepared->rows});
      prepared->rows += prepared->blocks.back().blob.rows;
    }
    prepared_ = std::move(prepared);
  });
  const std::vector<Prepared::Block>& blocks = prepared_->blocks;
  std::vector<std::span<const uint8_t>> codes;
  for (size_t b = 0; b < blocks.size(); ++b) {
    OPENVINO_ASSERT(inputs[b].get_byte_size() == blocks[b].bytes, "'", get_friendly_name(), "': the blob changed.");
    const Blob& blob = blocks[b].blob;
    codes.push_back(
        blob_bytes(inputs[b]).last(packed_bytes(static_cast<size_t>(blob.rows * blob.columns), blob.code.stored_bits)));
  }
  const ov::Tensor& indices = inputs[blocks.size()];
  const int64_t columns = blocks[0].blob.columns;
  ov::Shape shape = indices.get_shape();
  shape.push_back(static_cast<size_t>(columns));
  outputs[0].set_shape(shape);
  auto* out = static_cast<float*>(outputs[0].data());
  const bool wide = indices.get_element_type() == ov::element::i64;
  const void* data = indices.data();
  const auto grain = static_cast<size_t>(std::max<int64_t>(1, 16384 / columns));
  tbb::parallel_for(tbb::blocked_range<size_t>(0, indices.get_size(), grain), [&](const auto& range) {
    for (size_t i = range.begin(); i != range.end(); ++i) {
      int64_t row = wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
      if (row < 0) row += prepared_->rows;
      float* values = out + i * static_cast<size_t>(columns);
      if (row < 0 || row >= prepared_->rows) {
        std::fill_n(values, columns, 0.0F);
        continue;
      }
      size_t b = blocks.size() - 1;
      while (row < blocks[b].first_row) --b;
      row -= blocks[b].first_row;
      decode_rows(blocks[b].blob, codes[b], row, row + 1, values);
    }
  });
  return true;
}

}  // namespace dnateq::ops
