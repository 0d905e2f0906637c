#include "calibrate/rotate.h"

#include <fmt/format.h>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <map>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "core/hadamard.h"
#include "graph/disk_constants.h"
#include "graph/hadamard_nodes.h"
#include "graph/patterns.h"
#include "graph/subgraph.h"
#include "search/dense.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using NodeOutput = ov::Output<ov::Node>;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Smaller blocks spread little.
constexpr int64_t kLeastBlock = 32;

Matrix random_rotation(int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  Eigen::MatrixXd gaussian(size, size);
  for (int64_t i = 0; i < gaussian.size(); ++i) {  // Box-Muller: standard distributions differ between libraries
    const double u = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53,
                 v = static_cast<double>(random() >> 11) * 0x1p-53;
    gaussian.data()[i] = std::sqrt(-2 * std::log(u)) * std::cos(2 * 3.141592653589793 * v);
  }
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(gaussian);
  const Eigen::MatrixXd q = qr.householderQ();
  return q.cast<float>();
}

// a * b
Matrix product(const Matrix& a, const Matrix& b) {
  Eigen::MatrixXf out(a.rows(), b.cols());
  multiply({a.rows(), b.cols(), a.cols()}, {a.data(), a.cols(), 1}, {b.data(), b.cols(), 1}, 1.0F, 0.0F, out.data(),
           a.rows());
  return out;
}

std::shared_ptr<op::Constant> constant_of(const NodeOutput& output) {
  return ov::as_type_ptr<op::Constant>(output.get_node_shared_ptr());
}

Matrix weights_of(const Layer& layer) {
  const std::vector<float> w = layer.weight_matrix();
  return Eigen::Map<const Matrix>(w.data(), layer.rows, layer.columns);
}

void set_weights(const Layer& layer, const Matrix& w) {
  const std::vector<float> matrix(w.data(), w.data() + w.size());
  const auto old = layer.weights();
  const auto constant = constant_in_place_of(*old, old->get_shape(), layer.to_model_layout(matrix));
  leave_memory(*constant);
  layer.node->input(layer.weight_port).replace_source_output(constant);
}

// Layers that write into the residual stream and that read it, behind the norms' weights.
struct Stream {
  size_t embedding = 0;
  std::set<size_t> writers;
  struct Reader {
    NodeOutput normalized;     // in the stream's basis
    std::vector<float> gamma;  // the norm's weights; empty: it has none
  };
  std::map<size_t, Reader> readers;
};

class StreamFinder {
 public:
  explicit StreamFinder(const PreparedModel& prepared) : prepared_(prepared) {
    for (size_t l = 0; l < prepared.layers.size(); ++l) layer_at_[prepared.layers[l].node.get()] = l;
  }

  // Nothing where the network has none that can be rotated: why_not() says what is in the way.
  std::optional<Stream> find() {
    std::vector<size_t> embeddings;
    for (size_t l = 0; l < prepared_.layers.size(); ++l)
      if (prepared_.layers[l].kind == LayerKind::kEmbedding) embeddings.push_back(l);
    if (embeddings.size() != 1)
      return refuse(fmt::format("the network has {} tables of embeddings", embeddings.size()));
    stream_.embedding = embeddings.front();
    width_ = prepared_.layers[stream_.embedding].columns;
    in_stream_.insert(prepared_.layers[stream_.embedding].node->output(0));
    for (const auto& node : prepared_.model->get_ordered_ops())
      if (!visit(node))
        return refuse(fmt::format("'{}' ({}) reads the residual stream in a way that no rotation passes",
                                  node->get_friendly_name(), node->get_type_name()));
    if (stream_.readers.empty() || stream_.writers.empty()) return refuse("no layers read and write a residual stream");
    return stream_;
  }
  const std::string& why_not() const { return why_not_; }

 private:
  std::optional<Stream> refuse(std::string reason) {
    why_not_ = std::move(reason);
    return {};
  }

  std::optional<size_t> layer_of(const NodeOutput& output) const {
    const auto at = layer_at_.find(output.get_node());
    return at == layer_at_.end() ? std::nullopt : std::optional<size_t>(at->second);
  }

