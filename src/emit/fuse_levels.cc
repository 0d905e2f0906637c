#include "emit/fuse_levels.h"

#include <algorithm>
#include <map>
#include <openvino/op/util/max_pool_base.hpp>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/blob.h"
#include "emit/image_nodes.h"
#include "graph/patterns.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using NodeOutput = ov::Output<ov::Node>;
using ConstantPtr = std::shared_ptr<op::Constant>;

std::span<const uint8_t> bytes_of(const op::Constant& constant) {
  return {static_cast<const uint8_t*>(constant.get_data_ptr()), constant.get_byte_size()};
}

bool same_bytes(const op::Constant& a, const op::Constant& b) {
  const auto left = bytes_of(a), right = bytes_of(b);
  return std::equal(left.begin(), left.end(), right.begin(), right.end());
}

// ---- what a layer needs to run on levels ----

// A layer with what it takes along, from `layer` to `end`.
struct Chain {
  std::shared_ptr<ov::Node> layer;
  bool is_image = false;  // channels last beside its neighbours, channels first in the original
  NodeOutput x;           // the tensor whose levels it reads
  ConstantPtr code, weights;
  BlobHeader header;  // of the weights
  ops::LevelWindows windows;

  std::vector<float> bias;
  NodeOutput residual, end;
  ops::LevelSteps steps;

  bool wanted = false, wanted_natively = false;
  std::vector<ConstantPtr> codes;  // of the levels that others read
  std::shared_ptr<ops::LevelLayer> node;
  NodeOutput native;  // in the original's layout
};

bool fits_int32(const BlobHeader& weights) {
  const int64_t largest = grid_magnitudes(weights.code).back();
  return weights.columns <= INT32_MAX / 255 / largest;
}

// A chain of the layer alone; none where it has no integers or is of another form.
std::optional<Chain> chain_of(const std::shared_ptr<ov::Node>& node) {
  if (node->get_input_size() != 2) return std::nullopt;
  const auto quantize = ov::as_type_ptr<ops::ExponentialQuantize>(node->get_input_node_shared_ptr(0));
  const auto decode = ov::as_type_ptr<ops::ExponentialWeights>(node->get_input_node_shared_ptr(1));
  if (!quantize || !decode) return std::nullopt;
  Chain chain;
  chain.layer = node;
  chain.x = quantize->input_value(0);
  chain.code = ov::as_type_ptr<op::Constant>(quantize->get_input_node_shared_ptr(1));
  chain.weights = ov::as_type_ptr<op::Constant>(decode->get_input_node_shared_ptr(0));
  if (!chain.code || !chain.weights) return std::nullopt;
  const std::string& name = node->get_friendly_name();
  chain.header = read_blob_header(bytes_of(*chain.weights), name);
  const bool integers = chain.header.code.arithmetic == Arithmetic::kInt8Grid &&
                        read_blob_header(bytes_of(*chain.code), name).code.arithmetic == Arithmetic::kInt8Grid;
  if (!integers || !fits_int32(chain.header) || node->get_output_element_type(0) != ov::element::f32)
    return std::nullopt;
  chain.end = node->output(0);
  if (const auto matmul = ov::as_type_ptr<op::MatMul>(node)) {
    if (matmul->get_transpose_a() || chain.header.shape.size() != 2 || chain.x.get_partial_shape().rank().is_dynamic())
      return std::nullopt;
    return chain;
  }
  chain.is_image = true;
  const auto windows = windows_of(*node, chain.header.shape);
  if (!windows) return std::nullopt;
  chain.windows = *windows;
  return chain;
}

int64_t groups_of(const Chain& chain) {
  return ov::is_type<op::GroupConvolution>(chain.layer) ? chain.header.shape[0] : 1;
}

// ---- what follows a layer ----

NodeOutput other_operand(const ov::Node& add, const NodeOutput& one) {
  return add.input_value(add.input_value(0) == one ? 1 : 0);
}

