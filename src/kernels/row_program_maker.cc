#include "kernels/row_program_maker.h"

#include <algorithm>

namespace dnateq::kernels {
namespace {

bool is_activation(RowStepKind kind) {
  return kind == RowStepKind::kSwish || kind == RowStepKind::kGeluErf || kind == RowStepKind::kGeluTanh;
}

bool is_norm(RowStepKind kind) { return kind == RowStepKind::kRmsNorm || kind == RowStepKind::kMeanNorm; }

}  // namespace

const RowStep* RowProgramMaker::step_of(uint32_t value) const {
  const size_t inputs = block_.input_widths.size();
  return value < inputs ? nullptr : &block_.steps[value - inputs];
}

void RowProgramMaker::count_uses() {
  uses_.assign(block_.value_count(), 0);
  output_of_.assign(block_.value_count(), std::nullopt);
  for (const RowStep& step : block_.steps) {
    ++uses_[step.a];
    if (takes_two_values(step.kind)) ++uses_[step.b];
  }
  for (size_t i = 0; i < block_.outputs.size(); ++i) output_of_[block_.outputs[i]] = i;
}

// Whether an operand of `step` is computed for it alone, in a way that can take the rest of the step along.
bool RowProgramMaker::merged_into(const RowStep& step, uint32_t own, Node& node) {
  const auto merge_with = [&](uint32_t operand, std::optional<uint32_t> other) {
    const RowStep* first = step_of(operand);
    if (first == nullptr || !is_for_one(operand) || absorbed_[operand]) return false;
    const bool fits = step.kind == RowStepKind::kMultiply ? is_activation(first->kind)
                      : step.kind == RowStepKind::kAdd    ? first->kind == RowStepKind::kMatMul
                                                          : step.kind == RowStepKind::kScale && is_norm(first->kind);
    if (!fits) return false;
    absorbed_[operand] = true;
    node = {first->kind, first->a, other, std::nullopt, first->epsilon, own};
    if (first->kind == RowStepKind::kMatMul) node.constant = first->constant;
    if (step.kind == RowStepKind::kScale) node.constant = step.constant;
    return true;
  };
  if (!takes_two_values(step.kind)) return merge_with(step.a, std::nullopt);
  return step.a != step.b && (merge_with(step.b, step.a) || merge_with(step.a, step.b));
}

void RowProgramMaker::merge() {
  absorbed_.assign(block_.value_count(), false);
  const auto inputs = static_cast<uint32_t>(block_.input_widths.size());
  std::vector<std::optional<Node>> by_step(block_.steps.size());
  for (uint32_t i = 0; i < block_.steps.size(); ++i) {
    const RowStep& step = block_.steps[i];
    Node node{step.kind, step.a, std::nullopt, std::nullopt, step.epsilon, inputs + i};
    if (!merged_into(step, inputs + i, node)) {
      if (takes_two_values(step.kind)) node.b = step.b;
      if (step.kind == RowStepKind::kMatMul || step.kind == RowStepKind::kScale || step.kind == RowStepKind::kShift)
        node.constant = step.constant;
    }
    by_step[i] = node;
  }
  for (uint32_t i = 0; i < block_.steps.size(); ++i)
    if (!absorbed_[inputs + i]) nodes_.push_back(*by_step[i]);
}

bool RowProgramMaker::is_ready(const Node& node, const std::vector<bool>& done) const {
  return !node.scheduled && done[node.a] && (!node.b || done[*node.b]);
}

void RowProgramMaker::schedule() {
  std::vector<bool> done(block_.value_count());
  std::fill_n(done.begin(), block_.input_widths.size(), true);
  size_t left = nodes_.size();
  while (left > 0) {
    Phase phase;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[i];
      if (node.kind == RowStepKind::kMatMul || !is_ready(node, done)) continue;
      node.scheduled = true;
      done[node.y] = true;
      phase.functions.push_back(i);
    }
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (nodes_[i].kind == RowStepKind::kMatMul && is_ready(nodes_[i], done)) phase.matmuls.push_back(i);
    for (const size_t i : phase.matmuls) {
      nodes_[i].scheduled = true;
      done[nodes_[i].y] = true;
    }
    left -= phase.functions.size() + phase.matmuls.size();
    phases_.push_back(phase);
  }
}