  // Whether what the node does with the stream is understood.
  bool visit(const std::shared_ptr<ov::Node>& node) {
    if (ov::is_type<op::ShapeOf>(node)) return true;
    std::vector<size_t> stream, normalized, scaled;
    for (size_t i = 0; i < node->get_input_size(); ++i) {
      if (in_stream_.contains(node->input_value(i))) stream.push_back(i);
      if (normalized_.contains(node->input_value(i))) normalized.push_back(i);
      if (gamma_.contains(node->input_value(i))) scaled.push_back(i);
    }
    if (stream.empty() && normalized.empty() && scaled.empty()) return true;
    if (!stream.empty()) return normalized.empty() && scaled.empty() && reads_stream(*node, stream);
    if (!normalized.empty() && reads_normalized(*node, normalized.front())) return true;
    const auto l = layer_of(node->output(0));
    if (!l || prepared_.layers[*l].kind != LayerKind::kMatMul) return false;
    const Layer& layer = prepared_.layers[*l];
    const NodeOutput x = node->input_value(layer.activation_port);
    const auto with_gamma = gamma_.find(x);
    if (with_gamma != gamma_.end())
      stream_.readers[*l] = with_gamma->second;
    else if (normalized_.contains(x))
      stream_.readers[*l] = {x, {}};
    else
      return false;
    return true;
  }

  bool reads_stream(ov::Node& node, const std::vector<size_t>& at) {
    if (ov::is_type<op::Add>(&node)) {
      for (size_t i = 0; i < 2; ++i) {
        if (std::find(at.begin(), at.end(), i) != at.end()) continue;
        const auto l = layer_of(node.input_value(i));
        if (!l || prepared_.layers[*l].kind != LayerKind::kMatMul || prepared_.layers[*l].rows != width_ ||
            node.input_value(i).get_target_inputs().size() != 1)
          return false;
        stream_.writers.insert(*l);
      }
      in_stream_.insert(node.output(0));
      return true;
    }
    if (is_square(node)) return is_averaged_over_channels(node);
    if (!ov::is_type<op::Multiply>(&node) || at.size() != 1) return false;
    const ov::PartialShape& factor = node.get_input_partial_shape(1 - at.front());
    const bool one_a_row = factor.rank().is_static() && factor.rank().get_length() > 0 &&
                           factor[factor.size() - 1].is_static() && factor[factor.size() - 1].get_length() == 1;
    if (!one_a_row) return false;
    normalized_.insert(node.output(0));
    return true;
  }

  bool reads_normalized(ov::Node& node, size_t at) {
    const auto gamma = ov::is_type<op::Multiply>(&node) ? constant_of(node.input_value(1 - at)) : nullptr;
    if (!gamma || gamma->get_element_type() != ov::element::f32 ||
        static_cast<int64_t>(ov::shape_size(gamma->get_shape())) != width_)
      return false;
    gamma_[node.output(0)] = {node.input_value(at), gamma->cast_vector<float>()};
    return true;
  }

  const PreparedModel& prepared_;
  std::map<const ov::Node*, size_t> layer_at_;
  Stream stream_;
  int64_t width_ = 0;
  std::set<NodeOutput> in_stream_, normalized_;
  std::map<NodeOutput, Stream::Reader> gamma_;
  std::string why_not_;
};

Matrix with_gamma(Matrix w, const std::vector<float>& gamma) {
  if (!gamma.empty()) w *= Eigen::Map<const Eigen::VectorXf>(gamma.data(), w.cols()).asDiagonal();
  return w;
}

// x . w^T with the weights stored as int8 and a scale a row, as OpenVINO keeps them in memory, too.
NodeOutput multiplied_by_int8(const NodeOutput& x, const Matrix& w, const std::string& name) {
  const auto rows = static_cast<size_t>(w.rows()), columns = static_cast<size_t>(w.cols());
  std::vector<int8_t> levels(rows * columns);
  std::vector<float> scales(rows);
  for (size_t row = 0; row < rows; ++row) {
    const auto of_row = w.row(static_cast<Eigen::Index>(row));
    const float largest = of_row.cwiseAbs().maxCoeff();
    scales[row] = largest > 0 ? largest / 127.0F : 1.0F;
    for (size_t column = 0; column < columns; ++column)
      levels[row * columns + column] =
          static_cast<int8_t>(std::lround(of_row[static_cast<Eigen::Index>(column)] / scales[row]));
  }
  const auto stored = op::Constant::create(ov::element::i8, ov::Shape{rows, columns}, levels);
  stored->set_friendly_name(name + "/weights");
  const auto widened =
      std::make_shared<op::Multiply>(std::make_shared<op::Convert>(stored, ov::element::f32),
                                     op::Constant::create(ov::element::f32, ov::Shape{rows, 1}, scales));
  return std::make_shared<op::MatMul>(x, widened, false, true);
}