// One value a channel, or one for all, of a float32 constant.
bool add_constant(Chain& chain, ov::Node& add) {
  const std::optional<ConstantAdd> found = constant_add(&add);
  if (!found || found->constant()->get_element_type() != ov::element::f32) return false;
  const auto rank = static_cast<size_t>(chain.end.get_partial_shape().rank().get_length());
  const auto channels = static_cast<size_t>(chain.header.rows);
  const ov::Shape shape = found->constant()->get_shape();
  if (shape.size() > rank || !is_one_a_channel(shape, channels, chain.is_image ? rank - 2 : 0)) return false;
  const std::vector<float> added = found->constant()->cast_vector<float>();
  chain.bias.resize(channels, 0.0F);
  for (size_t i = 0; i < channels; ++i) chain.bias[i] += added[added.size() == 1 ? 0 : i];
  return true;
}

bool same_shape(const ov::PartialShape& a, const ov::PartialShape& b) {
  return a.rank().is_static() && b.rank().is_static() && a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const ov::Dimension& left, const ov::Dimension& right) {
           return left.is_static() == right.is_static() && left.compatible(right);
         });
}

bool add_activation(Chain& chain, const ov::Node& next) {
  if (ov::is_type<op::Relu>(&next)) {
    chain.steps.activation = "relu";
    return true;
  }
  const auto* clamp = ov::as_type<const op::Clamp>(&next);
  if (clamp == nullptr) return false;
  chain.steps.activation = "clamp", chain.steps.lowest = clamp->get_min(), chain.steps.highest = clamp->get_max();
  return true;
}

// ---- neighbours ----

struct Pool {
  NodeOutput x;
  ops::LevelWindows windows;
  std::vector<int64_t> kernel;
};

// Max pooling that the operation on levels can do: every window holds a value.
std::optional<Pool> pool_of(const ov::Node& node) {
  const auto* pool = ov::as_type<const ov::op::util::MaxPoolBase>(&node);
  if (pool == nullptr) return std::nullopt;
  for (size_t i = 1; i < node.get_output_size(); ++i)
    if (!node.output(i).get_target_inputs().empty()) return std::nullopt;
  if (const auto* dilated = ov::as_type<const ov::op::v8::MaxPool>(&node)) {
    const ov::Strides& dilations = dilated->get_dilations();
    if (std::any_of(dilations.begin(), dilations.end(), [](size_t step) { return step != 1; })) return std::nullopt;
  }
  const size_t axes = pool->get_kernel().size();
  const ov::PartialShape& in = node.get_input_partial_shape(0);
  const ov::PartialShape& out = node.get_output_partial_shape(0);
  if ((axes != 1 && axes != 2) || in.rank().is_dynamic() || out.rank().is_dynamic()) return std::nullopt;
  const bool plain =
      pool->get_auto_pad() == ov::op::PadType::EXPLICIT && pool->get_rounding_type() == ov::op::RoundingType::FLOOR;
  Pool result;
  result.x = node.input_value(0);
  result.kernel.assign(pool->get_kernel().begin(), pool->get_kernel().end());
  result.windows = {signed_sizes(pool->get_strides()), std::vector<int64_t>(axes, 1), {}, {}};
  for (size_t i = 0; i < axes; ++i) {
    int64_t end = static_cast<int64_t>(pool->get_pads_end()[i]);
    const auto begin = static_cast<int64_t>(pool->get_pads_begin()[i]);
    if (in[2 + i].is_static() && out[2 + i].is_static())  // what the last window reaches, however sizes are rounded
      end = std::max<int64_t>(0, (out[2 + i].get_length() - 1) * result.windows.strides[i] + result.kernel[i] -
                                     in[2 + i].get_length() - begin);
    else if (!plain)
      return std::nullopt;
    if (begin >= result.kernel[i] || end >= result.kernel[i]) return std::nullopt;
    result.windows.pads_begin.push_back(begin), result.windows.pads_end.push_back(end);
    if (!windows_agree(in[2 + i], out[2 + i], result.kernel[i], result.windows, i)) return std::nullopt;
  }
  return result;
}

