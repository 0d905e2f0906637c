// dnateq explain.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <openvino/openvino.hpp>

#include "cli/commands.h"
#include "core/isa.h"
#include "dnateq/error.h"
#include "graph/float_operations.h"
#include "graph/import.h"
#include "inspect/explain.h"
#include "job/result_folder.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

fs::path model_in(const fs::path& folder) {
  for (const char* name : {"model.xml", "exact/model.xml"})
    if (fs::is_regular_file(folder / name)) return folder / name;
  throw Error(
      fmt::format("'{}' holds no result of dnateq quantize: neither model.xml nor exact/model.xml", folder.string()));
}

Json recipe_json(const LayerRecipe& layer) {
  const TensorRecipe& weights = layer.weights;
  Json recipe = {{"stored_bits", weights.code.stored_bits},
                 {"negative_levels", weights.code.negative_levels},
                 {"positive_levels", weights.code.positive_levels},
                 {"base", weights.code.base},
                 {"rmae", weights.rmae},
                 {"sqnr_db", weights.sqnr_db},
                 {"output_sqnr_db", layer.output_sqnr_db},
                 {"activation_bits", nullptr}};
  if (layer.activations) recipe["activation_bits"] = layer.activations->code.stored_bits;
  return recipe;
}

Json layer_json(const LayerExplanation& layer) {
  Json refused = Json::array();
  for (const kernels::KernelVerdict& verdict : layer.refused)
    refused.push_back({{"kernel", verdict.name}, {"isa", verdict.isa}, {"reason", verdict.refusal}});
  return {{"name", layer.name},
          {"type", layer.type},
          {"kernel", layer.kernel},
          {"isa", layer.isa},
          {"refused", refused},
          {"inputs", layer.inputs},
          {"outputs", layer.outputs},
          {"m", layer.m},
          {"k", layer.k},
          {"n", layer.n},
          {"weights", layer.weights},
          {"stored_bits", layer.stored_bits > 0 ? Json(layer.stored_bits) : Json(nullptr)},
          {"weight_bytes", layer.weight_bytes},
          {"macs", layer.macs},
          {"arithmetic", layer.counts    ? "counting"
                         : layer.in_int8 ? "int8"
                                         : "float"},
          {"memory_us", layer.memory_us},
          {"arithmetic_us", layer.arithmetic_us},
          {"bound", layer.bound == Bound::kNone ? Json(nullptr) : Json(to_string(layer.bound))}};
}

Json float_operations_json(const std::vector<FloatOperations>& floats) {
  Json all = Json::array();
  for (const FloatOperations& of : floats) all.push_back({{"type", of.type}, {"names", of.names}});
  return all;
}

std::string shortened(const std::string& text, size_t width) {
  return text.size() <= width ? text : "..." + text.substr(text.size() + 3 - width);
}

void print_layers(const Explanation& explanation, const std::map<std::string, const LayerRecipe*>& recipes) {
  size_t width = 5;
  for (const LayerExplanation& layer : explanation.layers)
    if (layer.bound != Bound::kNone) width = std::max(width, std::min<size_t>(layer.name.size(), 44));
  fmt::print("{:<{}}  {:<18} {:<26} {:>18} {:>7} {:>10} {:>9} {:>9}  bound by\n", "layer", width, "type", "kernel",
             "M x K x N", "bits", "read", "reading", "MACs");
  std::map<std::string, int> others, refusals;
  for (const LayerExplanation& layer : explanation.layers) {
    for (const kernels::KernelVerdict& verdict : layer.refused)
      ++refusals[fmt::format("{} ({}): {}", verdict.name, verdict.isa, verdict.refusal)];
    if (layer.bound == Bound::kNone) {
      ++others[layer.type];
      continue;
    }
    std::string bits = layer.stored_bits > 0 ? fmt::format("{:.2f}", layer.stored_bits) : "-";
    if (const auto recipe = recipes.find(layer.name); recipe != recipes.end() && recipe->second->activations)
      bits += fmt::format("/{}", recipe->second->activations->code.stored_bits);
    fmt::print("{:<{}}  {:<18} {:<26} {:>18} {:>7} {:>10} {:>6.1f} us {:>6.1f} us  {}\n", shortened(layer.name, width),
               width, shortened(layer.type, 18), layer.kernel, fmt::format("{} x {} x {}", layer.m, layer.k, layer.n),
               bits, human_bytes(layer.weight_bytes), layer.memory_us, layer.arithmetic_us, to_string(layer.bound));
  }
  std::string rest;
  for (const auto& [type, count] : others) rest += fmt::format("{}{} {}", rest.empty() ? "" : ", ", count, type);
  if (!rest.empty()) fmt::print("without weights: {}\n", rest);
  for (const auto& [reason, count] : refusals)
    fmt::print("faster, but not for {} layer{}: {}\n", count, count == 1 ? "" : "s", reason);
}

}  // namespace

