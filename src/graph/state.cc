#include "graph/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <openvino/op/assign.hpp>
#include <openvino/op/read_value.hpp>
#include <openvino/opsets/opset13.hpp>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "dnateq/error.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using ov::op::util::ReadValueBase;
using NodeOutput = ov::Output<ov::Node>;

void make_names_unique(const ov::Model& model) {
  std::unordered_map<std::string, size_t> count;
  for (const auto& node : model.get_ops()) ++count[node->get_friendly_name()];
  std::unordered_set<std::string> seen;
  for (const auto& node : model.get_ordered_ops()) {
    std::string name = node->get_friendly_name();
    for (size_t i = 1; !seen.insert(name).second; ++i) {
      do {
        name = fmt::format("{}/{}", node->get_friendly_name(), i++);
      } while (count.contains(name));
    }
    node->set_friendly_name(name);
  }
}

bool is_empty_along(const NodeOutput& output, int64_t axis) {
  const ov::PartialShape& shape = output.get_partial_shape();
  if (shape.rank().is_dynamic()) return false;
  const int64_t rank = shape.rank().get_length();
  const ov::Dimension& size = shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
  return size.is_static() && size.get_length() == 0;
}

// A Concat to which an empty cache, reordered by beams or not, gives nothing, and what it is joined to.
struct Joined {
  NodeOutput concat, other;
};
std::optional<Joined> joins_nothing(const ov::Input<ov::Node>& reader, const NodeOutput& initial) {
  if (ov::is_type<ov::op::util::GatherBase>(reader.get_node()) && reader.get_index() == 0) {
    const auto readers = reader.get_node()->output(0).get_target_inputs();
    if (readers.size() != 1) return {};
    return joins_nothing(*readers.begin(), initial);
  }
  const auto concat = ov::as_type<op::Concat>(reader.get_node());
  if (!concat || concat->get_input_size() != 2 || !is_empty_along(initial, concat->get_axis())) return {};
  return Joined{concat->output(0), concat->input_value(1 - reader.get_index())};
}

using Variables = std::map<std::string, std::shared_ptr<ov::op::util::Variable>>;

// A copy of a node; those that read and write state do so to `variables`.
std::shared_ptr<ov::Node> copied_with(const Variables& variables, const ov::Node& node,
                                      const ov::OutputVector& inputs) {
  if (const auto* read = dynamic_cast<const ReadValueBase*>(&node))
    return std::make_shared<ov::op::v6::ReadValue>(inputs.at(0), variables.at(read->get_variable_id()));
  if (const auto* assign = dynamic_cast<const ov::op::util::AssignBase*>(&node))
    return std::make_shared<ov::op::v6::Assign>(inputs.at(0), variables.at(assign->get_variable_id()));
  return node.clone_with_new_inputs(inputs);
}

// The output of a copy, made by `copy` of all nodes before it that are not in `made` yet.
template <typename CopyNode>
NodeOutput copied(const NodeOutput& output, std::map<NodeOutput, NodeOutput>& made, const CopyNode& copy) {
  std::vector<NodeOutput> stack = {output};
  while (!stack.empty()) {
    const NodeOutput top = stack.back();
    ov::OutputVector inputs;
    const size_t before = stack.size();
    if (!made.contains(top))
      for (const auto& input : top.get_node()->input_values()) {
        const auto at = made.find(input);
        if (at == made.end())
          stack.push_back(input);
        else
          inputs.push_back(at->second);
      }
    if (stack.size() > before) continue;
    stack.pop_back();
    if (made.contains(top)) continue;
    const std::shared_ptr<ov::Node> node = copy(*top.get_node(), inputs);
    node->set_friendly_name(top.get_node()->get_friendly_name());
    for (size_t i = 0; i < node->get_output_size(); ++i) made.emplace(top.get_node()->output(i), node->output(i));
  }
  return made.at(output);
}

// What the state alone needs becomes a copy, so that nothing outside of the network reads it.
void detach(NetworkState& state, const ov::Model& model) {
  std::map<NodeOutput, NodeOutput> made;
  std::unordered_set<const ov::Node*> live;
  for (const auto& node : model.get_ops()) live.insert(node.get());
  for (const auto& node : model.get_ops()) {
    if (ov::is_type<op::Constant>(node)) continue;
    for (const auto& output : node->outputs()) {
      const auto inputs = output.get_target_inputs();
      const bool leaves = std::any_of(inputs.begin(), inputs.end(),
                                      [&](const auto& input) { return !live.contains(input.get_node()); });
      if (!leaves) continue;
      const auto end = std::make_shared<op::Parameter>(output.get_element_type(), output.get_partial_shape());
      made.emplace(output, end->output(0));
      state.ends.emplace_back(end, Place{node->get_friendly_name(), output.get_index()});
    }
  }
  // Behind a Parameter less is known of shapes than in the network, and a variable of a known one would be refused.
  Variables loose;
  for (const auto& variable : state.variables) {
    ov::op::util::VariableInfo info = variable->get_info();
    info.data_shape = ov::PartialShape::dynamic(info.data_shape.rank());
    loose[info.variable_id] = std::make_shared<ov::op::util::Variable>(info);
  }
  const auto copy = [&](const ov::Node& node, const ov::OutputVector& inputs) {
    return copied_with(loose, node, inputs);
  };
  for (StateReader& reader : state.readers) reader.stateful = copied(reader.stateful, made, copy);
  ov::SinkVector sinks;
  for (const auto& sink : state.sinks) {
    sinks.push_back(ov::as_type_ptr<ov::op::Sink>(copy(*sink, {copied(sink->input_value(0), made, copy)})));
    sinks.back()->set_friendly_name(sink->get_friendly_name());
  }
  state.sinks = std::move(sinks);
}

}  // namespace

