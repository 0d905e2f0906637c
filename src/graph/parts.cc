#include "graph/parts.h"

#include <algorithm>
#include <limits>
#include <openvino/op/constant.hpp>
#include <openvino/op/parameter.hpp>
#include <openvino/op/result.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "graph/runner.h"

namespace dnateq {
namespace {

using ov::op::v0::Constant;

constexpr size_t kMemoryBytes = size_t{64} << 20;  // of what waits for the next part; the rest lies on disk
// A part rather grows beyond its bytes than pass on so many times what others do: pieces of a vocabulary.
constexpr size_t kWidest = 3;

// Nodes that depend on an input of the network.
std::unordered_set<const ov::Node*> varying(const ov::NodeVector& order) {
  std::unordered_set<const ov::Node*> found;
  for (const auto& node : order) {
    bool varies = ov::is_type<ov::op::v0::Parameter>(node);
    for (const auto& input : node->input_values()) varies = varies || found.contains(input.get_node());
    if (varies) found.insert(node.get());
  }
  return found;
}

// Bytes of constants that each node is the first to need, itself or by what it reads of constants alone.
std::vector<size_t> first_needed_bytes(const ov::NodeVector& order) {
  const auto varies = varying(order);
  std::unordered_set<const ov::Node*> counted;
  std::vector<size_t> bytes(order.size(), 0);
  for (size_t p = 0; p < order.size(); ++p) {
    if (!varies.contains(order[p].get())) continue;
    std::vector<ov::Node*> stack = {order[p].get()};
    while (!stack.empty()) {
      const ov::Node* node = stack.back();
      stack.pop_back();
      for (const auto& input : node->input_values()) {
        if (varies.contains(input.get_node()) || !counted.insert(input.get_node()).second) continue;
        if (const auto* constant = ov::as_type<const Constant>(input.get_node())) bytes[p] += constant->get_byte_size();
        stack.push_back(input.get_node());
      }
    }
  }
  return bytes;
}

// How much of a token the outputs of nodes up to each place have that are read behind it: the values of their last
// axis.
std::vector<size_t> passed_on(const ov::NodeVector& order) {
  std::unordered_map<const ov::Node*, size_t> place;
  for (size_t p = 0; p < order.size(); ++p) place[order[p].get()] = p;
  std::vector<size_t> begin(order.size(), 0), end(order.size(), 0), width(order.size(), 0);
  const auto varies = varying(order);
  for (size_t p = 0; p < order.size(); ++p) {
    if (!varies.contains(order[p].get())) continue;
    for (const auto& output : order[p]->outputs()) {
      size_t last = p;
      for (const auto& reader : output.get_target_inputs())  // results are passed on wherever it is cut
        if (const auto at = place.find(reader.get_node());
            at != place.end() && !ov::is_type<ov::op::v0::Result>(reader.get_node()))
          last = std::max(last, at->second);
      const ov::PartialShape& shape = output.get_partial_shape();
      const bool known = shape.rank().is_static() && shape.size() > 0 && shape[shape.size() - 1].is_static();
      const size_t values = known ? static_cast<size_t>(shape[shape.size() - 1].get_length()) : 1;
      begin[p] += values;
      end[last] += values;
    }
  }
  size_t open = 0;
  for (size_t p = 0; p < order.size(); ++p) {
    open += begin[p];
    open -= end[p];
    width[p] = open;
  }
  return width;
}

}  // namespace

size_t constant_bytes(const ov::Model& model) {
  size_t bytes = 0;
  for (const size_t own : first_needed_bytes(model.get_ordered_ops())) bytes += own;
  return bytes;
}

PartPlan plan_parts(const ov::Model& model, size_t part_bytes) {
  PartPlan plan{model.get_ordered_ops(), {}};
  std::stable_partition(plan.order.begin(), plan.order.end(),
                        [](const auto& node) { return !ov::is_type<ov::op::v0::Result>(node); });
  const std::vector<size_t> bytes = first_needed_bytes(plan.order), passed = passed_on(plan.order);
  const size_t last = plan.order.size() - 1;
  size_t own = 0, best = last, best_own = 0;  // of the part under way; where it ends best, and what it has there
  size_t narrowest = std::numeric_limits<size_t>::max();
  for (size_t p = 0; p < last; ++p) {
    if (own + bytes[p] > part_bytes && best != last) {
      plan.ends.push_back(best);
      own -= best_own;
      best = last;
    }
    own += bytes[p];
    if (2 * own < part_bytes) continue;
    narrowest = std::min(narrowest, passed[p]);
    if (passed[p] > kWidest * narrowest || (best != last && passed[p] > passed[best])) continue;
    best = p;
    best_own = own;
  }
  if (best != last && own + bytes[last] > part_bytes) plan.ends.push_back(best);
  plan.ends.push_back(last);
  return plan;
}

Outputs read_behind(const PartPlan& plan, size_t place) {
  const auto varies = varying(plan.order);
  std::unordered_set<const ov::Node*> behind;
  for (size_t p = place + 1; p < plan.order.size(); ++p) behind.insert(plan.order[p].get());
  Outputs outputs;
  for (size_t p = 0; p <= place; ++p) {
    if (!varies.contains(plan.order[p].get())) continue;
    for (const auto& output : plan.order[p]->outputs()) {
      const auto readers = output.get_target_inputs();
      if (std::any_of(readers.begin(), readers.end(), [&](const auto& r) { return behind.contains(r.get_node()); }))
        outputs.push_back(output);
    }
  }
  return outputs;
}

PartedRun::PartedRun(ov::Core& core, const ov::Model& model, const Calls& calls, size_t count, const Outputs& wanted,
                     int threads, const Sink& early, size_t part_bytes)
    : calls_(calls), count_(count), store_(kMemoryBytes) {
  Outputs parameters;
  std::vector<ov::PartialShape> shapes;
  for (const auto& parameter : model.get_parameters()) {
    parameters.push_back(parameter->output(0));
    shapes.push_back(parameter->get_partial_shape());
  }
  whole_ = extract_subgraph(parameters, shapes, wanted);
  part_ = whole_;
  kept_.resize(count);
  for (size_t i = 0; i < wanted.size(); ++i) results_.push_back(i);
  if (constant_bytes(*whole_.model) > part_bytes)
    run_parts(core, plan_parts(*whole_.model, part_bytes), threads, early);
}

std::vector<ov::Tensor> PartedRun::inputs_of(size_t call) const {
  const std::vector<ov::Tensor> given = calls_.tensors(call);
  std::vector<ov::Tensor> inputs;
  for (const size_t i : part_.inputs)
    inputs.push_back(boundary_.empty()          ? given[i]
                     : i < whole_.inputs.size() ? given[whole_.inputs[i]]
                                                : kept_[call][i - whole_.inputs.size()].load());
  return inputs;
}

// The boundary begins with the whole's inputs, which need not be kept.
void PartedRun::run_parts(ov::Core& core, PartPlan plan, int threads, const Sink& early) {
  const size_t first = whole_.inputs.size();
  for (const auto& parameter : whole_.model->get_parameters()) boundary_.push_back(parameter->output(0));
  const auto shapes = [&] {
    std::vector<ov::PartialShape> all;
    for (size_t i = 0; i < boundary_.size(); ++i) {
      bool same = i >= first;
      for (size_t c = 0; same && c < count_; ++c) same = kept_[c][i - first].shape() == kept_[0][i - first].shape();
      all.push_back(same ? ov::PartialShape(kept_[0][i - first].shape()) : boundary_[i].get_partial_shape());
    }
    return all;
  };
  Outputs wanted;
  for (const auto& result : whole_.model->get_results()) wanted.push_back(result->input_value(0));
  if (early) plan.order.resize(plan.order.size() - wanted.size());  // so that nothing waits for the results
  std::unordered_set<const ov::Node*> done;
  for (size_t part = 0, p = 0; part < plan.ends.size(); ++part) {
    const bool is_last = part + 1 == plan.ends.size();
    for (; p < plan.order.size() && p <= plan.ends[part]; ++p) done.insert(plan.order[p].get());
    Outputs next, computed;
    std::vector<size_t> now, later;  // of `wanted`
    for (const size_t i : results_)
      (is_last || (early && done.contains(wanted[i].get_node())) ? now : later).push_back(i);
    for (const size_t i : now) computed.push_back(wanted[i]);
    if (!is_last) next = read_behind(plan, plan.ends[part]);
    std::vector<size_t> from(next.size());  // the boundary's, or behind it what is computed now
    for (size_t i = 0; i < next.size(); ++i) {
      from[i] = static_cast<size_t>(std::find(boundary_.begin(), boundary_.end(), next[i]) - boundary_.begin());
      if (from[i] < boundary_.size()) continue;
      from[i] += computed.size();
      computed.push_back(next[i]);
    }
    part_ = extract_subgraph(boundary_, shapes(), computed);
    if (is_last) return;  // results_ are `now`
    Runner runner(core, part_.model, threads);
    std::vector<std::vector<TensorStore::Kept>> kept(count_);
    runner.run(
        count_, [&](size_t c) { return inputs_of(c); },
        [&](size_t c, const std::vector<ov::Tensor>& tensors) {
          for (size_t i = 0; i < now.size(); ++i) early(c, now[i], tensors[i]);
          for (size_t i = 0; i < next.size(); ++i) {
            if (from[i] < first) continue;
            kept[c].push_back(from[i] < boundary_.size() ? kept_[c][from[i] - first]
                                                         : store_.keep(tensors[from[i] - boundary_.size()]));
          }
        });
    results_ = std::move(later);
    kept_ = std::move(kept);
    Outputs boundary(boundary_.begin(), boundary_.begin() + static_cast<std::ptrdiff_t>(first));
    for (size_t i = 0; i < next.size(); ++i)
      if (from[i] >= first) boundary.push_back(next[i]);
    boundary_ = std::move(boundary);
  }
}

}  // namespace dnateq
