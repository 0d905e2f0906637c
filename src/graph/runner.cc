#include "graph/runner.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "graph/disk_constants.h"
#include "graph/parts.h"

namespace dnateq {

ov::CompiledModel compile_f32(ov::Core& core, const std::shared_ptr<ov::Model>& model, int threads) {
  return core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32), ov::num_streams(threads),
                            ov::inference_num_threads(threads));
}

Runner::Runner(ov::Core& core, const std::shared_ptr<ov::Model>& model, int threads)
    : model_(model), compiled_(compile_f32(core, model, threads)) {
  leave_memory(*model);
  for (int i = 0; i < threads; ++i) requests_.push_back(compiled_.create_infer_request());
}

Runner::~Runner() { leave_memory(*model_); }

void Runner::run(size_t calls, const Feed& feed, const Sink& sink, Task* task) {
  std::atomic<size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&](ov::InferRequest& request) {
    try {
      for (size_t call = next++; call < calls; call = next++) {
        const std::vector<ov::Tensor> inputs = feed(call);
        for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
        request.infer();
        std::vector<ov::Tensor> outputs;
        for (size_t i = 0; i < compiled_.outputs().size(); ++i) outputs.push_back(request.get_output_tensor(i));
        sink(call, outputs);
        if (task != nullptr) task->advance();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = calls;
    }
  };
  const size_t workers = std::min(requests_.size(), std::max<size_t>(calls, 1));
  std::vector<std::thread> threads;
  for (size_t i = 1; i < workers; ++i) threads.emplace_back(work, std::ref(requests_[i]));
  work(requests_[0]);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

namespace {

// What is left of the run. An input of the network is handed on as it is.
template <typename Sink>
void run_last(ov::Core& core, const PartedRun& run, size_t count, int threads, Task* task, const Sink& sink) {
  const auto& results = run.last()->get_results();
  const auto& parameters = run.last()->get_parameters();
  std::vector<std::optional<size_t>> direct;  // by result
  Outputs computed;
  for (const auto& result : results) {
    const auto at = std::find_if(parameters.begin(), parameters.end(),
                                 [&](const auto& p) { return p.get() == result->get_input_node_ptr(0); });
    direct.push_back(at == parameters.end() ? std::nullopt : std::optional<size_t>(at - parameters.begin()));
    if (!direct.back()) computed.push_back(result->input_value(0));
  }
  const auto hand_on = [&](size_t call, const std::vector<ov::Tensor>& inputs, const std::vector<ov::Tensor>& outputs) {
    std::vector<ov::Tensor> values;
    size_t next = 0;
    for (const auto& place : direct) values.push_back(place ? inputs[*place] : outputs[next++]);
    sink(call, run.results(), values);
  };
  if (computed.empty()) {
    for (size_t call = 0; call < count; ++call) {
      hand_on(call, run.inputs_of(call), {});
      if (task != nullptr) task->advance();
    }
    return;
  }
  const bool all = computed.size() == results.size();
  Outputs cut;
  std::vector<ov::PartialShape> shapes;
  for (const auto& parameter : parameters) {
    cut.push_back(parameter->output(0));
    shapes.push_back(parameter->get_partial_shape());
  }
  Subgraph graph{run.last(), {}};
  for (size_t i = 0; i < parameters.size(); ++i) graph.inputs.push_back(i);
  if (!all) graph = extract_subgraph(cut, shapes, computed);
  Runner runner(core, graph.model, threads);
  std::vector<std::vector<ov::Tensor>> fed(count);
  runner.run(
      count,
      [&](size_t call) {
        fed[call] = run.inputs_of(call);
        std::vector<ov::Tensor> inputs;
        for (const size_t i : graph.inputs) inputs.push_back(fed[call][i]);
        return inputs;
      },
      [&](size_t call, const std::vector<ov::Tensor>& outputs) {
        hand_on(call, fed[call], outputs);
        fed[call].clear();
      },
      task);
}

}  // namespace

void visit_tensors(ov::Core& core, const ov::Model& model, const Calls& calls, size_t count, const Outputs& wanted,
                   int threads, Task* task, const Runner::Sink& sink, int last_threads) {
  run_last(
      core, PartedRun(core, model, calls, count, wanted, threads), count, last_threads > 0 ? last_threads : threads,
      task,
      [&](size_t call, const std::vector<size_t>&, const std::vector<ov::Tensor>& tensors) { sink(call, tensors); });
}

void visit_each_tensor(ov::Core& core, const ov::Model& model, const Calls& calls, size_t count, const Outputs& wanted,
                       int threads, Task* task, const TensorSink& sink) {
  run_last(core, PartedRun(core, model, calls, count, wanted, threads, sink), count, threads, task,
           [&](size_t call, const std::vector<size_t>& places, const std::vector<ov::Tensor>& tensors) {
             for (size_t i = 0; i < places.size(); ++i) sink(call, places[i], tensors[i]);
           });
}

}  // namespace dnateq