// What is put side by side, where that is channels of images; else nothing.
ov::OutputVector channels_joined(const ov::Node& node) {
  const auto* concat = ov::as_type<const op::Concat>(&node);
  const ov::PartialShape shape = concat == nullptr ? ov::PartialShape::dynamic() : node.get_output_partial_shape(0);
  if (shape.rank().is_dynamic() || (shape.size() != 3 && shape.size() != 4)) return {};
  const int64_t axis = concat->get_axis();
  return axis == 1 || axis + static_cast<int64_t>(shape.size()) == 1 ? node.input_values() : ov::OutputVector{};
}

// ---- the rewriting ----

class Fusion {
 public:
  explicit Fusion(const ov::Model& model) : nodes_(model.get_ordered_ops()) {
    for (const auto& node : nodes_) {
      if (auto pool = pool_of(*node)) pools_.emplace(node.get(), std::move(*pool));
      if (auto joined = channels_joined(*node); !joined.empty()) joined_.emplace(node.get(), std::move(joined));
      if (auto mean = image_mean_of(*node)) means_.emplace(node.get(), std::move(*mean));
      if (auto chain = chain_of(node)) {
        extend(*chain);
        chains_[node.get()] = std::make_unique<Chain>(std::move(*chain));
        Chain& kept = *chains_.at(node.get());
        ends_[kept.end] = &kept;
      }
    }
  }

  void run() {
    for (const auto& node : nodes_)
      if (ov::is_type<op::Result>(node) || node->get_output_size() == 0) want_native_node(*node);
    while (!unseen_.empty()) {
      ov::Node* const node = unseen_.back();
      unseen_.pop_back();
      for (size_t i = 0; i < node->get_input_size(); ++i) want_native(node->input_value(i));
    }
    for (const auto& node : nodes_) {
      if (const auto chain = chains_.find(node.get()); chain != chains_.end() && chain->second->wanted)
        built(*chain->second);
      if (wanted_means_.contains(node.get())) built_mean(node->output(0));
    }
  }

 private:
  // Steps that one reader after the other allows. What a layer takes along reaches its end in the original too, so that
  // the layers still stand in some order; a sum of two layers goes to the first one.
  void extend(Chain& chain) {
    while (const auto reader = only_reader(chain.end)) {
      const auto next = reader->get_node()->shared_from_this();
      if (taken_.contains(next.get()) || next->get_output_size() != 1 ||
          next->get_output_element_type(0) != ov::element::f32)
        return;
      if (ov::is_type<op::Add>(next)) {
        if (!add_operand(chain, *next)) return;
      } else if (!add_activation(chain, *next)) {
        return;
      }
      taken_.insert(next.get());
      chain.end = next->output(0);
      if (chain.steps.activation != "none") return;
    }
  }

  static bool add_operand(Chain& chain, ov::Node& add) {
    if (add.input_value(0) == add.input_value(1)) return false;
    if (!chain.steps.adds_residual && add_constant(chain, add)) return true;
    const NodeOutput other = other_operand(add, chain.end);
    if (chain.steps.adds_residual || !same_shape(other.get_partial_shape(), chain.end.get_partial_shape()) ||
        !same_shape(add.get_output_partial_shape(0), chain.end.get_partial_shape()))
      return false;
    chain.steps.adds_residual = true;
    chain.residual = other;
    return true;
  }

  Chain* chain_that_ends(const NodeOutput& output, bool is_image) const {
    const auto found = ends_.find(output);
    return found != ends_.end() && found->second->is_image == is_image ? found->second : nullptr;
  }

  // -- who needs what --

