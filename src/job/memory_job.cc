#include "job/memory_job.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <openvino/openvino.hpp>
#include <string>

#include "graph/import.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

int64_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kilobytes = 0;
  while (status >> word)
    if (word == "RssAnon:") status >> kilobytes;
  return kilobytes * 1024;
}

}  // namespace

int64_t resident_bytes_of(const std::filesystem::path& model) {
  ov::Core core;
  {  // what the runtime itself takes is not the model's
    const auto parameter = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{1});
    core.compile_model(
        std::make_shared<ov::Model>(ov::OutputVector{parameter->output(0)}, ov::ParameterVector{parameter}), "CPU");
  }
  const int64_t before = resident_bytes();
  core.add_extension(ops::operation_extensions());
  auto compiled = core.compile_model(read_model(core, model), "CPU", ov::hint::inference_precision(ov::element::f32));
  auto request = compiled.create_infer_request();
  return std::max<int64_t>(0, resident_bytes() - before);
}

}  // namespace dnateq
