// The user's samples as input tensors of one network.
#pragma once

#include <memory>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

// Names of the model's inputs, in their order, as samples are asked for them.
std::vector<std::string> input_names(const ov::Model& model);

// Samples matched to the network's inputs and stacked along a dynamic first axis where that is possible.
class Calls {
 public:
  // Throws Error where names, shapes or types do not fit. `first` and `count` select samples (calls of the source).
  Calls(const Samples& samples, const ov::Model& model, int64_t first = 0, int64_t count = -1);

  size_t size() const { return starts_.size() - 1; }
  int64_t samples() const { return starts_.back() - starts_.front(); }
  int64_t first_sample(size_t call) const { return starts_[call]; }  // index in the source
  int64_t sample_count(size_t call) const { return starts_[call + 1] - starts_[call]; }
  // Input tensors in the order of the model's inputs.
  std::vector<ov::Tensor> tensors(size_t call) const;

 private:
  struct Input {
    std::string name;
    ov::element::Type type;
    ov::PartialShape shape;
  };
  std::vector<ov::Tensor> sample(int64_t index) const;

  const Samples& samples_;
  std::vector<Input> inputs_;
  std::vector<size_t> source_at_;  // position of each input in the source's arrays
  std::vector<int64_t> starts_;
};

}  // namespace dnateq
