// The user's samples as input tensors of one network.
#pragma once

#include <cstdint>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

// Names of the model's inputs, in their order, as samples are asked for them.
std::vector<std::string> input_names(const ov::Model& model);

// For each of the model's inputs, which of the arrays of a call belongs to it. Throws Error where one is missing.
std::vector<size_t> match_inputs(const Samples& samples, const ov::Model& model);

// Calls of the source, matched to the network's inputs and, where both allow it, stacked along the first axis.
class Calls {
 public:
  // Throws Error where names, shapes or types do not fit, or there is no call. The first form takes all calls in their
  // order, the second those of `chosen`, in that order; those of equal place in it are stacked at any thread count.
  Calls(const Samples& samples, const ov::Model& model);
  Calls(const Samples& samples, const ov::Model& model, std::vector<int64_t> chosen);

  size_t size() const { return starts_.size() - 1; }
  int64_t samples() const;
  int64_t sample_count(size_t call) const;
  // Input tensors in the order of the model's inputs.
  std::vector<ov::Tensor> tensors(size_t call) const;
  const Samples& source() const { return samples_; }
  const std::vector<int64_t>& chosen() const { return chosen_; }  // calls of the source
  // Tells two choices of the source's calls apart.
  uint64_t digest() const;

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
  std::vector<int64_t> chosen_;
  std::vector<size_t> starts_;  // positions in `chosen_`
};

}  // namespace dnateq
