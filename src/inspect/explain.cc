#include "inspect/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <openvino/op/constant.hpp>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "core/blob.h"
#include "core/option.h"
#include "core/pack.h"
#include "core/row_block.h"
#include "core/sentence.h"
#include "dnateq/error.h"
#include "kernels/counting_layer.h"
#include "kernels/depthwise.h"
#include "ops/counting_layer.h"
#include "ops/ops.h"
#include "ops/packed_block.h"

namespace dnateq {
namespace {

using NodePtr = std::shared_ptr<ov::Node>;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

std::string shape_text(const ov::PartialShape& shape) {
  if (shape.rank().is_dynamic()) return "?";
  std::string text;
  for (const ov::Dimension& dim : shape) {
    if (!text.empty()) text += 'x';
    text += dim.is_static() ? std::to_string(dim.get_length()) : std::string("?");
  }
  return text.empty() ? "scalar" : text;
}

int64_t product(const ov::PartialShape& shape) {  // 0 where open
  if (shape.is_dynamic()) return 0;
  const ov::Shape dims = shape.to_shape();
  return static_cast<int64_t>(ov::shape_size(dims));
}

// What the file holds of one layer's weights.
struct StoredWeights {
  std::string layer;
  int64_t values = 0, bytes = 0;
  int64_t channels = 0, rows = 0;  // of what the layer gives; 0 where open
};

// Finds the layer to which a node of the runtime model belongs. OpenVINO renames and fuses: what survives is the name
// of a constant, or of a node that was folded into one, or of the layer itself.
class Source {
 public:
  explicit Source(const ov::Model& model) {
    for (const NodePtr& node : model.get_ordered_ops()) {
      ops_[node->get_friendly_name()] = node;
      const std::string type = node->get_type_name();
      if (type == "MatMul" || type == "Convolution" || type == "GroupConvolution" ||
          type == "ConvolutionBackpropData" || type == "GroupConvolutionBackpropData") {
        for (const size_t port : {size_t{1}, size_t{0}})
          if (add(*node, port)) break;
      } else if (type == "Gather") {
        std::vector<const ov::Node*> ignored;
        if (!is_constant(node->get_input_node_ptr(1), ignored)) add(*node, 0);
      }
    }
  }

  const StoredWeights* find(const std::vector<std::string>& names) const {
    for (std::string name : names) {
      const std::string suffix = "/DequantizationMultiply";
      if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
      const auto found = layer_of_.find(name);
      if (found != layer_of_.end()) return &weights_[found->second];
    }
    return nullptr;
  }

  NodePtr op(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      const auto found = ops_.find(name);
      if (found != ops_.end()) return found->second;
    }
    return nullptr;
  }

 private:
  // True if nothing but constants lies above; `above` gets all of it.
  static bool is_constant(const ov::Node* top, std::vector<const ov::Node*>& above) {
    std::unordered_set<const ov::Node*> seen = {top};
    above = {top};
    for (size_t at = 0; at < above.size(); ++at) {
      const ov::Node* node = above[at];
      if (node->get_input_size() == 0 && !ov::is_type<ov::op::v0::Constant>(node)) return false;
      for (size_t i = 0; i < node->get_input_size(); ++i)
        if (seen.insert(node->get_input_node_ptr(i)).second) above.push_back(node->get_input_node_ptr(i));
    }
    return true;
  }

