#include "graph/evaluate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/option.h"
#include "dnateq/error.h"
#include "graph/disk_constants.h"
#include "graph/parts.h"
#include "graph/runner.h"
#include "graph/tensor_store.h"

namespace dnateq {

namespace {

using ConstOutput = ov::Output<const ov::Node>;

std::string name_of(const ConstOutput& output) {
  return output.get_names().empty() ? output.get_node()->get_friendly_name() : output.get_any_name();
}

bool is_readable(const ConstOutput& output) {
  const ov::element::Type type = output.get_element_type();
  return type.is_dynamic() || type == ov::element::f32;
}

size_t first_readable(const std::vector<ConstOutput>& outputs) {
  return static_cast<size_t>(std::find_if(outputs.begin(), outputs.end(), is_readable) - outputs.begin());
}

[[noreturn]] void refuse(const std::vector<ConstOutput>& outputs, const ConstOutput& output, const std::string& file) {
  std::vector<std::string> readable;
  for (const ConstOutput& other : outputs)
    if (is_readable(other))
      readable.push_back(fmt::format("'{}' {}", name_of(other), other.get_partial_shape().to_string()));
  const std::string what = fmt::format("output '{}' of '{}' is {}, and metrics read float32", name_of(output), file,
                                       output.get_element_type().get_type_name());
  if (readable.empty()) throw Error(fmt::format("{}, which no output of it is; export the model with one", what));
  throw Error(fmt::format("{}; name another one with {}: {}", what, option("output"), fmt::join(readable, ", ")));
}

}  // namespace

size_t find_output(const ov::Model& model, const std::string& name, const std::string& file) {
  const std::vector<ConstOutput> outputs = model.outputs();
  if (name.empty()) {
    const size_t first = first_readable(outputs);
    if (first == outputs.size()) refuse(outputs, outputs.at(0), file);
    return first;
  }
  std::vector<std::string> all;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto& names = outputs[i].get_names();
    if (names.contains(name) && !is_readable(outputs[i])) refuse(outputs, outputs[i], file);
    if (names.contains(name)) return i;
    all.insert(all.end(), names.begin(), names.end());
  }
  throw Error(fmt::format("'{}' has no output '{}'; its outputs are: {}", file, name, fmt::join(all, ", ")));
}

std::string note_on_default_output(const ov::Model& model) {
  const std::vector<ConstOutput> outputs = model.outputs();
  const size_t first = first_readable(outputs);
  if (first == 0 || first == outputs.size()) return {};
  return fmt::format("the metric reads output '{}', the first in float32 ('{}' is {}); {} names another one",
                     name_of(outputs[first]), name_of(outputs[0]), outputs[0].get_element_type().get_type_name(),
                     option("output"));
}

OutputValues run_output(ov::Core& core, const std::shared_ptr<ov::Model>& model, const Calls& calls, size_t output,
                        int threads, const Progress& progress, const std::string& stage) {
  Runner runner(core, model, threads);
  Task task(progress, stage, calls.size());
  OutputValues result;
  result.values.resize(calls.size());
  result.width.resize(calls.size());
  for (size_t c = 0; c < calls.size(); ++c) result.samples.push_back(calls.sample_count(c));
  runner.run(
      calls.size(), [&](size_t c) { return calls.tensors(c); },
      [&](size_t c, const std::vector<ov::Tensor>& outputs) {
        const ov::Tensor& tensor = outputs[output];
        if (tensor.get_element_type() != ov::element::f32)
          throw Error(fmt::format("the output that the metric reads is not float32; name another one with {}",
                                  option("output")));
        result.values[c].assign(tensor.data<float>(), tensor.data<float>() + tensor.get_size());
        result.width[c] = tensor.get_shape().empty() ? 1 : tensor.get_shape().back();
      },
      &task);
  return result;
}

bool is_wide(const ov::Output<const ov::Node>& output) {
  constexpr int64_t kWide = 32000;  // as TinyLlama has
  const ov::PartialShape& shape = output.get_partial_shape();
  return shape.rank().is_static() && shape.rank().get_length() > 0 && shape[shape.size() - 1].is_static() &&
         shape[shape.size() - 1].get_length() >= kWide;
}

