// dnateq eval, analyze, inspect: commands that only look.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>
#include <thread>

#include "cli/commands.h"
#include "core/atomic_file.h"
#include "dnateq/error.h"
#include "dnateq/recipe.h"
#include "graph/batch_axis.h"
#include "graph/calls.h"
#include "graph/evaluate.h"
#include "graph/float_operations.h"
#include "graph/import.h"
#include "job/analysis.h"
#include "job/output_folder.h"
#include "job/result_folder.h"
#include "ops/ops.h"
#include "quantize/external_metric.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

std::vector<float> parse_list(const std::string& text, const char* option) {
  std::vector<float> values;
  const char* at = text.data();
  const char* end = text.data() + text.size();
  while (at < end) {
    float value = 0;
    const auto [next, failed] = std::from_chars(at, end, value);
    if (failed != std::errc() || (next != end && *next != ','))
      throw Error(fmt::format("{} '{}' is not a list of numbers such as 123.7,116.3,103.5", option, text));
    values.push_back(value);
    at = next == end ? end : next + 1;
  }
  return values;
}

std::shared_ptr<ov::Model> read_any(ov::Core& core, const std::string& file) {
  core.add_extension(ops::operation_extensions());
  return read_model(core, file);
}

}  // namespace

int thread_count(const CommonArguments& common) {
  return common.threads > 0 ? common.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::unique_ptr<Samples> open_data(const DataArguments& arguments, const std::vector<std::string>& inputs) {
  ImageOptions images;
  images.mean = parse_list(arguments.mean, "--mean");
  images.std = parse_list(arguments.std, "--std");
  images.resize = arguments.resize;
  images.crop = arguments.crop;
  images.color = arguments.color;
  images.layout = arguments.layout;
  return open_samples(arguments.path, images, inputs);
}

std::optional<int64_t> batch_axis(const DataArguments& arguments) {
  return arguments.batch_axis < 0 ? std::nullopt : std::optional<int64_t>(arguments.batch_axis);
}

std::vector<int64_t> open_labels(const std::string& labels, const DataArguments& data) {
  if (labels.empty()) return {};
  return labels == "names" ? labels_from_image_names(data.path) : read_labels(labels);
}

void print_json(const nlohmann::ordered_json& document) {
  std::cout << document.dump(1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

std::string human_bytes(int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1000000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return fmt::format("{:.2f} MB", static_cast<double>(bytes) / 1e6);
}

int run_eval(const EvalArguments& arguments, const CommonArguments& common) {
  ov::Core core;
  const std::string name = !arguments.metric.empty() ? arguments.metric : arguments.labels.empty() ? "cosine" : "top1";
  const Metric metric = metric_from_string(name);
  Json result = {{"metric", to_string(metric)}};
  if (metric == Metric::kCommand) {
    if (!std::filesystem::is_regular_file(arguments.model))
      throw Error(fmt::format("there is no model file '{}'", arguments.model));
    const ExternalScore said = run_command(name.substr(8), arguments.model);
    result["value"] = said.score;
    if (!said.per_sample.empty()) result["samples"] = said.per_sample.size();
  } else {
    const auto model = read_any(core, arguments.model);
    const std::shared_ptr<const Samples> data =
        as_samples(core, model, open_data(arguments.data, input_names(*model)), batch_axis(arguments.data));
    const Calls calls(*data, *model);
    const std::vector<int64_t> labels = open_labels(arguments.labels, arguments.data);
    const bool needs_labels = metric == Metric::kTop1 || metric == Metric::kTop5;
    if (needs_labels && arguments.labels.empty()) throw Error(fmt::format("--metric {} needs --labels", name));
    if (!needs_labels && arguments.reference.empty()) throw Error(fmt::format("--metric {} needs --reference", name));
    const size_t output = find_output(*model, arguments.output_name, arguments.model);
    const OutputValues got = run_output(core, model, calls, output, thread_count(common), common.progress, "running");
    OutputValues reference = got;
    if (!arguments.reference.empty()) {
      ov::Core other;
      const auto fp32 = read_any(other, arguments.reference);
      const Calls same(*data, *fp32);
      reference = run_output(other, fp32, same, find_output(*fp32, arguments.output_name, arguments.reference),
                             thread_count(common), common.progress, "running reference");
    }
    const std::vector<double> scores = score(metric, got, reference, labels);
    result["value"] = mean(scores);
    result["samples"] = scores.size();
    if (!arguments.reference.empty()) {
      const std::vector<double> reference_scores = score(metric, reference, reference, labels);
      const auto [low, high] = paired_interval(scores, reference_scores, 1);
      result["reference"] = mean(reference_scores);
      result["confidence"] = {low, high};
    }
  }
  if (common.json) {
    print_json(result);
  } else {
    fmt::print("{} {:.6f}", result["metric"].get<std::string>(), result["value"].get<double>());
    if (result.contains("reference"))
      fmt::print(", reference {:.6f}, difference 95 % within [{:+.4f}, {:+.4f}]", result["reference"].get<double>(),
                 result["confidence"][0].get<double>(), result["confidence"][1].get<double>());
    if (result.contains("samples")) fmt::print(", {} samples", result["samples"].get<size_t>());
    fmt::print("\n");
  }
  return 0;
}

namespace {

// An analysis.json is replaced where analyze wrote it: its keys say so.
void refuse_foreign_analysis(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "analysis.json";
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(file, ignored))) return;
  if (std::filesystem::is_regular_file(std::filesystem::symlink_status(file, ignored))) {
    std::ifstream stream(file, std::ios::binary);
    const Json document = Json::parse(stream, nullptr, false);
    const std::array kinds = {"model", "weights", "activations", "tensors"};
    if (document.is_object() && document.size() == kinds.size() &&
        std::all_of(kinds.begin(), kinds.end(), [&](const char* key) { return document.contains(key); }))
      return;
  }
  throw Error(fmt::format("'{}' is of no analysis, and is not replaced; choose another -o", file.string()));
}

void save_analysis(const Json& document, const std::filesystem::path& directory) {
  const OutputFolder folder(directory);
  refuse_foreign_analysis(directory);  // it may have been put there meanwhile
  try {
    std::error_code failed;
    std::filesystem::create_directories(directory, failed);
    if (failed)
      throw Error(
          fmt::format("the folder '{}' cannot be made: {}; choose another -o", directory.string(), failed.message()));
    write_file_atomically(directory / "analysis.json", document.dump(1, ' ', false, Json::error_handler_t::replace));
  } catch (const Error&) {
    folder.discard();
    throw;
  }
}

}  // namespace

int run_analyze(const AnalyzeArguments& arguments, const CommonArguments& common) {
  if (!arguments.directory.empty()) refuse_foreign_analysis(arguments.directory);
  const Json document = analyze(
      arguments.model, arguments.layers,
      [&](const std::vector<std::string>& inputs) { return open_data(arguments.calibration, inputs); },
      thread_count(common), common.progress);
  if (!arguments.directory.empty()) save_analysis(document, arguments.directory);
  if (common.json) {
    print_json(document);
  } else {
    for (const Json& tensor : document["tensors"]) {
      const auto count = static_cast<double>(std::max<uint64_t>(tensor["values"].get<uint64_t>(), 1));
      fmt::print("{:<44} {:<11} {:<12} zeros {:>5.1f} %  [{:.4g}, {:.4g}]\n", tensor["layer"].get<std::string>(),
                 tensor["kind"].get<std::string>(), tensor["best"].get<std::string>(),
                 100.0 * tensor["zeros"].get<double>() / count, tensor["minimum"].get<double>(),
                 tensor["maximum"].get<double>());
    }
    for (const char* kind : {"weights", "activations"})
      for (const auto& [name, count] : document[kind].items())
        fmt::print("{}: {} tensors follow {}\n", kind, count.get<int>(), name);
  }
  return 0;
}

namespace {

int inspect_result(const std::filesystem::path& folder, const CommonArguments& common) {
  const Recipe recipe = load_result(folder);
  if (common.json) {
    std::cout << to_json(recipe) << std::endl;
    return 0;
  }
  const auto tensor = [](const char* kind, const TensorRecipe& t) {
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
  };
  for (const LayerRecipe& layer : recipe.layers) {
    fmt::print("{} ({})\n", layer.name, layer.type);
    tensor("weights", layer.weights);
    if (layer.activations) tensor("activations", *layer.activations);
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
  for (const char* name : {"exact/model.xml", "model.xml"}) {
    if (!std::filesystem::is_regular_file(folder / name)) continue;
    ov::Core core;
    const auto model = read_any(core, (folder / name).string());
    if (!promises_same_bits(*model)) continue;
    fmt::print("{}: ", name);
    print_float_operations(float_operations(*model));
  }
  return 0;
}

}  // namespace

int run_inspect(const std::string& path, const CommonArguments& common) {
  if (std::filesystem::is_directory(path)) return inspect_result(path, common);
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  const PreparedModel prepared = import_model(core, path);
  Json layers = Json::array();
  for (const Layer& layer : prepared.layers) {
    const std::string shape = layer.weights()->get_shape().to_string();
    layers.push_back({{"name", layer.name},
                      {"type", layer.node->get_type_name()},
                      {"shape", layer.weights()->get_shape()},
                      {"bytes", 4 * layer.rows * layer.columns}});
    if (!common.json)
      fmt::print("{:<44} {:<18} {:<20} {:>10}\n", layer.name, layer.node->get_type_name(), shape,
                 human_bytes(4 * layer.rows * layer.columns));
  }
  Json rest = Json::array();
  for (const UnquantizedLayer& layer : prepared.unquantized) {
    rest.push_back({{"name", layer.name}, {"type", layer.type}, {"reason", layer.reason}});
    if (!common.json) fmt::print("{:<44} {:<18} not quantized: {}\n", layer.name, layer.type, layer.reason);
  }
  if (common.json) print_json({{"layers", layers}, {"unquantized", rest}});
  return 0;
}

int run_ram(const std::string& file) {
  const auto resident = [] {
    std::ifstream status("/proc/self/status");
    std::string word;
    long long anonymous = 0;
    while (status >> word)
      if (word == "RssAnon:") status >> anonymous;
    return anonymous * 1024;
  };
  ov::Core core;
  {  // what the runtime itself takes is not the model's
    const auto parameter = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{1});
    core.compile_model(
        std::make_shared<ov::Model>(ov::OutputVector{parameter->output(0)}, ov::ParameterVector{parameter}), "CPU");
  }
  const long long before = resident();
  auto compiled = core.compile_model(read_any(core, file), "CPU", ov::hint::inference_precision(ov::element::f32));
  auto request = compiled.create_infer_request();
  fmt::print("{}\n", std::max(0LL, resident() - before));
  return 0;
}

}  // namespace dnateq