// In front of a layer that keeps the embeddings' table: Q^T diag(gamma) Q, as a multiple of the identity and what is
// left. That is small, and 8 bits lose nothing of it; of the whole, whose diagonal is large, they would lose .3 % of
// the power.
void insert_last_norm(const Layer& layer, const Stream::Reader& reader, const Matrix& q) {
  Matrix m = product(q.transpose(), with_gamma(q.transpose(), reader.gamma).transpose());
  const float mean = m.diagonal().mean();
  m.diagonal().array() -= mean;
  const std::string name = layer.name + "/last_norm";
  const auto turned = std::make_shared<op::Add>(
      std::make_shared<op::Multiply>(reader.normalized, op::Constant::create(ov::element::f32, {1}, {mean})),
      multiplied_by_int8(reader.normalized, m, name));
  turned->set_friendly_name(name);
  layer.node->input(layer.activation_port).replace_source_output(turned);
}

void rotate_stream(PreparedModel& prepared, const Stream& stream, const Matrix& q) {
  for (const size_t l : stream.writers) {
    const Layer& layer = prepared.layers[l];
    set_weights(layer, product(q.transpose(), weights_of(layer)));
  }
  for (const auto& [l, reader] : stream.readers) {
    const Layer& layer = prepared.layers[l];
    if (layer.shares_weights_with == stream.embedding) {
      insert_last_norm(layer, reader, q);
      continue;
    }
    set_weights(layer, product(with_gamma(weights_of(layer), reader.gamma), q));
    layer.node->input(layer.activation_port).replace_source_output(reader.normalized);
  }
  const Layer& embedding = prepared.layers[stream.embedding];
  set_weights(embedding, product(weights_of(embedding), q));
  for (const Layer& layer : prepared.layers)
    if (layer.shares_weights_with == stream.embedding)
      layer.node->input(layer.weight_port).replace_source_output(embedding.node->input_value(embedding.weight_port));
}

// Where the values of attention come from: rows of a layer, and a constant that is added to its result.
struct ValueRows {
  const Layer* layer = nullptr;
  int64_t first = 0, count = 0;
  std::optional<ConstantAdd> bias;
};

// First and number of the channels, which the last axis has, that a part of a tensor holds; none for what is no part.
std::optional<std::pair<int64_t, int64_t>> channels_of_part(const NodeOutput& output) {
  const ov::Node* node = output.get_node();
  const ov::PartialShape& shape = output.get_partial_shape();
  if (shape.rank().is_dynamic() || shape.size() == 0 || shape[shape.size() - 1].is_dynamic()) return {};
  const size_t last = shape.size() - 1;
  const auto one_number = [&](size_t input) -> std::optional<int64_t> {
    const auto constant = constant_of(node->input_value(input));
    if (!constant || ov::shape_size(constant->get_shape()) != 1) return {};
    return constant->cast_vector<int64_t>().front();
  };
  const auto is_last = [&](std::optional<int64_t> axis) {
    return axis && (*axis == -1 || *axis == static_cast<int64_t>(last));
  };
  const int64_t count = shape[last].get_length();
  if ((ov::is_type<op::VariadicSplit>(node) || ov::is_type<op::Split>(node)) && is_last(one_number(1))) {
    int64_t first = 0;
    for (size_t i = 0; i < output.get_index(); ++i) {
      const ov::Dimension before = node->get_output_partial_shape(i)[last];
      if (before.is_dynamic()) return {};
      first += before.get_length();
    }
    return std::pair(first, count);
  }
  if (ov::is_type<op::Slice>(node) && node->get_input_size() == 5 && is_last(one_number(4)) && one_number(3) == 1) {
    const std::optional<int64_t> start = one_number(1);
    const ov::Dimension all = node->get_input_partial_shape(0)[last];
    if (!start || all.is_dynamic()) return {};
    return std::pair(*start < 0 ? *start + all.get_length() : *start, count);
  }
  return {};
}

