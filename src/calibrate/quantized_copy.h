// The network as quantized so far: a copy of the FP32 one that rounds its activations by their codes, and that takes
// over one solved layer after another.
#pragma once

#include <map>
#include <memory>
#include <openvino/openvino.hpp>
#include <vector>

#include "dnateq/code.h"
#include "graph/import.h"
#include "graph/subgraph.h"
#include "search/solve.h"

namespace dnateq {

class QuantizedCopy {
 public:
  // `prepared` must outlive the copy.
  explicit QuantizedCopy(const PreparedModel& prepared);

  // From here on the tensor that enters the layer is rounded. All layers that read it must have the same code.
  void round_activations(size_t layer, const TensorCode& code);
  // What rounds the layer's activations; null where nothing does.
  const Encoder* encoder(size_t layer) const { return encoders_[layer].get(); }
  // The layer has these weights from here on, and its bias is added.
  void install(size_t layer, const LayerSolution& solution);
  // Where an output of the FP32 graph is here, with what install() adds.
  ov::Output<ov::Node> twin(const ov::Output<ov::Node>& output) const;

 private:
  const PreparedModel& prepared_;
  ModelCopy copy_;
  std::map<ov::Output<ov::Node>, std::shared_ptr<ov::Node>> taps_;  // by the tensor before rounding
  std::vector<std::shared_ptr<const Encoder>> encoders_;            // of the tensor entering each layer
  std::map<ov::Output<ov::Node>, ov::Output<ov::Node>> corrected_;  // layer outputs -> their bias additions
};

}  // namespace dnateq
