#include "graph/import.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <openvino/op/util/gather_base.hpp>
#include <openvino/op/util/multi_subgraph_base.hpp>
#include <openvino/opsets/opset13.hpp>
#include <openvino/pass/constant_folding.hpp>
#include <openvino/pass/manager.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "core/hash.h"
#include "core/isa.h"
#include "core/sentence.h"
#include "dnateq/error.h"
#include "graph/layer_choice.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using ConstantPtr = std::shared_ptr<op::Constant>;

constexpr int64_t kSmallestEmbedding = 4096;  // values; smaller lookup tables are not worth a code

ConstantPtr constant_of(const ov::Output<ov::Node>& output) {
  return ov::as_type_ptr<op::Constant>(output.get_node_shared_ptr());
}

bool is_narrow(const ov::element::Type& type) {
  return type.is_static() && (type.bitwidth() < 16 || type == ov::element::i8 || type == ov::element::u8) &&
         type != ov::element::boolean;
}

// Weights that are stored as small integers, followed by their decompression.
bool is_compressed_weight(const ov::Output<ov::Node>& output) {
  const auto node = output.get_node_shared_ptr();
  if (const auto constant = ov::as_type_ptr<op::Constant>(node)) return is_narrow(constant->get_element_type());
  if (ov::is_type<op::Convert>(node) || ov::is_type<op::Multiply>(node) || ov::is_type<op::Subtract>(node) ||
      ov::is_type<op::Reshape>(node) || ov::is_type<op::Transpose>(node) || ov::is_type<op::Gather>(node)) {
    for (const auto& input : node->input_values())
      if (is_compressed_weight(input)) return true;
  }
  return false;
}

void refuse_foreign_quantization(const ov::Model& model, const std::string& file) {
  if (!model.get_variables().empty() || !model.get_sinks().empty())
    throw Error(fmt::format(
        "'{}' is a stateful model; export it without state (explicit past/present inputs and outputs)", file));
  for (const auto& node : model.get_ops()) {
    if (std::string(node->get_type_info().version_id) == "dnateq")
      throw Error(fmt::format("'{}' is a result of dnateq already (layer '{}'); give the FP32 model", file,
                              node->get_friendly_name()));
    if (ov::is_type<op::FakeQuantize>(node))
      throw Error(fmt::format("'{}' is quantized already (FakeQuantize '{}'); give the FP32 model", file,
                              node->get_friendly_name()));
    if (ov::is_type<op::MatMul>(node) || ov::is_type<op::Convolution>(node) ||
        ov::is_type<op::GroupConvolution>(node)) {
      for (const auto& input : node->input_values())
        if (is_compressed_weight(input))
          throw Error(fmt::format("'{}' holds compressed weights already (layer '{}'); give the FP32 model", file,
                                  node->get_friendly_name()));
    }
  }
}

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

// x * 1, as an imported Gemm has it, is x: else the bias that follows would not join its layer.
void drop_factors_of_one(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    if (!ov::is_type<op::Multiply>(node)) continue;
    for (const size_t port : {size_t{0}, size_t{1}}) {
      const ConstantPtr factor = constant_of(node->input_value(port));
      const ov::Output<ov::Node> x = node->input_value(1 - port);
      if (!factor || !factor->get_element_type().is_real()) continue;
      const std::vector<float> values = factor->cast_vector<float>();
      const bool ones = std::all_of(values.begin(), values.end(), [](float value) { return value == 1.0F; });
      if (!ones || x.get_partial_shape() != node->get_output_partial_shape(0)) continue;  // else it widens x
      ov::replace_output_update_name(node->output(0), x);
      break;
    }
  }
}

