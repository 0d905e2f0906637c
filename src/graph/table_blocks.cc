#include "graph/table_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <openvino/opsets/opset13.hpp>

#include "graph/disk_constants.h"
#include "graph/patterns.h"
#include "graph/subgraph.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using NodeOutput = ov::Output<ov::Node>;

// Smaller tables gain less than further calls cost.
constexpr int64_t kFewestRows = 8192;
// Where blocks end, in parts of 32. Measured on SmolLM2-135M at 3 bits: a weight of the first block costs 70
// times as much KL as one of the last.
constexpr int64_t kParts = 32;
constexpr int64_t kEnds[] = {1, 4, 12, kParts};
// Kernels pack as many channels together.
constexpr int64_t kPanel = 64;

std::shared_ptr<op::Constant> block_of(const op::Constant& table, int64_t begin, int64_t end) {
  const auto columns = static_cast<int64_t>(table.get_shape()[1]);
  const auto rows = static_cast<size_t>(end - begin), width = static_cast<size_t>(columns);
  auto block = constant_in_place_of(table, ov::Shape{rows, width},
                                    {table.get_data_ptr<float>() + begin * columns, rows * width});
  leave_memory(*block);
  block->set_friendly_name(fmt::format("{}/rows_{}_{}", table.get_friendly_name(), begin, end));
  return block;
}

class TableCut {
 public:
  TableCut(const Layer& owner, const std::vector<int64_t>& ends) : ends_(ends) {
    int64_t begin = 0;
    for (const int64_t end : ends) {
      blocks_.push_back(block_of(*owner.weights(), begin, end));
      begin = end;
    }
    leave_memory(*owner.weights());
  }

  // The layers in the place of `layer`.
  std::vector<Layer> cut(const Layer& layer) const {
    std::vector<Layer> parts(ends_.size(), layer);
    for (size_t b = 0; b < ends_.size(); ++b) {
      parts[b].rows = ends_[b] - begin(b);
      parts[b].name = fmt::format("{}/rows_{}_{}", layer.name, begin(b), ends_[b]);
    }
    const NodeOutput joined = layer.kind == LayerKind::kEmbedding ? lookups(layer, parts) : products(layer, parts);
    for (const Layer& part : parts) part.node->set_friendly_name(part.name);
    joined.get_node_shared_ptr()->set_friendly_name(layer.name);
    NodeOutput old = layer.node->output(0), replacement = joined;
    replacement.set_names(old.get_names());
    old.set_names({});
    old.replace(replacement);
    return parts;
  }

 private:
  int64_t begin(size_t block) const { return block == 0 ? 0 : ends_[block - 1]; }

  NodeOutput lookups(const Layer& layer, std::vector<Layer>& parts) const {
    const NodeOutput ids = layer.node->input_value(1);
    const ov::element::Type type = ids.get_element_type();
    const auto number = [&](int64_t value) { return op::Constant::create(type, ov::Shape{}, {value}); };
    const auto last_axis = op::Constant::create(ov::element::i64, ov::Shape{1}, {-1});
    for (size_t b = 0; b < parts.size(); ++b) {
      NodeOutput own = ids;
      if (b > 0) own = std::make_shared<op::Subtract>(own, number(begin(b)));
      if (b > 0) own = std::make_shared<op::Maximum>(own, number(0));
      if (b + 1 < parts.size()) own = std::make_shared<op::Minimum>(own, number(parts[b].rows - 1));
      parts[b].node = std::make_shared<op::Gather>(blocks_[b], own, layer.node->input_value(2));
    }
    NodeOutput joined = parts.back().node->output(0);
    for (size_t b = parts.size() - 1; b-- > 0;) {
      const auto in_block = std::make_shared<op::Less>(ids, number(ends_[b]));
      joined =
          std::make_shared<op::Select>(std::make_shared<op::Unsqueeze>(in_block, last_axis), parts[b].node, joined);
    }
    return joined;
  }

  NodeOutput products(const Layer& layer, std::vector<Layer>& parts) const {
    ov::OutputVector all;
    for (size_t b = 0; b < parts.size(); ++b) {
      parts[b].node =
          std::make_shared<op::MatMul>(layer.node->input_value(layer.activation_port), blocks_[b], false, true);
      all.push_back(parts[b].node);
    }
    return std::make_shared<op::Concat>(all, layer.node->get_output_partial_shape(0).rank().get_length() - 1);
  }

  std::vector<int64_t> ends_;
  std::vector<std::shared_ptr<op::Constant>> blocks_;
};

bool can_be_cut(const Layer& layer) {
  if (layer.kind == LayerKind::kEmbedding) return true;
  const auto matmul = ov::as_type_ptr<op::MatMul>(layer.node);
  return matmul && layer.weight_port == 1 && !layer.weights_transposed && !matmul->get_transpose_a() &&
         matmul->get_output_partial_shape(0).rank().is_static();
}

}  // namespace