// Whether one input alone takes the tensor's values; its shape may be asked for.
bool has_one_reader(const NodeOutput& output) {
  const auto readers = output.get_target_inputs();
  return std::count_if(readers.begin(), readers.end(),
                       [](const auto& reader) { return !ov::is_type<op::ShapeOf>(reader.get_node()); }) == 1;
}

// Whether nothing else reads the channels [first, first + count) that `part` takes of a tensor.
bool has_its_channels_alone(const ov::Node* part, const std::pair<int64_t, int64_t>& channels) {
  for (const auto& reader : part->input_value(0).get_target_inputs()) {
    const ov::Node* other = reader.get_node();
    if (other == part || ov::is_type<op::ShapeOf>(other)) continue;
    const auto others = channels_of_part(reader.get_node()->output(0));
    if (!others ||
        (others->first < channels.first + channels.second && channels.first < others->first + others->second))
      return false;
  }
  return true;
}

// What the output is a rearrangement of, without a change of values but an addition to each channel; none if something
// else gives it, or something else reads it on its way, such as keys that are the values.
std::optional<ValueRows> value_rows(const PreparedModel& prepared, NodeOutput output) {
  ValueRows rows;
  std::optional<std::pair<int64_t, int64_t>> part;
  bool alone = has_one_reader(output);
  while (alone) {
    ov::Node* node = output.get_node();
    for (const Layer& layer : prepared.layers) {
      if (layer.node.get() != node) continue;
      const auto channels = static_cast<size_t>(layer.rows);
      if (layer.kind != LayerKind::kMatMul ||
          (rows.bias && !is_one_a_channel(rows.bias->constant()->get_shape(), channels, 0)))
        return {};
      rows.layer = &layer;
      std::tie(rows.first, rows.count) = part.value_or(std::pair<int64_t, int64_t>(0, layer.rows));
      return rows;
    }
    if (const auto cut = channels_of_part(output)) {
      if (part || rows.bias) return {};
      part = cut;
      alone = has_its_channels_alone(node, *cut);
      output = node->input_value(0);
      continue;
    }
    if (const std::optional<ConstantAdd> added = constant_add(node)) {
      if (rows.bias) return {};
      rows.bias = added;
      output = added->tensor();
      alone = has_one_reader(output);
      continue;
    }
    const bool moves = ov::is_type<op::Reshape>(node) || ov::is_type<op::Transpose>(node) ||
                       ov::is_type<op::Broadcast>(node) || ov::is_type<op::Unsqueeze>(node);
    if (!moves) return {};
    output = node->input_value(0);
    alone = has_one_reader(output);
  }
  return {};
}

// The constant, of one value a channel or of one for all, as a column.
Matrix column_of(const ConstantAdd& bias, int64_t channels) {
  const std::vector<float> values = bias.constant()->cast_vector<float>();
  Matrix column(channels, 1);
  for (int64_t i = 0; i < channels; ++i) column(i, 0) = values[values.size() == 1 ? 0 : static_cast<size_t>(i)];
  return column;
}

void set_bias(const ConstantAdd& bias, const Matrix& column) {
  ov::Shape shape = bias.constant()->get_shape();
  if (shape.empty()) shape.push_back(1);
  shape.back() = static_cast<size_t>(column.rows());
  const auto constant = op::Constant::create(ov::element::f32, shape, column.data());
  constant->set_friendly_name(bias.constant()->get_friendly_name());
  bias.add->input(bias.constant_port).replace_source_output(constant);
}

// The layer that alone reads a rearrangement of the output.
const Layer* reading_layer(const PreparedModel& prepared, NodeOutput output) {
  while (true) {
    const auto readers = output.get_target_inputs();
    ov::Node* next = nullptr;
    for (const auto& reader : readers) {
      if (ov::is_type<op::ShapeOf>(reader.get_node())) continue;
      if (next != nullptr || reader.get_index() != 0) return nullptr;
      next = reader.get_node();
    }
    if (next == nullptr) return nullptr;
    for (const Layer& layer : prepared.layers)
      if (layer.node.get() == next) return layer.kind == LayerKind::kMatMul ? &layer : nullptr;
    if (!ov::is_type<op::Reshape>(next) && !ov::is_type<op::Transpose>(next)) return nullptr;
    output = next->output(0);
  }
}