// Convolution -> Multiply(constant per output channel): the factor moves into the weights.
void fold_scales(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    const auto multiply = ov::as_type_ptr<op::Multiply>(node);
    if (!multiply) continue;
    ConstantPtr factor = constant_of(multiply->input_value(1));
    const size_t other = factor ? 0 : 1;
    if (!factor) factor = constant_of(multiply->input_value(0));
    const auto layer = multiply->input_value(other).get_node_shared_ptr();
    const bool grouped = ov::is_type<op::GroupConvolution>(layer);
    if (!factor || !(grouped || ov::is_type<op::Convolution>(layer))) continue;
    if (layer->get_output_target_inputs(0).size() != 1) continue;
    const ConstantPtr weights = constant_of(layer->input_value(1));
    if (!weights || weights->get_element_type() != ov::element::f32) continue;
    const ov::Shape shape = weights->get_shape();
    const size_t channels = grouped ? shape[0] * shape[1] : shape[0];
    const ov::Shape factor_shape = factor->get_shape();
    const size_t rank = shape.size() - (grouped ? 1 : 0);
    const bool per_channel =
        factor_shape.size() == rank && factor_shape[1] == channels && ov::shape_size(factor_shape) == channels;
    const bool scalar = ov::shape_size(factor_shape) == 1 && factor_shape.size() <= rank;
    if (!per_channel && !scalar) continue;
    std::vector<float> values = weights->cast_vector<float>();
    const std::vector<float> factors = factor->cast_vector<float>();
    const size_t inner = values.size() / channels;
    for (size_t c = 0; c < channels; ++c)
      for (size_t i = 0; i < inner; ++i) values[c * inner + i] *= factors[scalar ? 0 : c];
    layer->input(1).replace_source_output(op::Constant::create(ov::element::f32, shape, values));
    ov::replace_output_update_name(multiply->output(0), layer->output(0));
  }
}

// Minimum(Maximum(x, a), b) by scalars, an imported Clip, becomes Clamp: its sign is visible and kernels fuse it.
void fuse_clamps(const std::shared_ptr<ov::Model>& model) {
  const auto scalar = [](const ov::Output<ov::Node>& output) -> std::optional<double> {
    const ConstantPtr constant = constant_of(output);
    if (!constant || ov::shape_size(constant->get_shape()) != 1 || !constant->get_element_type().is_real()) return {};
    return static_cast<double>(constant->cast_vector<float>()[0]);
  };
  for (const auto& node : model->get_ordered_ops()) {
    const bool outer_is_minimum = ov::is_type<op::Minimum>(node);
    if (!outer_is_minimum && !ov::is_type<op::Maximum>(node)) continue;
    const auto inner = node->get_input_node_shared_ptr(0);
    if (outer_is_minimum ? !ov::is_type<op::Maximum>(inner) : !ov::is_type<op::Minimum>(inner)) continue;
    const auto outer_bound = scalar(node->input_value(1)), inner_bound = scalar(inner->input_value(1));
    if (!outer_bound || !inner_bound || inner->get_output_target_inputs(0).size() != 1) continue;
    if (node->get_output_partial_shape(0).rank() != inner->get_input_partial_shape(0).rank())
      continue;  // bounds widen it
    const double low = outer_is_minimum ? *inner_bound : *outer_bound;
    const double high = outer_is_minimum ? *outer_bound : *inner_bound;
    if (!(low < high)) continue;
    const auto clamp = std::make_shared<op::Clamp>(inner->input_value(0), low, high);
    clamp->set_friendly_name(node->get_friendly_name());
    ov::replace_node(node, clamp);
  }
}

std::shared_ptr<op::Transpose> swap_last_axes(const ov::Output<ov::Node>& value, int64_t rank) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) order[static_cast<size_t>(i)] = i;
  std::swap(order[static_cast<size_t>(rank - 1)], order[static_cast<size_t>(rank - 2)]);
  return std::make_shared<op::Transpose>(value, op::Constant::create(ov::element::i64, {order.size()}, order));
}

