// Networks with state, such as language models with a cache of keys and values: taken apart into what they compute
// right after a reset, which samples can be run through call by call, and what makes them stateful again.
//
// A variable is read by ReadValue, which gives its initial value after a reset, and written by Assign. A cache is empty
// then, so that what is joined to it (Concat) is all there is.
#pragma once

#include <memory>
#include <openvino/openvino.hpp>
#include <string>
#include <utility>
#include <vector>

namespace dnateq {

// An output or input of a node, by the node's friendly name, which is unique in the network.
struct Place {
  std::string node;
  size_t port = 0;
};

// Inputs that read `stateful` where there is state: what that is made of lies in NetworkState.
struct StateReader {
  ov::Output<ov::Node> stateful;
  std::vector<Place> inputs;
};

struct NetworkState {
  ov::op::util::VariableVector variables;
  // Copies of what only the state needs, ended by Parameters where they read from the rest of the network.
  ov::SinkVector sinks;
  std::vector<StateReader> readers;
  std::vector<std::pair<std::shared_ptr<ov::Node>, Place>> ends;  // such a Parameter, and what it stands for

  bool empty() const { return variables.empty(); }
};

// Takes ReadValue and Assign out. Nodes may get another friendly name, so that these are unique. Throws Error where a
// variable has no initial value in the graph or is not read once and written once; `file` is for the message.
NetworkState remove_state(const std::shared_ptr<ov::Model>& model, const std::string& file);

// Puts the state back into the network, or into a copy in which the nodes around the state kept their names. Throws
// Error where one of these is missing.
void restore_state(const std::shared_ptr<ov::Model>& model, const NetworkState& state);

}  // namespace dnateq