  bool add(const ov::Node& layer, size_t port) {
    std::vector<const ov::Node*> above;
    if (!is_constant(layer.get_input_node_ptr(port), above)) return false;
    StoredWeights stored{layer.get_friendly_name(), product(layer.get_input_partial_shape(port)), 0};
    for (const ov::Node* node : above) {
      const auto* constant = ov::as_type<const ov::op::v0::Constant>(node);
      const bool is_index = constant != nullptr && (constant->get_element_type() == ov::element::i32 ||
                                                    constant->get_element_type() == ov::element::i64);
      if (constant != nullptr && !is_index)  // axes and shapes are no part of the weights
        stored.bytes += static_cast<int64_t>(constant->get_byte_size());
      const std::string& name = node->get_friendly_name();
      for (const std::string ours : {"/codes", "/gamma", "/weights"})  // as the emissions name them
        if (node->get_input_size() == 0 && name.ends_with(ours))
          stored.layer = name.substr(0, name.size() - ours.size());
    }
    const ov::PartialShape& out = layer.get_output_partial_shape(0);
    if (out.rank().is_static() && out.size() > 0 && out[out.size() - 1].is_static()) {
      stored.channels = out[out.size() - 1].get_length();
      stored.rows = stored.channels == 0 ? 0 : product(out) / stored.channels;
    }
    layer_of_.try_emplace(layer.get_friendly_name(), weights_.size());
    for (const ov::Node* node : above) layer_of_.try_emplace(node->get_friendly_name(), weights_.size());
    weights_.push_back(stored);
    return true;
  }

  std::unordered_map<std::string, NodePtr> ops_;
  std::unordered_map<std::string, size_t> layer_of_;
  std::vector<StoredWeights> weights_;
};

// A node of the runtime model.
class Executed {
 public:
  explicit Executed(NodePtr node) : node_(std::move(node)) {}

  const ov::Node& node() const { return *node_; }
  std::string info(const char* key) const {
    const auto& all = node_->get_rt_info();
    const auto found = all.find(key);
    return found == all.end() ? std::string() : found->second.as<std::string>();
  }
  std::string type() const { return info("layerType"); }
  std::vector<std::string> originals() const { return split(info("originalLayersNames")); }

  // The constant behind an input, through what is done to it once, when the network is compiled.
  std::optional<Executed> constant(size_t port) const {
    NodePtr at = node_->get_input_node_shared_ptr(port);
    while (true) {
      if (Executed(at).type() == "Const") return Executed(at);
      if (at->get_input_size() == 0 || !folded(*at)) return std::nullopt;
      at = at->get_input_node_shared_ptr(0);
    }
  }
  static bool folded(const ov::Node& node) {
    if (node.get_input_size() == 0)
      return Executed(std::const_pointer_cast<ov::Node>(node.shared_from_this())).type() == "Const";
    for (size_t i = 0; i < node.get_input_size(); ++i)
      if (!folded(*node.get_input_node_ptr(i))) return false;
    return true;
  }

  int64_t constant_bits() const {  // of all values of a constant
    const std::vector<std::string> types = split(info("outputPrecisions"));
    if (types.empty() || types[0] == "dynamic" || types[0] == "undefined") return 0;
    return product(node_->get_output_partial_shape(0)) * static_cast<int64_t>(ov::element::Type(types[0]).bitwidth());
  }

