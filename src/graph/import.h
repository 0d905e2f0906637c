// Reading a network and finding what can be quantized in it.
//
// The prepared model is the FP32 network with constants folded, weights that are stored in fewer bits (float16, or 8-
// and 4-bit integers with scales) widened, batch norm folded into the layer before it, every quantizable layer's
// weights a single float32 Constant, and state taken out (graph/state.h). All later stages work on it.
#pragma once

#include <filesystem>
#include <memory>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "dnateq/recipe.h"
#include "graph/disk_constants.h"
#include "graph/layer.h"
#include "graph/state.h"

namespace dnateq {

struct PreparedModel {
  std::shared_ptr<ov::Model> model;
  std::vector<Layer> layers;  // in topological order
  std::vector<UnquantizedLayer> unquantized;
  std::string file;         // as given, for messages
  std::string fingerprint;  // hex digest of graph and constants
  int64_t parameters = 0;   // count_parameters() of the network as it was read, weights of integers decompressed
  NetworkState state;       // what restore_state() makes it stateful again with; empty: it was not
  std::vector<std::string> compressed_in;  // types of integers that weights were stored in, such as u4; sorted
};

struct ImportOptions {
  std::vector<std::string> only = {}, ignore = {};  // regular expressions on layer names; a match of `ignore` wins
  std::vector<std::string> untie = {};  // layers that keep weights of their own although another has the same
  // Left out as by `ignore`: whole names of layers, and types of operations as OpenVINO calls them.
  std::vector<std::string> ignore_names = {}, ignore_types = {};
  int64_t fewest_parameters_on_disk = kFewestParametersOnDisk;  // of networks whose weights are held there
  bool ignore_may_miss = false;  // else what names nothing of the network to leave out is an error
};

// The file as OpenVINO reads it. Throws Error for missing, truncated and non-model files. What the front ends'
// libraries print on standard error meanwhile is dropped. Refused, too, are models of ours for CPUs that this one is
// not.
std::shared_ptr<ov::Model> read_model(ov::Core& core, const std::filesystem::path& file);

// The same without its state (graph/state.h): what it computes right after a reset.
std::shared_ptr<ov::Model> read_stateless(ov::Core& core, const std::filesystem::path& file);

// Values of all floating-point constants of a network, those in bodies of loops and conditions too, whatever operation
// reads them: weights, biases, tables, factors. Constants that share their memory count once, copies each.
int64_t count_parameters(const ov::Model& model);

// Why a model of that target (rt_info dnateq/target_isa; TargetIsa) does not compute what it was made for here, as what
// follows its name in a sentence; empty: it does.
std::string refusal_of_target(const std::string& target_isa);

// Throws Error for what read_model() refuses, networks quantized by dnateq or with FakeQuantize, weights of 2 bits,
// state that cannot be taken out, non-finite weights and options that match nothing.
PreparedModel import_model(ov::Core& core, const std::filesystem::path& file, const ImportOptions& options = {});

}  // namespace dnateq
