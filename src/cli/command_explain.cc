// dnateq explain.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/printing.h"
#include "core/layer_names.h"
#include "job/explain_job.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

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
  for (const auto& verdict : layer.refused)
    refused.push_back({{"kernel", verdict.name}, {"isa", verdict.isa}, {"reason", verdict.refusal}});
  return {{"name", layer.name},
          {"type", layer.type},
          {"fused_in", layer.fused_in.empty() ? Json(nullptr) : Json(layer.fused_in)},
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

Json float_operations_json(const std::optional<FloatKernels>& kernels) {
  Json all = Json::array();
  if (kernels)
    for (const auto& [type, names] : kernels->operations) all.push_back({{"type", type}, {"names", names}});
  return all;
}

Json document_of(const ExplainResult& result) {
  Json layers = Json::array();
  for (const LayerExplanation& layer : result.explanation.layers) {
    layers.push_back(layer_json(layer));
    if (const auto found = result.recipes.find(layer.name); found != result.recipes.end() && layer.weights > 0)
      layers.back()["recipe"] = recipe_json(found->second);
  }
  const auto& kernels = result.float_kernels;
  return {{"model", result.model},
          {"threads", result.threads},
          {"machine",
           {{"cpu", result.cpu},
            {"cap", result.cap.empty() ? Json(nullptr) : Json(result.cap)},
            {"read_gb_s", result.bytes_per_second / 1e9},
            {"int8_gmac_s", result.int8_macs_per_second / 1e9},
            {"f32_gmac_s", result.f32_macs_per_second / 1e9}}},
          {"weight_bytes", result.weight_bytes},
          {"dynamic", result.explanation.dynamic},
          {"same_bits_everywhere", kernels ? Json(kernels->operations.empty()) : Json(nullptr)},
          {"float_operations", float_operations_json(kernels)},
          {"layers", layers}};
}

std::string shortened(const std::string& text, size_t width) {
  return text.size() <= width ? text : "..." + text.substr(text.size() + 3 - width);
}

void print_layers(const Explanation& explanation, const std::map<std::string, LayerRecipe>& recipes) {
  std::vector<std::string> names;
  for (const LayerExplanation& layer : explanation.layers) names.push_back(layer.name);
  names = short_layer_names(names, 44);
  size_t width = 5;
  for (size_t l = 0; l < names.size(); ++l)
    if (explanation.layers[l].bound != Bound::kNone) width = std::max(width, std::min<size_t>(names[l].size(), 44));
  fmt::print("{:<{}}  {:<18} {:<26} {:>18} {:>7} {:>10} {:>9} {:>9}  bound by\n", "layer", width, "type", "kernel",
             "M x K x N", "bits", "read", "reading", "MACs");
  std::map<std::string, int> others, refusals;
  std::map<std::string, std::vector<size_t>> fused;
  for (size_t l = 0; l < names.size(); ++l) {
    const LayerExplanation& layer = explanation.layers[l];
    for (const auto& verdict : layer.refused)
      ++refusals[fmt::format("{} ({}): {}", verdict.name, verdict.isa, verdict.refusal)];
    if (layer.bound == Bound::kNone) {
      ++others[layer.type];
      continue;
    }
    if (!layer.fused_in.empty()) fused[layer.fused_in].push_back(l);
    std::string bits = layer.stored_bits > 0 ? fmt::format("{:.2f}", layer.stored_bits) : "-";
    if (const auto recipe = recipes.find(layer.name); recipe != recipes.end() && recipe->second.activations)
      bits += fmt::format("/{}", recipe->second.activations->code.stored_bits);
    fmt::print("{:<{}}  {:<18} {:<26} {:>18} {:>7} {:>10} {:>6.1f} us {:>6.1f} us  {}\n", names[l], width,
               shortened(layer.type, 18), layer.kernel,
               layer.k > 0 ? fmt::format("{} x {} x {}", layer.m, layer.k, layer.n) : std::string("-"), bits,
               human_bytes(layer.weight_bytes), layer.memory_us, layer.arithmetic_us, to_string(layer.bound));
  }
  std::string rest;
  for (const auto& [type, count] : others) rest += fmt::format("{}{} {}", rest.empty() ? "" : ", ", count, type);
  if (!rest.empty()) fmt::print("without weights: {}\n", rest);
  for (const auto& [node, members] : fused) {
    std::string together;
    for (const size_t l : members) together += (together.empty() ? "" : ", ") + names[l];
    fmt::print("{} run{} fused in one {}\n", together, members.size() == 1 ? "s" : "",
               explanation.layers[members[0]].type);
  }
  for (const auto& [reason, count] : refusals)
    fmt::print("faster, but not for {} layer{}: {}\n", count, count == 1 ? "" : "s", reason);
}

void print(const ExplainResult& result) {
  fmt::print("{}{}\n", result.cpu, result.cap.empty() ? "" : ", capped: ONEDNN_MAX_CPU_ISA=" + result.cap);
  print_layers(result.explanation, result.recipes);
  fmt::print(
      "weights read in a call: {}; this machine, {} thread{}: {:.1f} GB/s from where they lie, {:.0f} GMAC/s INT8, "
      "{:.0f} FP32\n",
      human_bytes(result.weight_bytes), result.threads, result.threads == 1 ? "" : "s", result.bytes_per_second / 1e9,
      result.int8_macs_per_second / 1e9, result.f32_macs_per_second / 1e9);
  if (result.float_kernels) print_float_kernels(*result.float_kernels);
  if (result.explanation.dynamic)
    fmt::print("some shapes are open, so OpenVINO has not chosen those kernels; fix them with --shape NAME=DIM,...\n");
}

int run_explain(const ExplainOptions& options, const Session& session) {
  const ExplainResult result = run_explain_job(options);
  if (session.json)
    print_json(document_of(result));
  else
    print(result);
  return 0;
}

}  // namespace

Command add_explain(CLI::App& app, Session& session) {
  const auto options = std::make_shared<ExplainOptions>();
  CLI::App* command =
      app.add_subcommand("explain", "list each layer's kernel, why faster ones were refused, and what binds it");
  command->footer("Example: dnateq explain out --shape input_ids=1,16 --shape attention_mask=1,16");
  command->add_option("path", options->path, "model file or result folder")->required();
  command
      ->add_option("--expect-rows,--expect-m", options->expect_rows,
                   "rows of activations where the model leaves them open (default: 1)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--shape", options->shapes, "NAME=DIM,...: shape of an input")->allow_extra_args(false);
  command->add_option("--threads", options->threads, "of the network (default: 1)")->check(CLI::Range(1, 1024));
  add_output(*command, session);
  return {command, [options](const Session& own) { return run_explain(*options, own); }};
}

}  // namespace dnateq