void visit_pairs(ov::Core& core, const std::shared_ptr<ov::Model>& model, const std::shared_ptr<ov::Model>& reference,
                 const Calls& calls, size_t output, int threads, const Progress& progress, const std::string& stage,
                 const PairSink& sink) {
  const auto result = [output](const ov::Model& of) { return of.get_results()[output]->input_value(0); };
  const PartedRun parted(core, *model, calls, calls.size(), {result(*model)}, threads);
  const PartedRun parted_reference(core, *reference, calls, calls.size(), {result(*reference)}, threads);
  Runner own(core, parted.last(), threads);
  ov::CompiledModel other = compile_f32(core, parted_reference.last(), threads);
  leave_memory(*reference);
  std::vector<ov::InferRequest> spare;
  std::mutex mutex;
  const auto borrow = [&] {
    const std::lock_guard lock(mutex);
    if (spare.empty()) return other.create_infer_request();
    ov::InferRequest request = spare.back();
    spare.pop_back();
    return request;
  };
  Task task(progress, stage, calls.size());
  own.run(
      calls.size(), [&](size_t c) { return parted.inputs_of(c); },
      [&](size_t c, const std::vector<ov::Tensor>& outputs) {
        ov::InferRequest request = borrow();
        const std::vector<ov::Tensor> inputs = parted_reference.inputs_of(c);
        for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
        request.infer();
        sink(c, outputs[0], request.get_output_tensor(0));
        const std::lock_guard lock(mutex);
        spare.push_back(std::move(request));
      },
      &task);
}

namespace {

// score() of one call, a few rows at a time: copies of all would take as much memory as the outputs again.
std::vector<double> score_of_call(Metric metric, const ov::Tensor& got, const ov::Tensor& wanted, size_t samples) {
  constexpr size_t kRows = 16;
  const auto values_of = [](const ov::Tensor& tensor, size_t begin, size_t end, size_t as_samples) {
    const float* values = tensor.data<float>();
    return OutputValues{
        {{values + begin, values + end}}, {tensor.get_shape().back()}, {static_cast<int64_t>(as_samples)}};
  };
  const size_t size = got.get_size(), width = std::max<size_t>(1, got.get_shape().back()), rows = size / width;
  if (got.get_shape() != wanted.get_shape() || samples == 0 || rows % samples != 0 || rows == 0)
    return score(metric, values_of(got, 0, size, samples), values_of(wanted, 0, wanted.get_size(), samples), {});
  std::vector<double> scores(samples, 0.0);
  for (size_t first = 0; first < rows; first += kRows) {
    const size_t end = std::min(rows, first + kRows), count = end - first;
    const std::vector<double> of_rows = score(metric, values_of(got, first * width, end * width, count),
                                              values_of(wanted, first * width, end * width, count), {});
    for (size_t row = 0; row < count; ++row) scores[(first + row) / (rows / samples)] += of_rows[row];
  }
  for (double& sum : scores) sum /= static_cast<double>(rows / samples);
  return scores;
}

}  // namespace

std::vector<double> score_beside(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                 const std::shared_ptr<ov::Model>& reference, const Calls& calls, size_t output,
                                 Metric metric, int threads, const Progress& progress, const std::string& stage,
                                 size_t part_bytes) {
  std::vector<std::vector<double>> by_call(calls.size());
  const auto compare = [&](size_t c, const ov::Tensor& got, const ov::Tensor& wanted) {
    by_call[c] = score_of_call(metric, got, wanted, static_cast<size_t>(calls.sample_count(c)));
  };
  if (constant_bytes(*reference) <= part_bytes) {
    visit_pairs(core, model, reference, calls, output, threads, progress, stage, compare);
  } else {  // one network after the other, one call after the other; the reference's outputs wait on disk
    constexpr int kOneRequest = 1;  // each holds a call's outputs: 100 MB of 512 tokens' logits among 49,152 words
    TensorStore store(0);
    std::vector<TensorStore::Kept> wanted(calls.size());
    const auto result = [output](const ov::Model& of) { return of.get_results()[output]->input_value(0); };
    visit_tensors(
        core, *reference, calls, calls.size(), {result(*reference)}, threads, nullptr,
        [&](size_t c, const std::vector<ov::Tensor>& tensors) { wanted[c] = store.keep(tensors[0]); }, kOneRequest);
    Task task(progress, stage, calls.size());
    visit_tensors(
        core, *model, calls, calls.size(), {result(*model)}, threads, &task,
        [&](size_t c, const std::vector<ov::Tensor>& tensors) {
          compare(c, tensors[0], std::exchange(wanted[c], {}).load());
        },
        kOneRequest);
  }
  std::vector<double> scores;
  for (const auto& of_call : by_call) scores.insert(scores.end(), of_call.begin(), of_call.end());
  return scores;
}

}  // namespace dnateq
