// Runs one compiled network over many calls, one-thread infer requests side by side.
#pragma once

#include <functional>
#include <memory>
#include <openvino/openvino.hpp>
#include <vector>

#include "core/progress.h"
#include "graph/calls.h"
#include "graph/subgraph.h"

namespace dnateq {

// For so many requests of one thread each, side by side.
ov::CompiledModel compile_f32(ov::Core& core, const std::shared_ptr<ov::Model>& model, int threads);

class Runner {
 public:
  // Compiles `model` in float32. `threads` requests run at the same time.
  Runner(ov::Core& core, const std::shared_ptr<ov::Model>& model, int threads);
  ~Runner();  // what it read of constants on disk leaves memory
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  using Feed = std::function<std::vector<ov::Tensor>(size_t call)>;
  // Called from several threads, once a call, in no particular order; the tensors are valid only inside.
  using Sink = std::function<void(size_t call, const std::vector<ov::Tensor>& outputs)>;
  // Every result depends on its call alone, so what is merged in call order does not depend on `threads`.
  void run(size_t calls, const Feed& feed, const Sink& sink, Task* task = nullptr);

  const ov::CompiledModel& compiled() const { return compiled_; }

 private:
  std::shared_ptr<ov::Model> model_;
  ov::CompiledModel compiled_;
  std::vector<ov::InferRequest> requests_;
};

// Computes the tensors `wanted` of `model` for the first `count` calls, from the network's inputs; the sink gets them
// in that order. `last_threads`: what a large network computes last, which `wanted` may be large outputs of, runs in so
// many requests; 0: `threads`.
void visit_tensors(ov::Core& core, const ov::Model& model, const Calls& calls, size_t count, const Outputs& wanted,
                   int threads, Task* task, const Runner::Sink& sink, int last_threads = 0);

// The same one tensor at a time, in no particular order: of a large network not all are there at once.
using TensorSink = std::function<void(size_t call, size_t i, const ov::Tensor& tensor)>;
void visit_each_tensor(ov::Core& core, const ov::Model& model, const Calls& calls, size_t count, const Outputs& wanted,
                       int threads, Task* task, const TensorSink& sink);

}  // namespace dnateq
