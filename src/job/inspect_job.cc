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
namespace {

std::vector<InspectedModel::Port> ports_of(const std::vector<ov::Output<const ov::Node>>& ports) {
  std::vector<InspectedModel::Port> all;
  for (const ov::Output<const ov::Node>& port : ports) {
    const ov::PartialShape& shape = port.get_partial_shape();
    all.push_back({port.get_names().empty() ? port.get_node()->get_friendly_name() : port.get_any_name(),
                   port.get_element_type().get_type_name(),
                   {}});
    if (shape.rank().is_dynamic()) continue;
    all.back().shape.emplace();
    for (const ov::Dimension& dim : shape) all.back().shape->push_back(dim.is_static() ? dim.get_length() : -1);
  }
  return all;
}

}  // namespace

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
  // State that was taken out became inputs and outputs.
  const std::shared_ptr<const ov::Model> as_read =
      prepared.state.empty() ? prepared.model : read_model(core, model_file_of(file));
  inspected.inputs = ports_of(as_read->inputs());
  inspected.outputs = ports_of(as_read->outputs());
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