  void want_native_node(ov::Node& node) {
    if (!seen_.insert(&node).second) return;
    if (const auto mean = means_.find(&node);
        mean != means_.end() && chain_that_ends(mean->second.x, true) != nullptr) {
      wanted_means_.insert(&node);
      return want_values(mean->second.x, true);
    }
    unseen_.push_back(&node);
  }

  void want_native(const NodeOutput& output) {
    if (const auto chain = ends_.find(output); chain != ends_.end()) {
      chain->second->wanted_natively = chain->second->steps.gives_values = true;
      return want(*chain->second);
    }
    want_native_node(*output.get_node());
  }

  void want_values(const NodeOutput& output, bool is_image) {
    Chain* const chain = chain_that_ends(output, is_image);
    if (chain == nullptr) return want_native(output);
    chain->steps.gives_values = true;
    want(*chain);
  }

  void want_levels(const NodeOutput& output, const ConstantPtr& code, bool is_image) {
    if (Chain* const chain = chain_that_ends(output, is_image)) {
      if (place_of_code(*chain, *code) == chain->codes.size()) {
        if (chain->codes.size() == ops::LevelLayer::kMostLevelOutputs) return want_native(output);
        chain->codes.push_back(code);
      }
      return want(*chain);
    }
    if (!is_image || !on_levels(output)) return want_native(output);
    if (const auto pool = pools_.find(output.get_node()); pool != pools_.end())
      return want_levels(pool->second.x, code, true);
    for (const NodeOutput& part : joined_.at(output.get_node())) want_levels(part, code, true);
  }

  // Images that come from layers on levels, perhaps pooled or put side by side: encoding them would give the same.
  bool on_levels(const NodeOutput& output) const {
    if (chain_that_ends(output, true) != nullptr) return true;
    if (output.get_index() != 0) return false;
    if (const auto pool = pools_.find(output.get_node()); pool != pools_.end()) return on_levels(pool->second.x);
    const auto joined = joined_.find(output.get_node());
    return joined != joined_.end() && std::all_of(joined->second.begin(), joined->second.end(),
                                                  [this](const NodeOutput& part) { return on_levels(part); });
  }

  static size_t place_of_code(const Chain& chain, const op::Constant& code) {
    return static_cast<size_t>(std::find_if(chain.codes.begin(), chain.codes.end(),
                                            [&](const ConstantPtr& known) { return same_bytes(*known, code); }) -
                               chain.codes.begin());
  }

  void want(Chain& chain) {
    if (chain.wanted) return;
    chain.wanted = true;
    want_levels(chain.x, chain.code, chain.is_image);
    if (chain.steps.adds_residual) want_values(chain.residual, chain.is_image);
  }

  // -- building: what is asked for is built then, if it is not yet --

  NodeOutput native(const NodeOutput& output) {
    if (const auto chain = ends_.find(output); chain != ends_.end()) return built(*chain->second).native;
    return wanted_means_.contains(output.get_node()) ? built_mean(output) : output;
  }

  NodeOutput values(const NodeOutput& output, bool is_image) {
    if (Chain* const chain = chain_that_ends(output, is_image)) return built(*chain).node->output(0);
    if (!is_image) return native(output);
    NodeOutput& known = turned_[output];
    if (known.get_node() == nullptr) known = turned(native(output), true);
    return known;
  }