size_t rotate_values(PreparedModel& prepared, uint64_t seed) {
  size_t rotated = 0;
  for (const auto& node : prepared.model->get_ordered_ops()) {
    if (!ov::is_type<op::ScaledDotProductAttention>(node)) continue;
    const ov::PartialShape& shape = node->get_input_partial_shape(2);
    if (shape.rank().is_dynamic() || shape[shape.size() - 1].is_dynamic()) continue;
    const int64_t size = shape[shape.size() - 1].get_length();
    const std::optional<ValueRows> from = value_rows(prepared, node->input_value(2));
    const Layer* to = reading_layer(prepared, node->output(0));
    if (!from || to == nullptr || from->first % size != 0 || from->count % size != 0 || to->columns % size != 0 ||
        from->layer->shares_weights_with || to->shares_weights_with)
      continue;
    const Matrix r = random_rotation(size, seed + ++rotated);
    Matrix v = weights_of(*from->layer), o = weights_of(*to);
    const auto turn = [&](Matrix& rows) {
      for (int64_t head = from->first; head < from->first + from->count; head += size)
        rows.middleRows(head, size) = product(r.transpose(), rows.middleRows(head, size));
    };
    turn(v);
    if (from->bias) {
      Matrix bias = column_of(*from->bias, from->layer->rows);
      turn(bias);
      set_bias(*from->bias, bias);
    }
    for (int64_t head = 0; head < to->columns; head += size)
      o.middleCols(head, size) = product(o.middleCols(head, size), r);
    set_weights(*from->layer, v);
    set_weights(*to, o);
  }
  return rotated;
}

// What an MLP hands to its second layer: the product of two computed tensors, or an activation function's result.
bool is_inside_an_mlp(const NodeOutput& x, int64_t width) {
  const ov::Node* node = x.get_node();
  if (!ov::is_type<op::Multiply>(node))
    return ov::is_type<op::Gelu>(node) || ov::is_type<op::Swish>(node) || ov::is_type<op::Relu>(node);
  for (size_t i = 0; i < 2; ++i) {
    const ov::PartialShape& shape = node->get_input_partial_shape(i);
    if (constant_of(node->input_value(i)) || shape.rank().is_dynamic() || shape.size() == 0 ||
        shape[shape.size() - 1] != width)
      return false;
  }
  return true;
}

size_t transform_mlps(PreparedModel& prepared) {
  std::set<size_t> shared;
  for (const Layer& layer : prepared.layers)
    if (layer.shares_weights_with) shared.insert(*layer.shares_weights_with);
  std::map<NodeOutput, NodeOutput> transformed;
  for (size_t l = 0; l < prepared.layers.size(); ++l) {
    const Layer& layer = prepared.layers[l];
    const auto block = static_cast<int64_t>(hadamard_block(static_cast<size_t>(layer.columns)));
    if (layer.kind != LayerKind::kMatMul || layer.shares_weights_with || shared.contains(l) || block < kLeastBlock)
      continue;
    const NodeOutput x = layer.node->input_value(layer.activation_port);
    if (x.get_partial_shape().rank().is_dynamic() || !is_inside_an_mlp(x, layer.columns)) continue;
    if (!transformed.contains(x)) transformed[x] = hadamard_of(x, layer.columns, block, layer.name + "/hadamard");
    Matrix w = weights_of(layer);
    hadamard({w.data(), static_cast<size_t>(w.size())}, static_cast<size_t>(block));
    set_weights(layer, w);
    layer.node->input(layer.activation_port).replace_source_output(transformed.at(x));
  }
  return transformed.size();
}

}  // namespace

Rotated rotate(const PreparedModel& prepared, uint64_t seed, bool transforms_mlps) {
  Rotated result{prepared, false, {}, 0, 0};
  const ModelCopy graph = copy_model(prepared.model);
  result.prepared.model = graph.model;
  for (Layer& layer : result.prepared.layers) layer.node = graph.copy_of.at(layer.node.get());
  result.value_heads = rotate_values(result.prepared, seed);
  if (transforms_mlps) result.mlps = transform_mlps(result.prepared);
  StreamFinder finder(result.prepared);
  if (const std::optional<Stream> stream = finder.find()) {
    rotate_stream(result.prepared, *stream, random_rotation(result.prepared.layers[stream->embedding].columns, seed));
    result.stream = true;
  } else {
    result.why_not = finder.why_not();
  }
  result.prepared.model->validate_nodes_and_infer_types();
  return result;
}

}  // namespace dnateq
