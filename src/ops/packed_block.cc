#include "ops/packed_block.h"

#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "kernels/row_program.h"
#include "ops/blob_input.h"
#include "ops/packed_part.h"

namespace dnateq::ops {

using BlockHeader = std::array<uint8_t, kRowBlockHeaderBytes>;  // CRC included

// What shape inference needs. OpenVINO infers shapes of a fresh copy at each inference of a dynamic model, so that
// copies share it.
struct PackedBlock::Outline {
  BlockHeader header;
  RowBlock block;  // without matrices and vectors
};

struct PackedBlock::Prepared {
  std::once_flag once;
  std::atomic<bool> done = false;
  BlockHeader header{};
  std::unique_ptr<const kernels::RowProgram> program;
};

namespace {

std::span<const uint8_t> bytes_of(const ov::op::v0::Constant& constant) {
  return {static_cast<const uint8_t*>(constant.get_data_ptr()), constant.get_byte_size()};
}

bool begins_with(std::span<const uint8_t> bytes, const BlockHeader& header) {
  return bytes.size() >= header.size() && std::equal(header.begin(), header.end(), bytes.begin());
}

BlockHeader header_of(std::span<const uint8_t> bytes) {
  BlockHeader header{};
  std::copy_n(bytes.begin(), header.size(), header.begin());
  return header;
}

RowBlock read_block(std::span<const uint8_t> bytes, const std::string& name) {
  try {
    return read_row_block(bytes, name);
  } catch (const Error& error) {
    OPENVINO_THROW(error.what());
  }
}

ov::PartialShape without_last(const ov::PartialShape& shape) {
  return std::vector<ov::Dimension>(shape.begin(), shape.end() - 1);
}

ov::Shape without_last(const ov::Shape& shape) { return {shape.begin(), shape.end() - 1}; }

template <typename Shape>
Shape with_last(Shape shape, uint64_t width) {
  shape.push_back(typename Shape::value_type(width));
  return shape;
}

// The row shapes of a block's values, from those of its inputs. `merge` gives that of a sum.
template <typename Shape, typename Merge>
std::vector<Shape> row_shapes(const RowBlock& block, std::vector<Shape> shapes, const Merge& merge) {
  for (const RowStep& step : block.steps)
    shapes.push_back(takes_two_values(step.kind) ? merge(shapes[step.a], shapes[step.b]) : Shape(shapes[step.a]));
  return shapes;
}

// For each row of `common` the row of `own`, which broadcasts to it.
std::vector<size_t> rows_of(const ov::Shape& own, const ov::Shape& common) {
  std::vector<size_t> rows(ov::shape_size(common));
  for (size_t row = 0; row < rows.size(); ++row) {
    size_t rest = row, step = 1;
    for (size_t axis = common.size(); axis-- > 0;) {
      const size_t index = rest % common[axis];
      rest /= common[axis];
      if (own[axis] != 1) rows[row] += index * step;
      step *= own[axis];
    }
  }
  return rows;
}

}  // namespace

PackedBlock::PackedBlock() : prepared_(std::make_shared<Prepared>()) {}

PackedBlock::PackedBlock(const ov::OutputVector& inputs, const ov::Output<ov::Node>& block) : PackedBlock() {
  ov::OutputVector arguments = inputs;
  arguments.push_back(block);
  set_arguments(arguments);
  constructor_validate_and_infer_types();
}

void PackedBlock::see_block() {
  const size_t port = get_input_size() - 1;
  OPENVINO_ASSERT(get_input_element_type(port) == ov::element::u8, "'", get_friendly_name(),
                  "': the block must be a u8 constant.");
  const auto* constant = ov::as_type<const ov::op::v0::Constant>(get_input_node_ptr(port));
  if (constant == nullptr) {
    OPENVINO_ASSERT(outline_, "'", get_friendly_name(), "': the block must be a u8 constant.");
    return;
  }
  const std::span<const uint8_t> bytes = bytes_of(*constant);
  if (outline_ && begins_with(bytes, outline_->header)) return;
  auto outline = std::make_shared<Outline>();
  outline->block = read_block(bytes, get_friendly_name());
  outline->header = header_of(bytes);
  outline->block.matrices.clear();
  outline->block.vectors.clear();
  outline_ = outline;
}

void PackedBlock::validate_and_infer_types() {
  OPENVINO_ASSERT(get_input_size() >= 2, "PackedBlock takes tensors and a block.");
  see_block();
  const RowBlock& block = outline_->block;
  const size_t inputs = get_input_size() - 1;
  OPENVINO_ASSERT(block.input_widths.size() == inputs, "'", get_friendly_name(), "': the block takes ",
                  block.input_widths.size(), " tensors, and there are ", inputs, ".");
  if (get_output_size() != block.outputs.size()) set_output_size(block.outputs.size());
  std::vector<ov::PartialShape> rows;
  bool known = true, alike = true;
  for (size_t i = 0; i < inputs; ++i) {
    const ov::element::Type type = get_input_element_type(i);
    OPENVINO_ASSERT(type.is_dynamic() || type == ov::element::f32, "'", get_friendly_name(),
                    "': PackedBlock takes f32.");
    const ov::PartialShape& shape = get_input_partial_shape(i);
    known = known && shape.rank().is_static();
    if (!known) break;
    OPENVINO_ASSERT(shape.size() > 0 && shape[shape.size() - 1].compatible(ov::Dimension(block.input_widths[i])), "'",
                    get_friendly_name(), "': the block takes ", block.input_widths[i], " values a row, the tensor is ",
                    shape, ".");
    rows.push_back(without_last(shape));
    OPENVINO_ASSERT(rows[i].size() == rows[0].size(), "'", get_friendly_name(), "': tensors of different rank.");
    alike = alike && rows[i] == rows[0];
  }
  if (known && !alike)
    rows = row_shapes(block, std::move(rows), [&](ov::PartialShape a, const ov::PartialShape& b) {
      OPENVINO_ASSERT(ov::PartialShape::broadcast_merge_into(a, b, ov::op::AutoBroadcastType::NUMPY), "'",
                      get_friendly_name(), "': rows ", a, " and ", b, " do not go together.");
      return a;
    });
  for (size_t i = 0; i < block.outputs.size(); ++i)
    set_output_type(i, ov::element::f32,
                    known ? with_last(rows[alike ? 0 : block.outputs[i]], block.width(block.outputs[i]))
                          : ov::PartialShape::dynamic());
}

std::shared_ptr<ov::Node> PackedBlock::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  auto clone = std::make_shared<PackedBlock>();
  clone->prepared_ = prepared_;  // packed once, however often the graph is copied
  clone->outline_ = outline_;
  clone->set_arguments(inputs);
  if (!prepared_->done) clone->set_friendly_name(get_friendly_name());  // sentences about the weights name the block
  clone->constructor_validate_and_infer_types();
  // A plugin copies the model that it compiles: what is packed then does not hold up the first inference.
  if (!prepared_->done)
    if (const auto* constant = ov::as_type<const ov::op::v0::Constant>(inputs.back().get_node()))
      clone->prepare(bytes_of(*constant));
  return clone;
}