void RowProgramMaker::use(uint32_t value, size_t time) {
  last_use_[root_[value]] = std::max(last_use_[root_[value]], time);
}

// Times count functions one by one, then a phase's roundings, then its matmuls; place_all() counts alike.
void RowProgramMaker::see_last_uses() {
  root_.resize(block_.value_count());
  for (uint32_t value = 0; value < root_.size(); ++value) {
    const RowStep* step = step_of(value);
    const bool is_view = step != nullptr && step->kind == RowStepKind::kSlice && !output_of_[value];
    root_[value] = is_view ? root_[step->a] : value;
  }
  last_use_.assign(block_.value_count(), 0);
  size_t time = 0;
  for (const Phase& phase : phases_) {
    for (const size_t i : phase.functions) {
      use(nodes_[i].a, time);
      if (nodes_[i].b) use(*nodes_[i].b, time);
      use(nodes_[i].y, time++);
    }
    for (const size_t i : phase.matmuls) {
      use(nodes_[i].a, time);
      if (nodes_[i].b) use(*nodes_[i].b, time + 1);
      use(nodes_[i].y, time + 1);
    }
    time += 2;
  }
}

// A slot of the same width whose value is not needed any more, so that nothing lies in another's rows. A function may
// write over what it reads; matmuls may not, since they run together.
RowProgramMaker::Place RowProgramMaker::place_for(uint32_t value, size_t time, bool in_place) {
  const auto width = static_cast<size_t>(block_.width(value));
  if (output_of_[value]) return {RowProgram::Home::kOutput, *output_of_[value], 0, width};
  const auto free = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return slot.width == width && (in_place ? slot.busy_until <= time : slot.busy_until < time);
  });
  const auto index = static_cast<size_t>(free - slots_.begin());
  if (free == slots_.end()) slots_.push_back({width, 0});
  slots_[index].busy_until = last_use_[value];
  return {RowProgram::Home::kSlot, index, 0, width};
}

void RowProgramMaker::place_all() {
  places_.resize(block_.value_count());
  for (size_t i = 0; i < block_.input_widths.size(); ++i)
    places_[i] = {RowProgram::Home::kInput, i, 0, static_cast<size_t>(block_.input_widths[i])};
  size_t time = 0;
  for (const Phase& phase : phases_) {
    RowProgram::Phase& made = program_.phases_.emplace_back();
    for (const size_t i : phase.functions) {
      const Node& node = nodes_[i];
      const RowStep& step = *step_of(node.y);
      if (root_[node.y] != node.y) {
        places_[node.y] = places_[step.a];
        places_[node.y].begin += step.begin;
        ++time;
        continue;
      }
      RowProgram::RowOperation operation{
          node.kind, places_[node.a], {}, {}, node.constant, node.epsilon, static_cast<size_t>(step.width)};
      if (node.kind == RowStepKind::kSlice) operation.a.begin += step.begin;
      if (node.kind == RowStepKind::kHadamard) operation.block = static_cast<size_t>(step.begin);
      if (node.b) operation.b = places_[*node.b];
      operation.y = places_[node.y] = place_for(node.y, time++, true);
      made.operations.push_back(operation);
    }
    std::vector<uint32_t> rounded;
    size_t columns = 0;
    for (const size_t i : phase.matmuls) {
      const Node& node = nodes_[i];
      const auto found = std::find(rounded.begin(), rounded.end(), node.a);
      RowProgram::Product product{*node.constant, static_cast<size_t>(found - rounded.begin()), {}, {}};
      if (found == rounded.end()) {
        rounded.push_back(node.a);
        const auto width = static_cast<size_t>(block_.width(node.a));
        made.roundings.push_back({places_[node.a], width, columns});
        columns += width;
      }
      if (node.b) product.residual = places_[*node.b];
      product.y = places_[node.y] = place_for(node.y, time + 1, false);
      made.products.push_back(product);
    }
    time += 2;
    program_.rounded_columns_ = std::max(program_.rounded_columns_, columns);
    program_.most_roundings_ = std::max(program_.most_roundings_, made.roundings.size());
  }
  for (const Slot& slot : slots_) program_.slot_widths_.push_back(slot.width);
}

void RowProgramMaker::make() {
  count_uses();
  merge();
  schedule();
  see_last_uses();
  place_all();
}

}  // namespace dnateq::kernels