  NodeOutput levels(const NodeOutput& output, const ConstantPtr& code, bool is_image) {
    if (Chain* const chain = chain_that_ends(output, is_image)) {
      const size_t place = place_of_code(*chain, *code);
      const ops::LevelLayer& node = *built(*chain).node;
      if (place < chain->codes.size()) return chain->node->output(node.first_level_output() + place);
    }
    for (const Encoded& known : encoded_)
      if (known.tensor == output && known.is_image == is_image && same_bytes(*known.code, *code)) return known.levels;
    NodeOutput result;
    const std::string& name = output.get_node()->get_friendly_name();
    const bool through = is_image && chain_that_ends(output, true) == nullptr && on_levels(output);
    if (const auto pool = pools_.find(output.get_node()); through && pool != pools_.end()) {
      const Pool& of = pool->second;
      result = std::make_shared<ops::LevelMaxPool>(levels(of.x, code, true), of.windows, of.kernel);
      result.get_node()->set_friendly_name(name + "/levels");
    } else if (through) {
      ov::OutputVector parts;
      for (const NodeOutput& part : joined_.at(output.get_node())) parts.push_back(levels(part, code, true));
      result = std::make_shared<op::Concat>(parts, -1);
      result.get_node()->set_friendly_name(name + "/levels");
    } else {
      result = std::make_shared<ops::ExponentialEncode>(native(output), code, is_image);
      result.get_node()->set_friendly_name(name + "/encode");
    }
    encoded_.push_back({output, code, is_image, result});
    return result;
  }

  const Chain& built(Chain& chain) {
    if (chain.node) return chain;
    const auto bias = op::Constant::create(ov::element::f32, ov::Shape{chain.bias.size()}, chain.bias);
    const std::string& name = chain.layer->get_friendly_name();
    bias->set_friendly_name(name + "/bias");
    ops::LevelLayer::Inputs inputs{
        levels(chain.x, chain.code, chain.is_image), chain.weights, chain.code, bias, {}, {}};
    if (chain.steps.adds_residual) inputs.residual = values(chain.residual, chain.is_image);
    inputs.codes_of_outputs.assign(chain.codes.begin(), chain.codes.end());
    if (chain.is_image)
      chain.node = std::make_shared<ops::LevelConvolution>(inputs, chain.steps, chain.windows, groups_of(chain));
    else
      chain.node = std::make_shared<ops::LevelMatMul>(inputs, chain.steps);
    chain.node->set_friendly_name(name);
    if (!chain.wanted_natively) return chain;
    chain.native = chain.node->output(0);
    if (chain.is_image) {
      chain.native = turned(chain.native, false);
      if (chain.end.get_node() == chain.layer.get()) chain.node->set_friendly_name(name + "/levels");
    }
    replace(chain.end, chain.native);
    return chain;
  }

  NodeOutput built_mean(const NodeOutput& output) {
    NodeOutput& mean = built_means_[output];
    if (mean.get_node() != nullptr) return mean;
    const ImageMeanNode& original = means_.at(output.get_node());
    mean = std::make_shared<ops::ImageMean>(values(original.x, true));
    if (original.keeps_axes)
      mean = std::make_shared<op::Unsqueeze>(
          mean, op::Constant::create(ov::element::i64, ov::Shape{2}, std::vector<int64_t>{2, 3}));
    replace(output, mean);
    return mean;
  }

  static void replace(NodeOutput from, NodeOutput to) {
    to.get_node()->set_friendly_name(from.get_node()->get_friendly_name());
    to.set_names(from.get_names());
    from.set_names({});
    from.replace(to);
  }

  struct Encoded {
    NodeOutput tensor;
    ConstantPtr code;
    bool is_image;
    NodeOutput levels;
  };

  ov::NodeVector nodes_;
  std::unordered_map<const ov::Node*, Pool> pools_;
  std::unordered_map<const ov::Node*, ov::OutputVector> joined_;
  std::unordered_map<const ov::Node*, ImageMeanNode> means_;
  std::unordered_map<const ov::Node*, std::unique_ptr<Chain>> chains_;  // by layer
  std::map<NodeOutput, Chain*> ends_;
  std::unordered_set<const ov::Node*> taken_, seen_, wanted_means_;
  std::vector<ov::Node*> unseen_;
  std::map<NodeOutput, NodeOutput> built_means_, turned_;
  std::vector<Encoded> encoded_;
};

}  // namespace

void fuse_levels(const std::shared_ptr<ov::Model>& model) {
  Fusion(*model).run();
  model->validate_nodes_and_infer_types();
}

}  // namespace dnateq