RowBlock PackedBlock::block() const {
  const auto* constant = ov::as_type<const ov::op::v0::Constant>(get_input_node_ptr(get_input_size() - 1));
  OPENVINO_ASSERT(constant != nullptr, "'", get_friendly_name(), "': the block must be a u8 constant.");
  return read_block(bytes_of(*constant), get_friendly_name());
}

void PackedBlock::prepare(std::span<const uint8_t> bytes) const {
  // Isolated: while it waits for its share of the packing, this thread must not start a call that waits for it.
  std::call_once(prepared_->once, [&] {
    tbb::this_task_arena::isolate([&] {
      const RowBlock block = read_block(bytes, get_friendly_name());
      std::vector<kernels::RowProgram::Matrix> matrices;
      try {
        for (const RowBlock::Matrix& matrix : block.matrices) {
          PackedPart part = packed_part(read_blob(matrix.blob, matrix.name), matrix.name);
          matrices.push_back({std::move(part.weights), std::move(part.scale), matrix.bias});
        }
        prepared_->program = std::make_unique<const kernels::RowProgram>(block, std::move(matrices));
      } catch (const Error& error) {
        OPENVINO_THROW("'", get_friendly_name(), "': ", error.what());
      }
      prepared_->header = header_of(bytes);
      prepared_->done = true;
    });
  });
  OPENVINO_ASSERT(begins_with(bytes, prepared_->header), "'", get_friendly_name(), "': the block changed.");
}

