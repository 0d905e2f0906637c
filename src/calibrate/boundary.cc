#include "calibrate/boundary.h"

#include <algorithm>

namespace dnateq {

std::optional<size_t> Boundary::find(const ov::Output<ov::Node>& output) const {
  const auto at = std::find(outputs.begin(), outputs.end(), output);
  if (at == outputs.end()) return {};
  return static_cast<size_t>(at - outputs.begin());
}

std::vector<ov::PartialShape> Boundary::shapes() const {
  std::vector<ov::PartialShape> all;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ov::Shape first = fp[0][i].shape();
    const bool same = std::all_of(fp.begin(), fp.end(), [&](const auto& call) { return call[i].shape() == first; });
    all.push_back(same ? ov::PartialShape(first) : outputs[i].get_partial_shape());
  }
  return all;
}

double Boundary::elements(size_t call) const {
  double sum = 0;
  for (const TensorStore::Kept& tensor : fp[call]) sum += static_cast<double>(tensor.elements());
  return std::max(sum, 1.0);
}

BoundarySlice::BoundarySlice(ov::Core& core, const Boundary& boundary, const KeptTensors& values, const Outputs& wanted,
                             const std::function<ov::Output<ov::Node>(const ov::Output<ov::Node>&)>& in_network,
                             int threads)
    : values_(values) {
  Outputs missing;
  for (const auto& output : wanted) {
    at_boundary_.push_back(boundary.find(output));
    if (!at_boundary_.back()) missing.push_back(in_network(output));
  }
  if (missing.empty()) return;
  Outputs cut;
  for (const auto& output : boundary.outputs) cut.push_back(in_network(output));
  graph_ = extract_subgraph(cut, boundary.shapes(), missing);
  runner_ = std::make_unique<Runner>(core, graph_.model, threads);
}

void BoundarySlice::run(size_t calls, size_t read, const Visit& visit) {
  if (!runner_) {
    for (size_t c = 0; c < calls; ++c) visit(c, collect(c, {}, read));
    return;
  }
  runner_->run(
      calls, [&](size_t c) { return feed(c); },
      [&](size_t c, const std::vector<ov::Tensor>& computed) { visit(c, collect(c, computed, read)); });
}

TensorStore::Kept BoundarySlice::keep(TensorStore& store, size_t call, size_t i,
                                      const std::vector<ov::Tensor>& tensors) const {
  return at_boundary_[i] ? values_[call][*at_boundary_[i]] : store.keep(tensors[i]);
}

std::vector<ov::Tensor> BoundarySlice::feed(size_t call) const {
  std::vector<ov::Tensor> inputs;
  for (const size_t i : graph_.inputs) inputs.push_back(values_[call][i].load());
  return inputs;
}

std::vector<ov::Tensor> BoundarySlice::collect(size_t call, const std::vector<ov::Tensor>& computed,
                                               size_t read) const {
  std::vector<ov::Tensor> all;
  size_t next = 0;
  for (size_t i = 0; i < at_boundary_.size(); ++i) {
    if (!at_boundary_[i])
      all.push_back(computed[next++]);
    else
      all.push_back(i < read ? values_[call][*at_boundary_[i]].load() : ov::Tensor());
  }
  return all;
}

}  // namespace dnateq