NetworkState remove_state(const std::shared_ptr<ov::Model>& model, const std::string& file) {
  NetworkState state;
  if (model->get_variables().empty() && model->get_sinks().empty()) return state;
  make_names_unique(*model);
  std::map<std::string, std::vector<std::shared_ptr<ReadValueBase>>> reads;
  for (const auto& node : model->get_ops())
    if (const auto read = std::dynamic_pointer_cast<ReadValueBase>(node))
      reads[read->get_variable_id()].push_back(read);
  std::set<std::string> written;
  for (const auto& sink : model->get_sinks()) {
    const auto assign = std::dynamic_pointer_cast<ov::op::util::AssignBase>(sink);
    if (!assign || !written.insert(assign->get_variable_id()).second)
      throw Error(fmt::format("'{}' writes to its state in a way that is not understood ('{}'); export it again", file,
                              sink->get_friendly_name()));
  }
  state.variables = model->get_variables();
  state.sinks = model->get_sinks();
  for (const auto& variable : state.variables) {
    const std::string id = variable->get_info().variable_id;
    const auto read = reads.find(id);
    if (read == reads.end() || read->second.size() != 1 || !written.contains(id))
      throw Error(
          fmt::format("the state '{}' of '{}' is not read once and written once; export the network again", id, file));
    const auto reader = read->second.front();
    if (reader->get_input_size() == 0)
      throw Error(
          fmt::format("the state '{}' of '{}' has no initial value in the graph; export the network again, or "
                      "without state (explicit past and present inputs and outputs)",
                      id, file));
    const NodeOutput initial = reader->input_value(0);
    const auto give_up = [&](const NodeOutput& stateful, const auto& inputs, const NodeOutput& now) {
      StateReader readers{stateful, {}};
      for (ov::Input<ov::Node> input : inputs) {
        if (ov::is_type<ov::op::Sink>(input.get_node())) continue;
        readers.inputs.push_back({input.get_node()->get_friendly_name(), input.get_index()});
        input.replace_source_output(now);
      }
      state.readers.push_back(std::move(readers));
    };
    std::vector<ov::Input<ov::Node>> others;
    for (const ov::Input<ov::Node>& input : reader->output(0).get_target_inputs()) {
      if (const auto joined = joins_nothing(input, initial))
        give_up(joined->concat, joined->concat.get_target_inputs(), joined->other);
      else
        others.push_back(input);
    }
    if (!others.empty()) give_up(reader->output(0), others, initial);
  }
  for (const auto& sink : state.sinks) model->remove_sink(sink);
  for (const auto& variable : state.variables) model->remove_variable(variable);
  detach(state, *model);
  model->validate_nodes_and_infer_types();
  return state;
}

void restore_state(const std::shared_ptr<ov::Model>& model, const NetworkState& state) {
  if (state.empty()) return;
  std::unordered_map<std::string, std::shared_ptr<ov::Node>> nodes;
  for (const auto& node : model->get_ops()) nodes.emplace(node->get_friendly_name(), node);
  const auto find = [&](const std::string& name) {
    const auto at = nodes.find(name);
    if (at == nodes.end())
      throw Error(fmt::format("the operation '{}', which the network's state hangs on, is no longer in it", name));
    return at->second;
  };
  Variables variables;
  for (const auto& variable : state.variables) {
    variables[variable->get_info().variable_id] = std::make_shared<ov::op::util::Variable>(variable->get_info());
    model->add_variables({variables[variable->get_info().variable_id]});
  }
  std::map<NodeOutput, NodeOutput> made;
  for (const auto& [end, place] : state.ends) made.emplace(end->output(0), find(place.node)->output(place.port));
  const auto copy = [&](const ov::Node& node, const ov::OutputVector& inputs) {
    return copied_with(variables, node, inputs);
  };
  std::vector<std::pair<ov::Input<ov::Node>, NodeOutput>> changes;
  for (const StateReader& reader : state.readers) {
    const NodeOutput stateful = copied(reader.stateful, made, copy);
    for (const Place& place : reader.inputs) changes.emplace_back(find(place.node)->input(place.port), stateful);
  }
  ov::SinkVector sinks;
  for (const auto& sink : state.sinks) {
    const auto made_again = copy(*sink, {copied(sink->input_value(0), made, copy)});
    made_again->set_friendly_name(sink->get_friendly_name());
    sinks.push_back(ov::as_type_ptr<ov::op::Sink>(made_again));
  }
  for (auto& [input, output] : changes) input.replace_source_output(output);
  model->add_sinks(sinks);
  model->validate_nodes_and_infer_types();
}

}  // namespace dnateq