// Every MatMul with constant weights takes them as its second input, rank 2, and its activations untransposed.
void normalize_matmuls(const std::shared_ptr<ov::Model>& model) {
  for (const auto& node : model->get_ordered_ops()) {
    const auto matmul = ov::as_type_ptr<op::MatMul>(node);
    if (!matmul) continue;
    const ConstantPtr left = constant_of(matmul->input_value(0)), right = constant_of(matmul->input_value(1));
    if ((left != nullptr) == (right != nullptr)) continue;
    const size_t at = left ? 1 : 0;
    const auto rank = matmul->get_input_partial_shape(at).rank();
    if (rank.is_dynamic() || rank.get_length() < 2) continue;
    ov::Output<ov::Node> weights = left ? left->output(0) : right->output(0);
    ov::Shape shape = weights.get_shape();
    if (shape.size() < 2) continue;
    if (shape.size() > 2) {
      const bool only_ones = std::all_of(shape.begin(), shape.end() - 2, [](size_t d) { return d == 1; });
      if (!only_ones || rank.get_length() < static_cast<int64_t>(shape.size())) continue;
      const ConstantPtr constant = constant_of(weights);
      weights = std::make_shared<op::Constant>(*constant, ov::Shape(shape.end() - 2, shape.end()));
      matmul->input(1 - at).replace_source_output(weights);
    }
    const bool swap = left != nullptr;  // W X = (X^T W^T)^T
    bool activation_transposed = swap ? !matmul->get_transpose_b() : matmul->get_transpose_a();
    const bool weights_transposed = swap ? !matmul->get_transpose_a() : matmul->get_transpose_b();
    if (!swap && !activation_transposed) continue;
    ov::Output<ov::Node> activation = matmul->input_value(at);
    if (activation_transposed) activation = swap_last_axes(activation, rank.get_length());
    const auto product = std::make_shared<op::MatMul>(activation, weights, false, weights_transposed);
    product->set_friendly_name(matmul->get_friendly_name());
    if (!swap) {
      ov::replace_node(matmul, product);
      continue;
    }
    const auto result = swap_last_axes(product, rank.get_length());
    result->set_friendly_name(matmul->get_friendly_name() + "/transposed");
    ov::replace_node(matmul, result);
    product->set_friendly_name(matmul->get_friendly_name());
  }
}

class LayerFinder {
 public:
  LayerFinder(PreparedModel& prepared, LayerChoice& choice) : prepared_(prepared), choice_(choice) {}

  void run() {
    for (const auto& node : prepared_.model->get_ordered_ops()) visit(node);
    choice_.check_chosen();
    share_tied_weights();
    choice_.check_untied();
  }

 private:
  void visit(const std::shared_ptr<ov::Node>& node) {
    Layer layer;
    layer.node = node;
    layer.name = node->get_friendly_name();
    std::string reason;
    if (ov::is_type<op::Convolution>(node)) {
      layer.kind = LayerKind::kConvolution;
      reason = describe_convolution(layer, false);
    } else if (ov::is_type<op::GroupConvolution>(node)) {
      layer.kind = LayerKind::kGroupConvolution;
      reason = describe_convolution(layer, true);
    } else if (const auto matmul = ov::as_type_ptr<op::MatMul>(node)) {
      layer.kind = LayerKind::kMatMul;
      reason = describe_matmul(layer, *matmul);
    } else if (ov::is_type<ov::op::util::GatherBase>(node)) {
      if (!is_embedding(layer)) return;
    } else if (node->get_type_name() == std::string("ConvolutionBackpropData") ||
               node->get_type_name() == std::string("GroupConvolutionBackpropData") ||
               node->get_type_name() == std::string("LSTMSequence") ||
               node->get_type_name() == std::string("GRUSequence") ||
               node->get_type_name() == std::string("LSTMCell")) {
      reason = "this operation is not supported yet";
    } else {
      return;
    }
    const std::string ignored = choice_.reason_to_ignore(layer.name, node->get_type_name());
    if (reason.empty()) reason = ignored;
    if (reason.empty() && !choice_.is_wanted(layer.name)) reason = "does not match --only";
    if (!reason.empty()) {
      prepared_.unquantized.push_back({layer.name, node->get_type_name(), reason, constant_elements(*node)});
      return;
    }
    for (const float w : layer.weights()->cast_vector<float>())
      if (!std::isfinite(w))
        throw Error(fmt::format("the weights of layer '{}' in '{}' hold NaN or infinity; export the model again",
                                layer.name, prepared_.file));
    prepared_.layers.push_back(layer);
  }

  static int64_t constant_elements(const ov::Node& node) {
    int64_t elements = 0;
    for (const auto& input : node.input_values())
      if (const ConstantPtr constant = constant_of(input); constant && constant->get_element_type().is_real())
        elements += static_cast<int64_t>(ov::shape_size(constant->get_shape()));
    return elements;
  }