std::vector<int64_t> table_block_ends(int64_t rows) {
  if (rows < kFewestRows) return {rows};
  std::vector<int64_t> ends;
  for (const int64_t part : kEnds) ends.push_back(part == kParts ? rows : rows * part / kParts / kPanel * kPanel);
  return ends;
}

PreparedModel cut_tables(const PreparedModel& prepared, const std::function<std::vector<int64_t>(int64_t)>& ends_of) {
  PreparedModel result = prepared;
  if (prepared.state.empty()) return result;
  const ModelCopy graph = copy_model(prepared.model);
  result.model = graph.model;
  for (Layer& layer : result.layers) layer.node = graph.copy_of.at(layer.node.get());
  const std::vector<Layer> whole = std::move(result.layers);
  result.layers.clear();
  std::map<size_t, TableCut> cuts;  // by the table's owner
  for (size_t l = 0; l < whole.size(); ++l) {
    const std::vector<int64_t> ends = ends_of(whole[l].rows);
    const bool all_can = std::all_of(whole.begin(), whole.end(), [&](const Layer& other) {
      return &other != &whole[l] && other.shares_weights_with != l ? true : can_be_cut(other);
    });
    if (whole[l].kind == LayerKind::kEmbedding && !whole[l].shares_weights_with && ends.size() > 1 && all_can)
      cuts.emplace(l, TableCut(whole[l], ends));
  }
  std::vector<size_t> first_of;  // in the result, by layer of `whole`
  for (const Layer& layer : whole) {
    const size_t l = first_of.size();
    first_of.push_back(result.layers.size());
    const std::optional<size_t> owner = layer.shares_weights_with;
    const auto cut = cuts.find(owner.value_or(l));
    const std::vector<Layer> parts = cut == cuts.end() ? std::vector<Layer>{layer} : cut->second.cut(layer);
    for (size_t b = 0; b < parts.size(); ++b) {
      result.layers.push_back(parts[b]);
      if (owner) result.layers.back().shares_weights_with = first_of[*owner] + b;
    }
  }
  result.model->validate_nodes_and_infer_types();
  return result;
}

std::optional<CutLookup> cut_lookup(ov::Node* first) {
  CutLookup found;
  NodeOutput lookup = first->output(0);
  int64_t rows = 0;
  while (true) {
    const ov::Node* gather = lookup.get_node();
    const ov::PartialShape& table = gather->get_input_partial_shape(0);
    if (!ov::is_type<op::Gather>(gather) || table.is_dynamic()) return {};
    found.lookups.push_back(lookup.get_node());
    const std::optional<ov::Input<ov::Node>> reader = only_reader(lookup);
    auto* select = reader ? ov::as_type<op::Select>(reader->get_node()) : nullptr;
    if (select == nullptr) return {};
    if (reader->get_index() == 2) break;
    rows += table[0].get_length();
    const ov::Node* widened = select->get_input_node_ptr(0);
    if (!ov::is_type<op::Unsqueeze>(widened) || !ov::is_type<op::Less>(widened->get_input_node_ptr(0))) return {};
    const ov::Node* less = widened->get_input_node_ptr(0);
    const auto end = ov::as_type_ptr<op::Constant>(less->get_input_node_shared_ptr(1));
    if (!end || ov::shape_size(end->get_shape()) != 1 || end->cast_vector<int64_t>()[0] != rows) return {};
    if (found.lookups.size() == 1) {
      found.indices = less->input_value(0);
      found.joined = select->output(0);
    }
    if (less->input_value(0) != found.indices) return {};
    lookup = select->input_value(2);
    if (auto* next = ov::as_type<op::Select>(lookup.get_node())) lookup = next->input_value(1);
  }
  const bool of_indices = std::all_of(found.lookups.begin(), found.lookups.end(), [&](const ov::Node* gather) {
    NodeOutput ids = gather->input_value(1);
    while (ov::is_type<op::Minimum>(ids.get_node()) || ov::is_type<op::Maximum>(ids.get_node()) ||
           ov::is_type<op::Subtract>(ids.get_node()))
      ids = ids.get_node()->input_value(0);
    return ids == found.indices;
  });
  if (found.lookups.size() < 2 || !of_indices) return {};
  return found;
}

ov::Node* joined_channels(const std::vector<ov::Output<ov::Node>>& blocks) {
  ov::Node* joined = nullptr;
  for (size_t b = 0; b < blocks.size(); ++b) {
    const std::optional<ov::Input<ov::Node>> reader = only_reader(blocks[b]);
    if (!reader || reader->get_index() != b || (joined != nullptr && reader->get_node() != joined)) return nullptr;
    joined = reader->get_node();
  }
  const auto* concat = ov::as_type<op::Concat>(joined);
  if (concat == nullptr || concat->get_input_size() != blocks.size()) return nullptr;
  const ov::Rank rank = concat->get_output_partial_shape(0).rank();
  const bool last = concat->get_axis() == -1 || (rank.is_static() && concat->get_axis() == rank.get_length() - 1);
  return last ? joined : nullptr;
}

}  // namespace dnateq