std::map<std::string, std::vector<int64_t>> parse_shapes(const std::vector<std::string>& texts) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    std::vector<int64_t> dims;
    const char *at = text.data() + std::min(equals, text.size() - 1) + 1, *const end = text.data() + text.size();
    bool good = equals != std::string::npos && equals > 0 && at != end;
    while (good && at != end) {
      int64_t dim = 0;
      const auto [next, failed] = std::from_chars(at, end, dim);
      good = failed == std::errc() && dim > 0 && (next == end || (*next == ',' && next + 1 != end));
      dims.push_back(dim);
      at = next == end ? end : next + 1;
    }
    if (!good)
      throw Error(fmt::format("--shape '{}' is not of the form NAME=DIM,DIM,... such as input_ids=1,64", text));
    shapes[text.substr(0, equals)] = dims;
  }
  return shapes;
}

void print_float_operations(const std::vector<FloatOperations>& floats) {
  if (floats.empty())
    fmt::print("the same bits on every CPU: no sum or function is left to OpenVINO's float32 kernels\n");
  else
    fmt::print("left to OpenVINO's float32 kernels, whose last bits depend on the CPU: {}\n", to_string(floats));
}

int run_explain(const ExplainArguments& arguments, const CommonArguments& common) {
  ExplainOptions options;
  options.shapes = parse_shapes(arguments.shapes);
  options.expected_rows = arguments.expect_rows;
  options.threads = arguments.threads;
  fs::path file = arguments.path;
  Recipe recipe;
  std::map<std::string, const LayerRecipe*> recipes;
  if (fs::is_directory(file)) {
    recipe = load_result(file);
    for (const LayerRecipe& layer : recipe.layers) recipes[layer.name] = &layer;
    file = model_in(file);
  }
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const std::shared_ptr<ov::Model> model = read_model(core, file);
  Explanation explanation = explain(core, model, options);
  const bool promises = promises_same_bits(*model);
  const std::vector<FloatOperations> floats = promises ? float_operations(*model) : std::vector<FloatOperations>();
  const int64_t bytes = weight_bytes(explanation);
  const Machine machine = measure_machine(core, static_cast<size_t>(bytes), options.threads);
  find_bounds(explanation, machine);

  const std::string cap = onednn_cap();
  if (common.json) {
    Json layers = Json::array();
    for (const LayerExplanation& layer : explanation.layers) {
      layers.push_back(layer_json(layer));
      if (const auto found = recipes.find(layer.name); found != recipes.end() && layer.weights > 0)
        layers.back()["recipe"] = recipe_json(*found->second);
    }
    print_json({{"model", file.string()},
                {"threads", options.threads},
                {"machine",
                 {{"cpu", cpu_name()},
                  {"cap", cap.empty() ? Json(nullptr) : Json(cap)},
                  {"read_gb_s", machine.bytes_per_second / 1e9},
                  {"int8_gmac_s", machine.int8_macs_per_second / 1e9},
                  {"f32_gmac_s", machine.f32_macs_per_second / 1e9}}},
                {"weight_bytes", bytes},
                {"dynamic", explanation.dynamic},
                {"same_bits_everywhere", promises ? Json(floats.empty()) : Json(nullptr)},
                {"float_operations", float_operations_json(floats)},
                {"layers", layers}});
    return 0;
  }
  fmt::print("{}{}\n", cpu_name(), cap.empty() ? "" : ", capped: ONEDNN_MAX_CPU_ISA=" + cap);
  print_layers(explanation, recipes);
  fmt::print(
      "weights read in a call: {}; this machine, {} thread{}: {:.1f} GB/s from where they lie, {:.0f} GMAC/s INT8, "
      "{:.0f} FP32\n",
      human_bytes(bytes), options.threads, options.threads == 1 ? "" : "s", machine.bytes_per_second / 1e9,
      machine.int8_macs_per_second / 1e9, machine.f32_macs_per_second / 1e9);
  if (promises) print_float_operations(floats);
  if (explanation.dynamic)
    fmt::print("some shapes are open, so OpenVINO has not chosen those kernels; fix them with --shape NAME=DIM,...\n");
  return 0;
}

}  // namespace dnateq
