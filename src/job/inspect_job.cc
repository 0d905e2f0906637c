#include "job/inspect_job.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <openvino/openvino.hpp>

#include "calibrate/rotate.h"
#include "graph/import.h"
#include "job/language_folder.h"
#include "job/result_folder.h"
#include "ops/ops.h"

namespace dnateq {

InspectedResult inspect_result(const std::filesystem::path& folder) {
  InspectedResult result{load_result(folder), {}};
  for (const std::string& name : models_in(folder)) {
    ov::Core core;
    core.add_extension(ops::operation_extensions());
    if (auto kernels = float_kernels_of(*read_model(core, folder / name)))
      result.models.emplace_back(name, *std::move(kernels));
  }
  return result;
}

InspectedModel inspect_model(const std::filesystem::path& file) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const PreparedModel prepared = import_model(core, model_file_of(file));
  InspectedModel inspected;
  for (const Layer& layer : prepared.layers)
    inspected.layers.push_back({layer.name, layer.node->get_type_name(), layer.weights()->get_shape(),
                                static_cast<int64_t>(sizeof(float)) * layer.rows * layer.columns});
  inspected.unquantized = prepared.unquantized;
  if (!prepared.compressed_in.empty())
    inspected.notes.push_back(fmt::format("weights are stored as {}, and decompressed before they are quantized",
                                          fmt::join(prepared.compressed_in, ", ")));
  if (!prepared.state.empty()) {
    const Rotated rotated = rotate(prepared, 0);
    inspected.notes.push_back(rotated.stream ? "the residual stream is rotated before weights are quantized"
                                             : "the residual stream is not rotated: " + rotated.why_not);
    inspected.notes.push_back(fmt::format("{} layers of attention have their values rotated", rotated.value_heads));
    inspected.notes.push_back(fmt::format("{} MLPs have what enters their second layer transformed", rotated.mlps));
  }
  return inspected;
}

bool is_unquantized_folder(const std::filesystem::path& folder) {
  return is_language_folder(folder) && !std::filesystem::exists(folder / "recipe.dnateq.json");
}

}  // namespace dnateq