  static std::string describe_convolution(Layer& layer, bool grouped) {
    const ConstantPtr weights = constant_of(layer.node->input_value(1));
    if (!weights) return "its weights are not constant";
    if (weights->get_element_type() != ov::element::f32)
      return fmt::format("its weights are {}", weights->get_element_type().get_type_name());
    const ov::Shape& shape = weights->get_shape();
    layer.groups = grouped ? static_cast<int64_t>(shape[0]) : 1;
    layer.rows = static_cast<int64_t>(grouped ? shape[0] * shape[1] : shape[0]);
    layer.columns = static_cast<int64_t>(ov::shape_size(shape)) / layer.rows;
    return {};
  }

  static std::string describe_matmul(Layer& layer, const op::MatMul& matmul) {
    const ConstantPtr weights = constant_of(matmul.input_value(1));
    if (!weights && !constant_of(matmul.input_value(0))) return "both inputs are activations";
    if (!weights || weights->get_shape().size() != 2 || matmul.get_transpose_a())
      return "its weights are batched, a vector, or of dynamic rank";
    if (weights->get_element_type() != ov::element::f32)
      return fmt::format("its weights are {}", weights->get_element_type().get_type_name());
    const ov::Shape& shape = weights->get_shape();
    layer.weights_transposed = !matmul.get_transpose_b();
    layer.rows = static_cast<int64_t>(shape[layer.weights_transposed ? 1 : 0]);
    layer.columns = static_cast<int64_t>(shape[layer.weights_transposed ? 0 : 1]);
    return {};
  }

  static bool is_embedding(Layer& layer) {
    const ConstantPtr table = constant_of(layer.node->input_value(0)), axis = constant_of(layer.node->input_value(2));
    if (!table || !axis || table->get_element_type() != ov::element::f32 || table->get_shape().size() != 2)
      return false;
    if (axis->cast_vector<int64_t>() != std::vector<int64_t>{0}) return false;
    if (static_cast<int64_t>(ov::shape_size(table->get_shape())) < kSmallestEmbedding) return false;
    layer.kind = LayerKind::kEmbedding;
    layer.weight_port = 0;
    layer.rows = static_cast<int64_t>(table->get_shape()[0]);
    layer.columns = static_cast<int64_t>(table->get_shape()[1]);
    return true;
  }

  static size_t largest_at(const std::vector<float>& values) {
    const auto smaller = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
    return static_cast<size_t>(std::max_element(values.begin(), values.end(), smaller) - values.begin());
  }

  // The factor f with a = f * b up to rounding, if there is one: tied weights of which one copy holds a scale of the
  // network, such as the square root of a Transformer's width in its embeddings.
  static std::optional<float> ratio(const std::vector<float>& a, const std::vector<float>& b) {
    constexpr double kRounding = 0x1p-22;  // two float32 roundings, and a margin
    const size_t largest = largest_at(b);
    if (largest >= b.size() || b[largest] == 0) return std::nullopt;
    const double factor = static_cast<double>(a[largest]) / static_cast<double>(b[largest]);
    if (!std::isnormal(static_cast<float>(factor))) return std::nullopt;
    for (size_t i = 0; i < a.size(); ++i) {
      const double wanted = a[i], difference = wanted - factor * static_cast<double>(b[i]);
      if (std::fabs(difference) > kRounding * std::fabs(wanted)) return std::nullopt;
    }
    return static_cast<float>(factor);
  }

  // Makes `layer` read the weights of `first`, which are its own divided by `factor`.
  static bool share(Layer& layer, const Layer& first, float factor) {
    if (layer.weights() == first.weights()) return true;
    const auto matmul = ov::as_type_ptr<op::MatMul>(layer.node);
    if (!matmul && (factor != 1 || layer.weights_transposed != first.weights_transposed)) return false;
    layer.had_own_copy = true;
    if (layer.weights_transposed != first.weights_transposed) {
      matmul->set_transpose_b(!first.weights_transposed);
      layer.weights_transposed = first.weights_transposed;
    }
    layer.node->input(layer.weight_port).replace_source_output(first.weights());
    if (factor != 1) {
      const auto input = layer.node->input(layer.activation_port);
      const auto scaled = std::make_shared<op::Multiply>(input.get_source_output(),
                                                         op::Constant::create(ov::element::f32, {}, {factor}));
      scaled->set_friendly_name(layer.name + "/scale");
      input.replace_source_output(scaled);
    }
    return true;
  }

