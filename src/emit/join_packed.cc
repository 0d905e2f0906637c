#include "emit/join_packed.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <openvino/opsets/opset13.hpp>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "emit/row_nodes.h"
#include "ops/ops.h"
#include "ops/packed_block.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using emission::RowNode;
using NodeOutput = ov::Output<ov::Node>;

// The row nodes of a network in topological order, and which of them make a block: those that reach each other by rows,
// at the same depth. Depth counts how often rows left for something else, such as attention, and came back, so that no
// way out of a block leads back into it.
class Groups {
 public:
  Groups(const ov::Model& model, const std::set<std::string>& kept) : kept_(kept) {
    for (const auto& node : model.get_ordered_ops()) add(node);
    parents_.resize(nodes_.size());
    std::iota(parents_.begin(), parents_.end(), size_t{0});
    for (size_t i = 0; i < nodes_.size(); ++i)
      for (const NodeOutput& input : nodes_[i].inputs)
        if (const auto from = index_.find(input.get_node()); from != index_.end() && depth(from->first) == depth_of(i))
          parents_[root(i)] = root(from->second);
  }

  const std::vector<RowNode>& nodes() const { return nodes_; }

  // With a matmul and something else, in the order of their first nodes.
  std::vector<std::vector<const RowNode*>> blocks() {
    std::map<size_t, std::vector<const RowNode*>> by_root;
    std::vector<size_t> order;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      auto& group = by_root[root(i)];
      if (group.empty()) order.push_back(root(i));
      group.push_back(&nodes_[i]);
    }
    std::vector<std::vector<const RowNode*>> blocks;
    for (const size_t i : order) {
      const auto& group = by_root[i];
      const bool multiplies = std::any_of(group.begin(), group.end(),
                                          [](const RowNode* node) { return node->kind == RowStepKind::kMatMul; });
      if (multiplies && group.size() > 1) blocks.push_back(group);
    }
    return blocks;
  }

 private:
  size_t depth(const ov::Node* node) const { return depths_.at(node); }
  size_t depth_of(size_t i) const { return depth(nodes_[i].node.get()); }
  size_t root(size_t i) {
    while (parents_[i] != i) i = parents_[i] = parents_[parents_[i]];
    return i;
  }
  bool is_row_node(const NodeOutput& output) const { return index_.contains(output.get_node()); }

  // A sum of two tensors from elsewhere (embeddings of tokens and positions) is not ours, and a split only where rows
  // go on: others read its outputs where they are.
  bool belongs(const RowNode& found) const {
    if (takes_two_values(found.kind)) return is_row_node(found.inputs[0]) || is_row_node(found.inputs[1]);
    if (found.kind != RowStepKind::kSlice) return true;
    for (const NodeOutput& output : found.node->outputs())
      for (const ov::Input<ov::Node>& reader : output.get_target_inputs())
        if (!emission::row_node(reader.get_node()->shared_from_this())) return false;
    return is_row_node(found.inputs[0]);
  }

  bool is_kept(const RowNode& found) const {
    return kept_.contains(found.node->get_friendly_name()) ||
           std::any_of(found.inner.begin(), found.inner.end(),
                       [&](const auto& node) { return kept_.contains(node->get_friendly_name()); });
  }

  void add(const std::shared_ptr<ov::Node>& node) {
    std::optional<RowNode> found = emission::row_node(node);
    if (found && (!belongs(*found) || is_kept(*found))) found.reset();
    size_t deepest = 0;
    for (const NodeOutput& input : found ? found->inputs : node->input_values())
      deepest = std::max(deepest, depth(input.get_node()) + (found && !is_row_node(input) ? 1 : 0));
    depths_[node.get()] = deepest;
    if (!found) return;
    index_[node.get()] = nodes_.size();
    nodes_.push_back(std::move(*found));
  }

  const std::set<std::string>& kept_;
  std::vector<RowNode> nodes_;
  std::unordered_map<const ov::Node*, size_t> index_;  // into nodes_
  std::unordered_map<const ov::Node*, size_t> depths_;
  std::vector<size_t> parents_;
};

// Shapes of what keeps them are read from where they come from, so that a norm need not be computed, nor leave its
// block, for its shape alone.
void move_shape_readers(const std::vector<RowNode>& nodes) {
  for (size_t i = nodes.size(); i-- > 0;) {
    if (!keeps_shape(nodes[i])) continue;
    for (ov::Input<ov::Node> reader : nodes[i].node->output(0).get_target_inputs())
      if (ov::is_type<op::ShapeOf>(reader.get_node()) || ov::is_type<ov::op::v0::ShapeOf>(reader.get_node()))
        reader.replace_source_output(nodes[i].inputs[0]);
  }
}

// Outputs of nodes that are in blocks now.
using Replaced = std::map<NodeOutput, NodeOutput>;

class BlockMaker {
 public:
  BlockMaker(const std::vector<const RowNode*>& group, Replaced& replaced) : group_(group), replaced_(replaced) {
    for (const RowNode* node : group) inside_.insert(node->node.get());
    absorb_norms();
  }