 private:
  NodePtr node_;
};

std::string isa_of(const std::string& primitive) {
  for (const auto& [part, isa] : {std::pair("amx", "AMX"),
                                  {"avx512", "AVX-512"},
                                  {"avx2", "AVX2"},
                                  {"sse", "SSE4.2"},
                                  {"sve", "SVE"},
                                  {"neon", "NEON"},
                                  {"asimd", "NEON"},
                                  {"ref", "C++"}})
    if (primitive.find(part) != std::string::npos) return isa;
  return "";
}

void add_shapes(const ov::Node& node, LayerExplanation& layer) {
  for (const auto& input : node.inputs()) layer.inputs.push_back(shape_text(input.get_partial_shape()));
  for (const auto& output : node.outputs()) layer.outputs.push_back(shape_text(output.get_partial_shape()));
}

std::span<const uint8_t> bytes_of(const ov::op::v0::Constant& blob) {
  return {static_cast<const uint8_t*>(blob.get_data_ptr()), blob.get_byte_size()};
}

std::string without_suffix(std::string name, const std::string& suffix) {
  if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  return name;
}

// Stored lines of a packed matrix, padding included (kernels/packed_weights.h).
int64_t packed_matrix_bytes(int64_t rows, int64_t columns, int bits, int tables) {
  const auto up = [](int64_t value, size_t unit) { return (value + int64_t(unit) - 1) / int64_t(unit); };
  const int64_t unit = int64_t(kernels::kLineBytes) * (bits == 8 ? 8 * tables : bits);
  return up(rows, kernels::kPanelChannels) * up(columns, kernels::kUnitInputs) * unit;
}

// One layer of an operation with packed weights.
struct Part {
  size_t weights = 1, bias = 2;  // ports
  int64_t rows = 0, groups = 1;
  bool signed_activations = true;
};

// The first kernel that takes the problem, and why those before it do not.
void choose_kernel(const Part& part, const Blob& blob, int tables, LayerExplanation& layer) {
  if (part.groups > 1 && part.groups == blob.rows && blob.shape.at(2) == 1) {  // one input and output a group
    layer.kernel = "depthwise-" + kernels::depthwise_kernels().front();
    return;
  }
  const auto verdicts = kernels::explain_matmul({.m = static_cast<size_t>(part.rows),
                                                 .n = static_cast<size_t>(blob.rows / part.groups),
                                                 .k = static_cast<size_t>(blob.columns),
                                                 .bits = blob.code.stored_bits,
                                                 .tables = tables,
                                                 .signed_activations = part.signed_activations});
  for (const kernels::KernelVerdict& verdict : verdicts) {
    if (verdict.refusal.empty()) {
      layer.kernel = verdict.name;
      layer.isa = verdict.isa;
      return;
    }
    layer.refused.push_back(verdict);
  }
}

// What is known of a layer by its blob.
LayerExplanation explain_blob(const std::string& type, const std::string& name, std::span<const uint8_t> bytes,
                              int64_t bias_values, const Part& part) {
  LayerExplanation layer;
  layer.type = type;
  layer.name = name;
  const Blob blob = read_blob(bytes, name);
  layer.m = part.rows;
  layer.n = blob.rows;
  layer.k = blob.columns;
  layer.weights = blob.rows * blob.columns;
  layer.stored_bits = 8.0 * static_cast<double>(bytes.size()) / static_cast<double>(layer.weights);
  layer.macs = layer.m * layer.weights;
  layer.in_int8 = true;
  const bool one_table =
      std::all_of(blob.grid_levels.begin(), blob.grid_levels.end(), [](int level) { return std::abs(level) <= 127; });
  const int tables = one_table ? 1 : 2, bits = blob.code.stored_bits;
  layer.weight_bytes = part.groups * packed_matrix_bytes(blob.rows / part.groups, blob.columns, bits, tables) +
                       (blob.rows + bias_values) * static_cast<int64_t>(sizeof(float));
  choose_kernel(part, blob, tables, layer);
  return layer;
}

LayerExplanation explain_part(const ov::Node& op, const Part& part) {
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(op.get_input_node_shared_ptr(part.weights));
  if (!constant) {
    LayerExplanation layer;
    layer.type = op.get_type_name();
    return layer;
  }
  return explain_blob(op.get_type_name(), without_suffix(constant->get_friendly_name(), "/weights"),
                      bytes_of(*constant), static_cast<int64_t>(ov::shape_size(op.get_input_shape(part.bias))), part);
}

LayerExplanation explain_embedding(const ov::Node& op, size_t table, int64_t looked_up) {
  LayerExplanation layer;
  layer.type = op.get_type_name();
  layer.kernel = "decode-rows";
  layer.isa = "C++";
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(op.get_input_node_shared_ptr(table));
  if (!constant) return layer;
  layer.name = without_suffix(constant->get_friendly_name(), "/weights");
  const BlobHeader header = read_blob_header(bytes_of(*constant), op.get_friendly_name());
  layer.m = looked_up;
  layer.k = 1;
  layer.n = header.columns;
  layer.weights = header.rows * header.columns;
  layer.stored_bits = 8.0 * static_cast<double>(constant->get_byte_size()) / static_cast<double>(layer.weights);
  layer.weight_bytes =
      looked_up * static_cast<int64_t>(packed_bytes(static_cast<size_t>(header.columns), header.code.stored_bits) + 2);
  return layer;
}

LayerExplanation explain_counting(const ov::Node& op, int64_t rows) {
  LayerExplanation layer;
  layer.type = op.get_type_name();
  layer.counts = true;
  const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(op.get_input_node_shared_ptr(1));
  const auto code = ov::as_type_ptr<ov::op::v0::Constant>(op.get_input_node_shared_ptr(2));
  if (!constant || !code) return layer;
  layer.name = without_suffix(constant->get_friendly_name(), "/weights");
  const Blob weights = read_blob(bytes_of(*constant), op.get_friendly_name());
  const kernels::SharedBase shared(read_blob_header(bytes_of(*code), op.get_friendly_name()).code, weights.code);
  layer.m = rows, layer.k = weights.columns, layer.n = weights.rows;
  layer.weights = weights.rows * weights.columns;
  layer.stored_bits = 8.0 * static_cast<double>(constant->get_byte_size()) / static_cast<double>(layer.weights);
  layer.weight_bytes = static_cast<int64_t>(constant->get_byte_size());
  layer.macs = layer.m * layer.weights;
  layer.kernel = fmt::format("counting-{}", kernels::counting_kernel_for(shared, static_cast<size_t>(layer.k)));
  layer.isa = layer.kernel == "counting-planes" ? "AVX-512 VPOPCNTDQ" : "C++";
  return layer;
}

void explain_ours(const Executed& executed, const ov::Node& op, int64_t expected_rows,
                  std::vector<LayerExplanation>& layers) {
  const auto rows_of = [&](size_t port, bool without_last) {
    const ov::PartialShape& shape = executed.node().get_input_partial_shape(port);
    const int64_t all = product(shape);
    return all == 0 ? expected_rows : without_last ? all / shape[shape.size() - 1].get_length() : all;
  };
  const size_t first = layers.size();
  if (ov::is_type<ops::PackedMatMul>(&op)) {
    for (size_t part = 0; part < op.get_input_size() / 2; ++part)
      layers.push_back(explain_part(op, {.weights = 1 + 2 * part, .bias = 2 + 2 * part, .rows = rows_of(0, true)}));
  } else if (const auto* packed = ov::as_type<const ops::PackedBlock>(&op)) {
    const RowBlock block = packed->block();
    for (const RowBlock::Matrix& matrix : block.matrices)
      layers.push_back(explain_blob(op.get_type_name(), matrix.name, matrix.blob,
                                    static_cast<int64_t>(matrix.bias.size()), {.rows = rows_of(0, true)}));
  } else if (const auto* level_layer = dynamic_cast<const ops::LevelLayer*>(&op)) {
    const ov::PartialShape& y = executed.node().get_output_partial_shape(0);
    const int64_t all = product(y);
    layers.push_back(explain_part(op, {.weights = 1,
                                       .bias = 3,
                                       .rows = all == 0 ? expected_rows : all / y[y.size() - 1].get_length(),
                                       .groups = level_layer->groups(),
                                       .signed_activations = op.get_input_element_type(0) == ov::element::i8}));
  } else if (const auto* counting = dynamic_cast<const ops::CountingLayer*>(&op)) {
    const ov::PartialShape& y = executed.node().get_output_partial_shape(0);
    const int64_t all = product(y);
    const size_t channels = counting->windows() == nullptr ? y.size() - 1 : 1;
    layers.push_back(explain_counting(op, all == 0 ? expected_rows : all / y[channels].get_length()));
  } else if (ov::is_type<ops::ExponentialEmbedding>(&op)) {
    const size_t tables = op.get_input_size() - 1;
    for (size_t table = 0; table < tables; ++table)
      layers.push_back(explain_embedding(op, table, rows_of(tables, false)));
  } else {
    layers.emplace_back();
    layers.back().type = op.get_type_name();
    layers.back().kernel = ov::is_type<ops::ExponentialQuantize>(&op) || ov::is_type<ops::ExponentialEncode>(&op)
                               ? "thresholds"
                               : "evaluate";
    layers.back().isa = "C++";
  }
  for (size_t i = first; i < layers.size(); ++i) {
    if (layers[i].name.empty()) layers[i].name = executed.node().get_friendly_name();
    add_shapes(executed.node(), layers[i]);
  }
}

// `rounds_activations`: OpenVINO rounds those of compressed weights to int8 while it runs (its dynamic quantization).
LayerExplanation explain_native(const Executed& executed, const Source& source, int64_t expected_rows,
                                bool rounds_activations) {
  const ov::Node& node = executed.node();
  LayerExplanation layer;
  layer.name = node.get_friendly_name();
  layer.type = executed.type();
  layer.kernel = executed.info("primitiveType");
  layer.isa = isa_of(layer.kernel);
  layer.in_int8 = layer.kernel.ends_with("i8") || layer.kernel.ends_with("I8");
  add_shapes(node, layer);
  const bool gathers = layer.type == "Gather", convolves = layer.type == "Convolution" || layer.type == "Deconvolution";
  const bool multiplies = layer.type == "FullyConnected" || layer.type == "MatMul" || convolves;
  const size_t port = gathers ? 0 : 1;
  if ((!gathers && !multiplies) || node.get_input_size() <= port) return layer;

  const ov::PartialShape& out = node.get_output_partial_shape(0);
  const auto weights = executed.constant(port);
  if (!weights) {
    if (gathers) return layer;
    const ov::PartialShape& left = node.get_input_partial_shape(0);
    if (left.is_static() && out.is_static() && left.size() > 0 && out.size() > 0) {  // a product of two activations
      layer.k = left[left.size() - 1].get_length();
      layer.n = out[out.size() - 1].get_length();
      layer.m = layer.n == 0 ? 0 : product(out) / layer.n;
      layer.macs = layer.m * layer.k * layer.n;
    }
    return layer;
  }
  layer.weights = product(weights->node().get_output_partial_shape(0));
  if (layer.weights == 0) return layer;
  if (rounds_activations && layer.type == "FullyConnected" && weights->constant_bits() <= 8 * layer.weights)
    layer.in_int8 = true;
  std::vector<std::string> names = weights->originals();
  const std::vector<std::string> own = executed.originals();
  names.insert(names.end(), own.begin(), own.end());
  if (const StoredWeights* stored = source.find(names)) {
    layer.name = stored->layer;
    if (stored->values > 0)
      layer.stored_bits = 8.0 * static_cast<double>(stored->bytes) / static_cast<double>(stored->values);
  }
  if (gathers) {
    const ov::Shape table = weights->node().get_output_shape(0);
    const int64_t looked_up = product(node.get_input_partial_shape(1));
    layer.m = looked_up == 0 ? expected_rows : looked_up;
    layer.k = 1;
    layer.n = layer.weights / static_cast<int64_t>(std::max<size_t>(table[0], 1));
    layer.weight_bytes = layer.m * layer.n * weights->constant_bits() / layer.weights / 8;
    return layer;
  }
  for (size_t i = 0; i < node.get_input_size(); ++i)
    if (const auto constant = executed.constant(i)) layer.weight_bytes += (constant->constant_bits() + 7) / 8;
  if (out.rank().is_dynamic() || out.size() == 0) return layer;
  const ov::Dimension& channels = out[convolves && out.size() > 1 ? 1 : out.size() - 1];
  if (channels.is_dynamic() || channels.get_length() == 0) return layer;
  layer.n = channels.get_length();
  layer.k = layer.weights / layer.n;
  layer.m = out.is_static() ? product(out) / layer.n : expected_rows;
  if (layer.type == "Deconvolution" && node.get_input_partial_shape(0).is_static() &&
      node.get_input_partial_shape(0).size() > 1)  // every input value meets the kernel once
    layer.m = product(node.get_input_partial_shape(0)) / node.get_input_shape(0)[1];
  layer.macs = layer.m * layer.weights;
  return layer;
}

// The layers of weights that OpenVINO fused into one node: each has what it reads, its scales and biases behind it.
std::vector<LayerExplanation> explain_fused(const Executed& executed, const Source& source, int64_t expected_rows) {
  std::vector<LayerExplanation> layers;
  int64_t before = 0;  // bits of constants in front of the first layer's
  for (size_t i = 0; i < executed.node().get_input_size(); ++i) {
    const auto constant = executed.constant(i);
    if (!constant) continue;
    const StoredWeights* stored = source.find(constant->originals());
    const int64_t bits = constant->constant_bits();
    if (stored == nullptr || stored->channels == 0 ||
        product(constant->node().get_output_partial_shape(0)) != stored->values) {
      (layers.empty() ? before : layers.back().weight_bytes) += layers.empty() ? bits : (bits + 7) / 8;
      continue;
    }
    LayerExplanation layer;
    layer.name = stored->layer;
    layer.type = executed.type();
    layer.fused_in = executed.node().get_friendly_name();
    layer.kernel = executed.info("primitiveType");
    layer.isa = isa_of(layer.kernel);
    layer.in_int8 = bits <= 8 * stored->values;
    add_shapes(executed.node(), layer);
    layer.weights = stored->values;
    layer.stored_bits = 8.0 * static_cast<double>(stored->bytes) / static_cast<double>(stored->values);
    layer.n = stored->channels;
    layer.k = layer.weights / layer.n;
    layer.m = stored->rows == 0 ? expected_rows : stored->rows;
    layer.macs = layer.m * layer.weights;
    layer.weight_bytes = (bits + 7) / 8;
    layers.push_back(std::move(layer));
  }
  if (!layers.empty()) layers.front().weight_bytes += (before + 7) / 8;
  return layers;
}

// Bytes of the matrices that a node reads beside what the layers are known by: those of recurrent cells, say.
int64_t matrix_bytes(const Executed& executed) {
  int64_t bits = 0;
  for (size_t i = 0; i < executed.node().get_input_size(); ++i) {
    const auto constant = executed.constant(i);
    if (!constant) continue;
    const ov::PartialShape& shape = constant->node().get_output_partial_shape(0);
    const auto wide = [](const ov::Dimension& dim) { return dim.is_static() && dim.get_length() > 1; };
    const std::string type = constant->info("outputPrecisions");
    const bool is_number = type != "i32" && type != "i64" && type != "boolean";  // else indices, shapes and masks
    if (is_number && std::count_if(shape.begin(), shape.end(), wide) > 1) bits += constant->constant_bits();
  }
  return (bits + 7) / 8;
}

// A copy whose inputs have no open axes; the model as it is where nobody gave shapes and ours do not fit.
std::shared_ptr<ov::Model> with_shapes(const ov::Model& model, const ExplanationOptions& options) {
  std::map<std::string, ov::PartialShape> shapes;
  std::set<std::string> unused;
  for (const auto& [name, shape] : options.shapes) unused.insert(name);
  for (const ov::Output<const ov::Node>& input : model.inputs()) {
    ov::PartialShape shape = input.get_partial_shape();
    for (const std::string& name : input.get_names()) {
      const auto given = options.shapes.find(name);
      if (given == options.shapes.end()) continue;
      shape = ov::PartialShape(std::vector<ov::Dimension>(given->second.begin(), given->second.end()));
      unused.erase(name);
    }
    if (shape.rank().is_static()) {
      const bool images = shape.size() >= 4;
      bool is_last = true;
      for (size_t i = shape.size(); i-- > 0;) {
        if (shape[i].is_static() || (images && i > 0)) continue;
        shape[i] = is_last ? options.expected_rows : int64_t{1};
        is_last = false;
      }
    }
    if (!input.get_names().empty()) shapes[input.get_any_name()] = shape;
  }
  if (!unused.empty()) {
    std::string names;
    for (const auto& [name, shape] : shapes) names += (names.empty() ? "" : ", ") + name;
    throw Error(
        fmt::format("there is no input '{}' for {}; the inputs are {}", *unused.begin(), option("shape"), names));
  }
  auto copy = model.clone();
  try {
    copy->reshape(shapes);
  } catch (const std::exception& error) {
    if (!options.shapes.empty())
      throw Error(fmt::format("the network does not take these shapes: {}", plain_sentence(error.what())));
    copy = model.clone();
  }
  return copy;
}

// Of our own, whose types carry the name of the operations' set.
bool is_ours(const NodePtr& op) {
  const char* set = op ? op->get_type_info().version_id : nullptr;
  return set != nullptr && std::string_view(set) == "dnateq";
}

}  // namespace