bool PackedBlock::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  prepare(blob_bytes(inputs.back()));
  const RowBlock& block = outline_->block;
  const size_t count = inputs.size() - 1;
  bool alike = true;
  std::vector<const float*> from;
  const ov::Shape rows = without_last(inputs[0].get_shape());
  for (size_t i = 0; i < count; ++i) {
    const ov::Shape& shape = inputs[i].get_shape();
    OPENVINO_ASSERT(!shape.empty() && shape.back() == block.input_widths[i], "'", get_friendly_name(),
                    "': the block takes ", block.input_widths[i], " values a row, the tensor is ", shape, ".");
    alike = alike && without_last(shape) == rows;
    from.push_back(inputs[i].data<const float>());
  }
  if (!alike) return evaluate_broadcast(outputs, inputs);
  std::vector<float*> to;
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].set_shape(with_last(rows, block.width(block.outputs[i])));
    to.push_back(outputs[i].data<float>());
  }
  // Isolated: while it waits for its share, this thread must not start another call, which would overwrite its rows.
  tbb::this_task_arena::isolate([&] { prepared_->program->run(from, ov::shape_size(rows), to); });
  return true;
}

// Rare, hence simple: all inputs with all rows, and of the outputs those rows that there are.
bool PackedBlock::evaluate_broadcast(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const RowBlock& block = outline_->block;
  const auto merge = [&](ov::Shape a, const ov::Shape& b) {
    for (size_t axis = 0; axis < a.size(); ++axis) {
      OPENVINO_ASSERT(a.size() == b.size() && (a[axis] == b[axis] || a[axis] == 1 || b[axis] == 1), "'",
                      get_friendly_name(), "': rows ", a, " and ", b, " do not go together.");
      if (a[axis] == 1) a[axis] = b[axis];
    }
    return a;
  };
  std::vector<ov::Shape> shapes;
  for (size_t i = 0; i + 1 < inputs.size(); ++i) shapes.push_back(without_last(inputs[i].get_shape()));
  ov::Shape common = shapes[0];
  for (const ov::Shape& shape : shapes) common = merge(common, shape);
  const size_t rows = ov::shape_size(common);
  std::vector<std::vector<float>> expanded, results;
  std::vector<const float*> from;
  for (size_t i = 0; i + 1 < inputs.size(); ++i) {
    const auto width = static_cast<size_t>(block.input_widths[i]);
    auto& values = expanded.emplace_back(rows * width);
    const std::vector<size_t> own = rows_of(shapes[i], common);
    for (size_t row = 0; row < rows; ++row)
      std::copy_n(inputs[i].data<const float>() + own[row] * width, width, values.data() + row * width);
    from.push_back(values.data());
  }
  std::vector<float*> to;
  for (const uint32_t output : block.outputs)
    to.push_back(results.emplace_back(rows * static_cast<size_t>(block.width(output))).data());
  tbb::this_task_arena::isolate([&] { prepared_->program->run(from, rows, to); });
  shapes = row_shapes(block, std::move(shapes), merge);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto width = static_cast<size_t>(block.width(block.outputs[i]));
    const ov::Shape& shape = shapes[block.outputs[i]];
    outputs[i].set_shape(with_last(shape, width));
    const std::vector<size_t> own = rows_of(shape, common);
    for (size_t row = 0; row < rows; ++row)
      std::copy_n(results[i].data() + row * width, width, outputs[i].data<float>() + own[row] * width);
  }
  return true;
}

}  // namespace dnateq::ops
