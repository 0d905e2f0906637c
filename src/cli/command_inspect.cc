// dnateq inspect.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "dnateq/recipe.h"
#include "job/inspect_job.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

void print_tensor(const char* kind, const TensorRecipe& t) {
  fmt::print(
      "  {:<11} [{}]  {} bits ({}- {}+)  b {:.4f}  alpha {:.4g}  beta {:.4g}  {}  RMAE {:.4f}  SQNR {:.1f} dB "
      "(uniform {:.1f})  {}  {}{}\n",
      kind, fmt::join(t.shape, "x"), t.code.stored_bits, t.code.negative_levels, t.code.positive_levels, t.code.base,
      t.code.alpha, t.code.beta,
      t.code.arithmetic == Arithmetic::kInt8Grid ? fmt::format("grid {:.4g}", t.code.grid) : "real levels", t.rmae,
      t.sqnr_db, t.uniform_sqnr_db, t.distribution, t.bytes > 0 ? fmt::format("{} bytes", t.bytes) : std::string(),
      t.centered              ? "channel means subtracted"
      : t.scale_exponent != 0 ? fmt::format("  scales times 2^{}", t.scale_exponent)
                              : std::string());
}

void print_result(const InspectedResult& result) {
  const Recipe& recipe = result.recipe;
  for (const LayerRecipe& layer : recipe.layers) {
    fmt::print("{} ({})\n", layer.name, layer.type);
    print_tensor("weights", layer.weights);
    if (layer.activations) print_tensor("activations", *layer.activations);
  }
  for (const UnquantizedLayer& layer : recipe.unquantized)
    fmt::print("{} ({}) FP32: {}\n", layer.name, layer.type, layer.reason);
  if (const PassedActivations& passed = recipe.passed; passed.values > 0) {
    fmt::print("activations that operations of {} pass on in FP32, {:.1f} % of {} values a sample:\n", passed.emission,
               100 * share_in_float(passed), passed.values);
    for (const FloatActivation& one : passed.in_float)
      fmt::print("  {:>6.2f} %  {:>12}  {:<18} {}\n", 100 * one.share, one.elements, one.type, one.name);
  }
  fmt::print("weights {:.3f} stored bits, activations {:.3f}", weight_bits(recipe).stored_bits,
             activation_bits(recipe).stored_bits);
  if (recipe.passed.values > 0)
    fmt::print(" entering quantized layers, {:.3f} over all that operations pass on", recipe.passed.mean_bits);
  for (const EmissionResult& e : recipe.emissions)
    fmt::print("\n{}: {} on disk, {:.3f} bits for each of {} parameters; its graph {}", e.emission,
               human_bytes(e.bytes), e.bits_on_disk, recipe.parameters, human_bytes(e.graph_bytes));
  fmt::print("\n");
  for (const auto& [file, kernels] : result.models) {
    fmt::print("{}: ", file);
    print_float_kernels(kernels);
  }
}

std::string shape_text(const InspectedModel::Port& port) {
  if (!port.shape) return "any shape";
  std::string text;
  for (const int64_t dim : *port.shape) text += (text.empty() ? "" : ",") + (dim < 0 ? "?" : std::to_string(dim));
  return "[" + text + "]";
}

void print_ports(const char* kind, const std::vector<InspectedModel::Port>& ports) {
  for (const InspectedModel::Port& port : ports)
    fmt::print("{:<7} {:<36} {:<18} {}\n", kind, port.name, port.type, shape_text(port));
}

void print_model(const InspectedModel& model) {
  print_ports("input", model.inputs);
  print_ports("output", model.outputs);
  for (const InspectedModel::Layer& layer : model.layers)
    fmt::print("{:<44} {:<18} {:<20} {:>10}\n", layer.name, layer.type,
               fmt::format("[{}]", fmt::join(layer.shape, ",")), human_bytes(layer.bytes));
  for (const UnquantizedLayer& layer : model.unquantized)
    fmt::print("{:<44} {:<18} not quantized: {}\n", layer.name, layer.type, layer.reason);
  for (const std::string& note : model.notes) fmt::print("{}\n", note);
}

Json ports_json(const std::vector<InspectedModel::Port>& ports) {
  Json all = Json::array();
  for (const InspectedModel::Port& port : ports)
    all.push_back(
        {{"name", port.name}, {"type", port.type}, {"shape", port.shape ? Json(*port.shape) : Json(nullptr)}});
  return all;
}

Json document_of(const InspectedModel& model) {
  Json layers = Json::array(), rest = Json::array();
  for (const InspectedModel::Layer& layer : model.layers)
    layers.push_back({{"name", layer.name}, {"type", layer.type}, {"shape", layer.shape}, {"bytes", layer.bytes}});
  for (const UnquantizedLayer& layer : model.unquantized)
    rest.push_back({{"name", layer.name}, {"type", layer.type}, {"reason", layer.reason}});
  return {{"inputs", ports_json(model.inputs)},
          {"outputs", ports_json(model.outputs)},
          {"layers", layers},
          {"unquantized", rest},
          {"notes", model.notes}};
}

int run_inspect(const std::string& path, const Session& session) {
  if (std::filesystem::is_directory(path) && !is_unquantized_folder(path)) {
    const InspectedResult result = inspect_result(path);
    if (session.json)
      std::cout << to_json(result.recipe) << std::endl;
    else
      print_result(result);
    return 0;
  }
  const InspectedModel model = inspect_model(path);
  if (session.json)
    print_json(document_of(model));
  else
    print_model(model);
  return 0;
}

}  // namespace

Command add_inspect(CLI::App& app, Session& session) {
  const auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("inspect", "list the layers of a model or of a result");
  command->footer("Example: dnateq inspect out");
  command->add_option("path", *path, "model file or result folder")->required();
  add_common(*command, session);
  return {command, [path](const Session& own) { return run_inspect(*path, own); }};
}

}  // namespace dnateq
