#include "openvino/runner.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace dnateq {

Runner::Runner(ov::Core& core, const std::shared_ptr<ov::Model>& model, int threads) {
  compiled_ = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32),
                                 ov::num_streams(threads), ov::inference_num_threads(threads));
  for (int i = 0; i < threads; ++i) requests_.push_back(compiled_.create_infer_request());
}

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

}  // namespace dnateq
