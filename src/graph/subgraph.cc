#include "graph/subgraph.h"

#include <openvino/op/constant.hpp>
#include <openvino/op/parameter.hpp>
#include <openvino/op/result.hpp>

#include "dnateq/error.h"

namespace dnateq {

Subgraph extract_subgraph(const Outputs& cut, const std::vector<ov::PartialShape>& shapes, const Outputs& wanted) {
  Subgraph result;
  std::map<ov::Output<ov::Node>, ov::Output<ov::Node>> copies;
  ov::ParameterVector parameters;
  std::map<ov::Output<ov::Node>, size_t> cut_index;
  for (size_t i = 0; i < cut.size(); ++i) cut_index.emplace(cut[i], i);

  const auto as_parameter = [&](const ov::Output<ov::Node>& output, size_t index) {
    const auto parameter = std::make_shared<ov::op::v0::Parameter>(output.get_element_type(), shapes[index]);
    parameter->set_friendly_name("cut_" + std::to_string(index));
    parameters.push_back(parameter);
    result.inputs.push_back(index);
    copies[output] = parameter->output(0);
  };

  std::vector<ov::Output<ov::Node>> stack(wanted.begin(), wanted.end());
  while (!stack.empty()) {
    const ov::Output<ov::Node> output = stack.back();
    if (copies.contains(output)) {
      stack.pop_back();
      continue;
    }
    if (const auto at = cut_index.find(output); at != cut_index.end()) {
      as_parameter(output, at->second);
      stack.pop_back();
      continue;
    }
    const std::shared_ptr<ov::Node> node = output.get_node_shared_ptr();
    if (ov::is_type<ov::op::v0::Constant>(node)) {
      copies[output] = output;
      stack.pop_back();
      continue;
    }
    if (ov::is_type<ov::op::v0::Parameter>(node))
      throw Error("internal: part of the graph depends on a model input that the cut does not hold");
    bool ready = true;
    for (const auto& input : node->input_values())
      if (!copies.contains(input)) {
        stack.push_back(input);
        ready = false;
      }
    if (!ready) continue;
    ov::OutputVector inputs;
    for (const auto& input : node->input_values()) inputs.push_back(copies.at(input));
    const std::shared_ptr<ov::Node> copy = node->clone_with_new_inputs(inputs);
    copy->set_friendly_name(node->get_friendly_name());
    copy->get_rt_info() = node->get_rt_info();
    for (size_t i = 0; i < node->get_output_size(); ++i) copies.emplace(node->output(i), copy->output(i));
    stack.pop_back();
  }
  ov::ResultVector results;
  for (const auto& output : wanted) results.push_back(std::make_shared<ov::op::v0::Result>(copies.at(output)));
  result.model = std::make_shared<ov::Model>(results, parameters, "part");
  return result;
}

ModelCopy copy_model(const std::shared_ptr<ov::Model>& model) {
  // Names need not be unique, so the two graphs are walked side by side from results and sinks, which clone keeps in
  // order.
  ModelCopy copy;
  copy.model = model->clone();
  std::vector<std::pair<std::shared_ptr<ov::Node>, std::shared_ptr<ov::Node>>> stack;
  const auto push_all = [&](const auto& originals, const auto& copies) {
    for (size_t i = 0; i < originals.size(); ++i) stack.emplace_back(originals[i], copies[i]);
  };
  push_all(model->get_results(), copy.model->get_results());
  push_all(model->get_sinks(), copy.model->get_sinks());
  push_all(model->get_parameters(), copy.model->get_parameters());
  while (!stack.empty()) {
    const auto [original, twin] = stack.back();
    stack.pop_back();
    if (!copy.copy_of.emplace(original.get(), twin).second) continue;
    for (size_t i = 0; i < original->get_input_size(); ++i)
      stack.emplace_back(original->get_input_node_shared_ptr(i), twin->get_input_node_shared_ptr(i));
  }
  return copy;
}

}  // namespace dnateq