  // Null where nobody reads anything of it.
  std::shared_ptr<ops::PackedBlock> make() {
    find_inputs();
    for (const RowNode* node : group_) add(*node);
    if (block_.outputs.empty()) return nullptr;
    const std::vector<uint8_t> bytes = write_row_block(block_);
    const auto constant = std::make_shared<op::Constant>(ov::element::u8, ov::Shape{bytes.size()}, bytes.data());
    constant->set_friendly_name(name() + "/block");
    const auto made = std::make_shared<ops::PackedBlock>(inputs_, constant);
    made->set_friendly_name(name());
    for (size_t i = 0; i < outputs_.size(); ++i) {
      NodeOutput old = outputs_[i];
      made->output(i).set_names(old.get_names());
      old.set_names({});
      old.replace(made->output(i));
      replaced_[old] = made->output(i);
    }
    return made;
  }

 private:
  // What only norms of the block read.
  void absorb_norms() {
    for (bool more = true; more;) {
      more = false;
      for (const RowNode* node : group_)
        for (const auto& inner : node->inner)
          if (!inside_.contains(inner.get()) && !is_read_outside(inner->output(0)))
            more = inside_.insert(inner.get()).second;
    }
  }

  bool is_read_outside(const NodeOutput& output) const {
    const auto readers = output.get_target_inputs();
    return std::any_of(readers.begin(), readers.end(),
                       [&](const ov::Input<ov::Node>& reader) { return !inside_.contains(reader.get_node()); });
  }

  void find_inputs() {
    std::unordered_set<const ov::Node*> own;
    for (const RowNode* node : group_) own.insert(node->node.get());
    for (const RowNode* node : group_)
      for (const NodeOutput& input : node->inputs) {
        if (own.contains(input.get_node()) || values_.contains(input)) continue;
        values_[input] = static_cast<uint32_t>(inputs_.size());
        const auto block = replaced_.find(input);
        inputs_.push_back(block == replaced_.end() ? input : block->second);
        block_.input_widths.push_back(static_cast<uint64_t>(node->width));
      }
  }

  static uint64_t width_of(const NodeOutput& output) {
    const ov::PartialShape& shape = output.get_partial_shape();
    return static_cast<uint64_t>(shape[shape.size() - 1].get_length());
  }

  void add(const RowNode& node) {
    RowStep step{node.kind, values_.at(node.inputs[0]), 0, 0, node.epsilon, static_cast<uint64_t>(node.block), 0};
    if (takes_two_values(node.kind)) step.b = values_.at(node.inputs[1]);
    if (!node.vector.empty()) {
      step.constant = static_cast<uint32_t>(block_.vectors.size());
      block_.vectors.push_back(node.vector);
    }
    for (size_t part = 0; part < node.node->get_output_size(); ++part) {
      const NodeOutput output = node.node->output(part);
      step.width = width_of(output);
      if (node.kind == RowStepKind::kMatMul) {
        step.constant = static_cast<uint32_t>(block_.matrices.size());
        add_matrix(*node.node, part);
      }
      values_[output] = static_cast<uint32_t>(block_.value_count());
      block_.steps.push_back(step);
      if (node.kind == RowStepKind::kSlice) step.begin += step.width;
      if (!is_read_outside(output)) continue;
      block_.outputs.push_back(values_[output]);
      outputs_.push_back(output);
    }
  }

  void add_matrix(const ov::Node& packed, size_t part) {
    const auto blob = ov::as_type_ptr<op::Constant>(packed.get_input_node_shared_ptr(1 + 2 * part));
    const auto bias = ov::as_type_ptr<op::Constant>(packed.get_input_node_shared_ptr(2 + 2 * part));
    RowBlock::Matrix matrix;
    matrix.name = blob->get_friendly_name();
    if (const std::string suffix = "/weights"; matrix.name.ends_with(suffix))
      matrix.name.resize(matrix.name.size() - suffix.size());
    matrix.blob = {static_cast<const uint8_t*>(blob->get_data_ptr()), blob->get_byte_size()};
    matrix.bias = bias->cast_vector<float>();
    block_.matrices.push_back(std::move(matrix));
  }

  // Of its first and last layer.
  std::string name() const {
    const std::string first = block_.matrices.front().name, last = block_.matrices.back().name;
    return block_.matrices.size() == 1 ? first + "/rows" : first + "..." + last;
  }

  const std::vector<const RowNode*>& group_;
  Replaced& replaced_;
  std::unordered_set<const ov::Node*> inside_;
  std::map<NodeOutput, uint32_t> values_;
  ov::OutputVector inputs_, outputs_;
  RowBlock block_;
};

}  // namespace

size_t join_packed(const std::shared_ptr<ov::Model>& model, const std::set<std::string>& kept) {
  move_shape_readers(Groups(*model, kept).nodes());
  Groups groups(*model, kept);
  Replaced replaced;
  size_t made = 0;
  for (const auto& group : groups.blocks()) made += BlockMaker(group, replaced).make() != nullptr;
  return made;
}

}  // namespace dnateq