  // Tied weights may come as one constant or as copies, transposed, scaled or not; afterwards they are one constant.
  void share_tied_weights() {
    // By dimensions and the place of the largest weight, which no scale moves.
    std::map<std::tuple<int64_t, int64_t, size_t>, std::vector<size_t>> owners;
    for (size_t i = 0; i < prepared_.layers.size(); ++i) {
      Layer& layer = prepared_.layers[i];
      if (layer.kind == LayerKind::kConvolution || layer.kind == LayerKind::kGroupConvolution) continue;
      if (choice_.is_untied(layer.name)) continue;
      const std::vector<float> matrix = layer.weight_matrix();
      auto& alike = owners[{layer.rows, layer.columns, largest_at(matrix)}];
      for (const size_t owner : alike) {
        const Layer& first = prepared_.layers[owner];
        const std::optional<float> factor = ratio(matrix, first.weight_matrix());
        if (!factor || !share(layer, first, *factor)) continue;
        layer.shares_weights_with = static_cast<int>(owner);
        break;
      }
      if (layer.shares_weights_with < 0) alike.push_back(i);
    }
    prepared_.model->validate_nodes_and_infer_types();
  }

  PreparedModel& prepared_;
  LayerChoice& choice_;
};

// The front ends' protobuf and absl log to standard error what the exception says too. Redirecting is process-wide.
class SilentStderr {
 public:
  SilentStderr() : kept_(dup(STDERR_FILENO)) {
    std::fflush(stderr);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept_ >= 0 && nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    if (nowhere >= 0) close(nowhere);
  }
  SilentStderr(const SilentStderr&) = delete;
  SilentStderr& operator=(const SilentStderr&) = delete;
  ~SilentStderr() {
    if (kept_ < 0) return;
    dup2(kept_, STDERR_FILENO);
    close(kept_);
  }

 private:
  int kept_;
};

void count_parameters(const ov::Model& model, std::set<const void*>& seen, int64_t& values) {
  for (const auto& node : model.get_ops()) {
    if (const auto constant = ov::as_type_ptr<op::Constant>(node)) {
      if (constant->get_element_type().is_real() && seen.insert(constant->get_data_ptr()).second)
        values += static_cast<int64_t>(ov::shape_size(constant->get_shape()));
    } else if (const auto loop = std::dynamic_pointer_cast<ov::op::util::MultiSubGraphOp>(node)) {
      for (size_t i = 0; i < loop->get_internal_subgraphs_size(); ++i)
        count_parameters(*loop->get_function(i), seen, values);
    }
  }
}

// Nodes count by kind, shape and place, not by name: OpenVINO numbers the nameless ones by a counter of the process.
std::string fingerprint_of(const PreparedModel& prepared) {
  uint64_t digest = kFnvStart;
  const auto add = [&](const std::string& text) { digest = fnv1a(std::as_bytes(std::span(text)), digest); };
  std::map<const ov::Node*, size_t> place;
  for (const auto& node : prepared.model->get_ordered_ops()) {
    place.emplace(node.get(), place.size());
    add(fmt::format("|{}", node->get_type_name()));
    for (const auto& input : node->input_values())
      add(fmt::format(" {}.{}", place.at(input.get_node()), input.get_index()));
    for (const auto& output : node->outputs()) add(output.get_partial_shape().to_string());
    if (const auto constant = ov::as_type_ptr<op::Constant>(node))
      digest = fnv1a({static_cast<const std::byte*>(constant->get_data_ptr()), constant->get_byte_size()}, digest);
  }
  for (const Layer& layer : prepared.layers) add("|" + layer.name);
  return to_hex(digest);
}

}  // namespace

std::shared_ptr<op::Constant> Layer::weights() const {
  return ov::as_type_ptr<op::Constant>(node->get_input_node_shared_ptr(weight_port));
}