Explanation explain(ov::Core& core, const std::shared_ptr<ov::Model>& model, const ExplanationOptions& options) {
  const auto fixed = with_shapes(*model, options);
  const Source source(*fixed);
  const ov::CompiledModel compiled = core.compile_model(fixed, "CPU", ov::hint::inference_precision(ov::element::f32),
                                                        ov::num_streams(1), ov::inference_num_threads(options.threads));
  const bool rounds_activations = compiled.get_property(ov::hint::dynamic_quantization_group_size) > 0;
  Explanation explanation;
  for (const NodePtr& node : compiled.get_runtime_model()->get_ordered_ops()) {
    const Executed executed(node);
    const std::string type = executed.type();
    if (type == "Input" || type == "Output" || Executed::folded(*node)) continue;
    for (const auto& output : node->outputs())
      explanation.dynamic = explanation.dynamic || output.get_partial_shape().is_dynamic();
    const NodePtr op = source.op(executed.originals());
    if (type == "Reference" && is_ours(op)) {
      explain_ours(executed, *op, options.expected_rows, explanation.layers);
      continue;
    }
    std::vector<LayerExplanation> fused;
    if (type == "Subgraph") fused = explain_fused(executed, source, options.expected_rows);
    explanation.layers.insert(explanation.layers.end(), fused.begin(), fused.end());
    if (!fused.empty()) continue;
    explanation.layers.push_back(explain_native(executed, source, options.expected_rows, rounds_activations));
    LayerExplanation& layer = explanation.layers.back();
    if (layer.weights == 0) layer.weight_bytes = matrix_bytes(executed);
  }
  return explanation;
}

int64_t weight_bytes(const Explanation& explanation) {
  return std::accumulate(explanation.layers.begin(), explanation.layers.end(), int64_t{0},
                         [](int64_t sum, const LayerExplanation& layer) { return sum + layer.weight_bytes; });
}

void find_bounds(Explanation& explanation, const Machine& machine) {
  for (LayerExplanation& layer : explanation.layers) {
    const double rate = layer.in_int8 ? machine.int8_macs_per_second : machine.f32_macs_per_second;
    layer.memory_us = 1e6 * static_cast<double>(layer.weight_bytes) / machine.bytes_per_second;
    if (layer.counts) {
      layer.bound = Bound::kArithmetic;
      continue;
    }
    layer.arithmetic_us = 1e6 * static_cast<double>(layer.macs) / rate;
    layer.bound = layer.weight_bytes == 0 && layer.macs == 0 ? Bound::kNone
                  : layer.memory_us >= layer.arithmetic_us   ? Bound::kMemory
                                                             : Bound::kArithmetic;
  }
}

std::string to_string(Bound bound) {
  return bound == Bound::kMemory ? "memory" : bound == Bound::kArithmetic ? "arithmetic" : "";
}

}  // namespace dnateq
