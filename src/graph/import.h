// Reading a network and finding what can be quantized in it.
//
// The prepared model is the FP32 network with constants folded, FP16-stored weights widened, batch norm folded into the
// layer before it and every quantizable layer's weights a single float32 Constant. All later stages work on it.
#pragma once

#include <filesystem>
#include <memory>
#include <openvino/op/constant.hpp>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "core/pair_sums.h"
#include "dnateq/recipe.h"

namespace dnateq {

enum class LayerKind { kConvolution, kGroupConvolution, kMatMul, kEmbedding };

// One quantizable layer. Weights are seen as a matrix: `rows` output channels by `columns` inputs per channel,
// row-major (Convolution: [O][I*kh*kw]; GroupConvolution: [G*O/G][I/G*kh*kw]; MatMul: [N][K]; embedding:
// [vocabulary][width]).
struct Layer {
  std::string name;
  LayerKind kind = LayerKind::kConvolution;
  std::shared_ptr<ov::Node> node;
  size_t weight_port = 1;
  size_t activation_port = 0;       // meaningless for embeddings
  bool weights_transposed = false;  // the Constant holds [columns][rows] (MatMul without transpose_b)
  int64_t rows = 0, columns = 0, groups = 1;
  int shares_weights_with = -1;  // index of an earlier layer whose Constant holds the same values
  bool had_own_copy = false;     // shared now, but the file held these weights a second time
  bool centered = false;         // its input has lost its channel means, its output has got them back (center.h)

  std::shared_ptr<ov::op::v0::Constant> weights() const;
  std::vector<float> weight_matrix() const;  // rows x columns
  // Columns of a row whose products OpenVINO's 8-bit kernels may add in 16 bits (core/pair_sums.h); none for
  // embeddings and depthwise convolutions.
  std::vector<ColumnPair> added_pairs() const;
  // Of one value per output channel, to be added to the layer's output: broadcasts from the last axis on.
  ov::Shape bias_shape() const;
  // The Constant's layout again, from a rows x columns matrix.
  template <typename T>
  std::vector<T> to_model_layout(const std::vector<T>& matrix) const;
};

struct PreparedModel {
  std::shared_ptr<ov::Model> model;
  std::vector<Layer> layers;  // in topological order
  std::vector<UnquantizedLayer> unquantized;
  std::string file;         // as given, for messages
  std::string fingerprint;  // hex digest of graph and constants
  int64_t parameters = 0;   // count_parameters() of the network as it was read
};

struct ImportOptions {
  std::vector<std::string> only = {}, ignore = {};  // regular expressions on layer names; a match of `ignore` wins
  std::vector<std::string> untie = {};  // layers that keep weights of their own although another has the same
  // Left out as by `ignore`: whole names of layers, and types of operations as OpenVINO calls them.
  std::vector<std::string> ignore_names = {}, ignore_types = {};
  bool ignore_may_miss = false;  // else what names nothing of the network to leave out is an error
};

// The file as OpenVINO reads it. Throws Error for missing, truncated and non-model files. What the front ends'
// libraries print on standard error meanwhile is dropped. Refused, too, are models of ours for CPUs that this one is
// not.
std::shared_ptr<ov::Model> read_model(ov::Core& core, const std::filesystem::path& file);

// Values of all floating-point constants of a network, those in bodies of loops and conditions too, whatever operation
// reads them: weights, biases, tables, factors. Constants that share their memory count once, copies each.
int64_t count_parameters(const ov::Model& model);

// Why a model of that target (rt_info dnateq/target_isa; TargetIsa) does not compute what it was made for here, as what
// follows its name in a sentence; empty: it does.
std::string refusal_of_target(const std::string& target_isa);

// Throws Error for what read_model() refuses, compressed or stateful models, non-finite weights
// and options that match nothing.
PreparedModel import_model(ov::Core& core, const std::filesystem::path& file, const ImportOptions& options = {});

template <typename T>
std::vector<T> Layer::to_model_layout(const std::vector<T>& matrix) const {
  if (!weights_transposed) return matrix;
  std::vector<T> out(matrix.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c * rows + r)] = matrix[static_cast<size_t>(r * columns + c)];
  return out;
}

}  // namespace dnateq
