#include "job/explain_job.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <openvino/openvino.hpp>

#include "core/isa.h"
#include "dnateq/error.h"
#include "graph/import.h"
#include "inspect/explain.h"
#include "inspect/machine.h"
#include "job/inputs.h"
#include "job/result_folder.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

fs::path model_in(const fs::path& folder) {
  for (const char* name : {"model.xml", "openvino_model.xml", "exact/model.xml"})
    if (fs::is_regular_file(folder / name)) return folder / name;
  throw Error(
      fmt::format("'{}' holds no result of dnateq quantize: neither model.xml nor exact/model.xml", folder.string()));
}

}  // namespace

ExplainResult run_explain_job(const ExplainOptions& options) {
  const ExplanationOptions asked{parse_shapes(options.shapes), options.expect_rows, options.threads};
  ExplainResult result;
  fs::path file = options.path;
  if (fs::is_directory(file)) {
    for (LayerRecipe& layer : load_result(file).layers) result.recipes[layer.name] = std::move(layer);
    file = model_in(file);
  }
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const std::shared_ptr<ov::Model> model = read_model(core, file);
  result.model = file.string();
  result.threads = options.threads;
  result.cpu = cpu_name();
  result.cap = onednn_cap();
  result.explanation = explain(core, model, asked);
  result.float_kernels = float_kernels_of(*model);
  result.weight_bytes = weight_bytes(result.explanation);
  const Machine machine = measure_machine(core, static_cast<size_t>(result.weight_bytes), options.threads);
  find_bounds(result.explanation, machine);
  result.bytes_per_second = machine.bytes_per_second;
  result.int8_macs_per_second = machine.int8_macs_per_second;
  result.f32_macs_per_second = machine.f32_macs_per_second;
  return result;
}

}  // namespace dnateq