std::vector<ColumnPair> Layer::added_pairs() const {
  if (kind == LayerKind::kEmbedding) return {};
  std::vector<int64_t> taps;
  if (kind != LayerKind::kMatMul) {
    const ov::Shape shape = weights()->get_shape();
    taps.assign(shape.begin() + (kind == LayerKind::kGroupConvolution ? 3 : 2), shape.end());
    int64_t count = 1;
    for (const int64_t extent : taps) count *= extent;
    if (kind == LayerKind::kGroupConvolution && columns == count && rows == groups) return {};
  }
  return dnateq::added_pairs(columns, taps);
}

std::vector<float> Layer::weight_matrix() const {
  const std::vector<float> values = weights()->cast_vector<float>();
  if (!weights_transposed) return values;
  std::vector<float> matrix(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      matrix[static_cast<size_t>(r * columns + c)] = values[static_cast<size_t>(c * rows + r)];
  return matrix;
}

ov::Shape Layer::bias_shape() const {
  const auto channels = static_cast<size_t>(rows);
  if (kind == LayerKind::kMatMul) return weight_port == 0 ? ov::Shape{channels, 1} : ov::Shape{channels};
  const size_t weight_rank = node->get_input_shape(weight_port).size();
  ov::Shape shape(kind == LayerKind::kGroupConvolution ? weight_rank - 1 : weight_rank, 1);
  shape[1] = channels;
  return shape;
}

std::shared_ptr<ov::Model> read_model(ov::Core& core, const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) throw Error(fmt::format("there is no model file '{}'", file.string()));
  if (std::filesystem::is_directory(file, ignored))
    throw Error(fmt::format("'{}' is a folder; give the model file in it (.onnx, .xml, ...)", file.string()));
  if (!std::ifstream(file).is_open())
    throw Error(fmt::format("'{}' cannot be read; check its permissions", file.string()));
  std::shared_ptr<ov::Model> model;
  try {
    const SilentStderr silent;
    model = core.read_model(file.string());
  } catch (const std::exception& error) {
    std::string reason = plain_sentence(error.what());
    // Where no front end takes the file, OpenVINO lists them all.
    if (reason.starts_with("Unable to read the model")) reason = "ONNX, OpenVINO IR, TensorFlow, ...";
    throw Error(fmt::format("'{}' is not a complete model that OpenVINO can read ({}); export it again", file.string(),
                            reason));
  }
  if (model->has_rt_info("dnateq", "target_isa"))
    if (const std::string reason = refusal_of_target(model->get_rt_info<std::string>("dnateq", "target_isa"));
        !reason.empty())
      throw Error(fmt::format("'{}' {}", file.string(), reason));
  return model;
}

std::string refusal_of_target(const std::string& target_isa) {
  if (target_isa != to_string(TargetIsa::kVnni) || adds_products_exactly()) return {};
  const std::string cap = onednn_cap();
  return fmt::format(
      "was made with --target-isa vnni, and {}, where OpenVINO's kernels would compute wrong numbers with it; "
      "quantize with --target-isa any",
      cap.empty() ? "this CPU has no VNNI" : fmt::format("ONEDNN_MAX_CPU_ISA={} takes VNNI away", cap));
}

int64_t count_parameters(const ov::Model& model) {
  std::set<const void*> seen;
  int64_t values = 0;
  count_parameters(model, seen, values);
  return values;
}

PreparedModel import_model(ov::Core& core, const std::filesystem::path& file, const ImportOptions& options) {
  PreparedModel prepared;
  prepared.file = file.string();
  prepared.model = read_model(core, file);
  refuse_foreign_quantization(*prepared.model, prepared.file);
  prepared.parameters = count_parameters(*prepared.model);
  LayerChoice choice(options, *prepared.model, prepared.file);
  try {
    ov::pass::Manager manager;
    manager.register_pass<ov::pass::ConstantFolding>();
    manager.run_passes(prepared.model);
    decompose_batch_norm(prepared.model);
    drop_factors_of_one(prepared.model);
    fold_scales(prepared.model);
    fuse_clamps(prepared.model);
    normalize_matmuls(prepared.model);
    prepared.model->validate_nodes_and_infer_types();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(fmt::format("the graph of '{}' cannot be prepared: {}; export it again", prepared.file,
                            plain_sentence(error.what())));
  }
  LayerFinder(prepared, choice).run();
  prepared.fingerprint = fingerprint_of(prepared);
  return prepared;
}

}  // namespace dnateq
