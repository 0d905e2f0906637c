// dnateq quantize, allocate, report.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>
#include <sstream>
#include <thread>

#include "cli/commands.h"
#include "cli/output_folder.h"
#include "cli/scripts.h"
#include "core/atomic_file.h"
#include "dnateq/error.h"
#include "dnateq/recipe.h"
#include "openvino/evaluate.h"
#include "openvino/import.h"
#include "openvino/ops/ops.h"
#include "openvino/quantize.h"
#include "report/report.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

double number(const std::string& text, const char* option) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw Error(fmt::format("{} '{}' is not a number; see --help", option, text));
  return value;
}

double parse_loss(const std::string& text) {
  const bool percent = text.ends_with('%');
  const double value = number(percent ? text.substr(0, text.size() - 1) : text, "--max-loss") / (percent ? 100 : 1);
  if (value < 0 || value >= 1) throw Error("--max-loss must lie between 0% and 100%; write 1% or 0.01 for one point");
  return value;
}

std::pair<double, double> parse_bits(const std::string& text) {
  const size_t slash = text.find('/');
  const double weights = number(text.substr(0, slash), "--target-bits");
  const double activations = slash == std::string::npos ? weights : number(text.substr(slash + 1), "--target-bits");
  for (const double bits : {weights, activations})
    if (bits < 2 || bits > 32) throw Error("--target-bits must lie between 2 and 32 stored bits a value");
  return {weights, activations};
}

double parse_time(const std::string& text) {
  if (text.empty()) return 0;
  const char unit = text.back();
  const double scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : 1;
  const bool has_unit = unit == 'h' || unit == 'm' || unit == 's';
  const double value = number(has_unit ? text.substr(0, text.size() - 1) : text, "--budget") * scale;
  if (!(value > 0)) throw Error("--budget must be a time above zero, such as 90s, 10m or 1h");
  return value;
}

// What `allocate` needs to know of an earlier run.
Json job_of(const QuantizeArguments& a, const std::string& model_fingerprint) {
  const auto absolute = [](const std::string& path) {
    return path.empty() ? path : std::filesystem::absolute(path).string();
  };
  return {{"model", absolute(a.model)},
          {"model_fingerprint", model_fingerprint},
          {"calibration", absolute(a.calibration.path)},
          {"mean", a.calibration.mean},
          {"std", a.calibration.std},
          {"resize", a.calibration.resize},
          {"crop", a.calibration.crop},
          {"color", a.calibration.color},
          {"layout", a.calibration.layout},
          {"validation", absolute(a.validation)},
          {"labels", a.labels == "names" ? a.labels : absolute(a.labels)},
          {"metric", a.metric},
          {"strategy", a.strategy},
          {"family", a.family},
          {"emit", a.emit},
          {"expect_m", a.expect_m},
          {"weights_only", a.weights_only},
          {"only", a.only},
          {"ignore", a.ignore},
          {"untie", a.untie},
          {"output", a.output_name},
          {"seed", a.seed}};
}

QuantizeArguments arguments_of(const Json& job) {
  QuantizeArguments a;
  a.model = job.at("model");
  a.model_fingerprint = job.at("model_fingerprint");
  a.calibration = {job.at("calibration"), job.at("mean"),  job.at("std"),   job.at("resize"),
                   job.at("crop"),        job.at("color"), job.at("layout")};
  a.validation = job.at("validation");
  a.labels = job.at("labels");
  a.metric = job.at("metric");
  a.strategy = job.at("strategy");
  a.family = job.at("family");
  a.emit = job.at("emit");
  a.expect_m = job.value("expect_m", int64_t{0});
  a.weights_only = job.at("weights_only");
  a.only = job.at("only").get<std::vector<std::string>>();
  a.ignore = job.at("ignore").get<std::vector<std::string>>();
  a.untie = job.value("untie", std::vector<std::string>());
  a.output_name = job.at("output");
  a.seed = job.at("seed");
  return a;
}

std::string options_text(const QuantizeArguments& a) {
  std::string text = fmt::format("--strategy {} --family {} --emit {} --seed {}", a.strategy, a.family, a.emit, a.seed);
  if (!a.max_loss.empty()) text += " --max-loss " + a.max_loss;
  if (!a.target_bits.empty()) text += " --target-bits " + a.target_bits;
  if (a.weight_bits > 0) text += fmt::format(" --weight-bits {}", a.weight_bits);
  if (a.activation_bits > 0) text += fmt::format(" --activation-bits {}", a.activation_bits);
  if (!a.metric.empty()) text += " --metric " + a.metric;
  if (!a.output_name.empty()) text += " --output " + a.output_name;
  if (a.weights_only) text += " --weights-only";
  for (const std::string& pattern : a.only) text += " --only " + pattern;
  for (const std::string& pattern : a.ignore) text += " --ignore " + pattern;
  for (const std::string& pattern : a.untie) text += " --untie " + pattern;
  return text;
}

// Resident bytes of the compiled model, from a process of its own; 0 if that fails.
int64_t ram_of(const std::filesystem::path& model) {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0) return 0;
  self[length] = '\0';
  const std::string line =
      fmt::format("{} measure-ram {} 2>/dev/null", shell_quoted(self), shell_quoted(model.string()));
  std::FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return 0;
  long long bytes = 0;
  if (std::fscanf(pipe, "%lld", &bytes) != 1) bytes = 0;
  pclose(pipe);
  return bytes;
}

ReportInput report_input(const QuantizeResult& result, int64_t ram, int64_t ram_fp32) {
  ReportInput input;
  input.recipe = result.recipe;
  input.seconds = result.seconds;
  for (const auto& view : result.views) input.tensors.push_back({view.layer, view.is_weights, view.histogram});
  input.bits_loss_curve = result.bits_loss_curve;
  input.bytes_fp32 = result.bytes_fp32;
  input.bytes_int8 = result.bytes_int8;
  input.has_int8_metric = result.int8_metric.has_value();
  input.int8_metric = result.int8_metric.value_or(0);
  input.emission = result.emission;
  input.bytes_standard = result.bytes_standard;
  input.bytes_exact = result.bytes_exact;
  input.bytes_ram = ram;
  input.bytes_ram_fp32 = ram_fp32;
  return input;
}

// The report's data that the recipe does not hold, so that `dnateq report` can draw it again.
void save_views(const ReportInput& input, const std::filesystem::path& file) {
  Json tensors = Json::array();
  for (const TensorView& view : input.tensors) {
    Json keys = Json::array(), counts = Json::array();
    for (const Histogram::Entry& entry : view.histogram.entries()) {
      keys.push_back(entry.key);
      counts.push_back(entry.count);
    }
    tensors.push_back({{"layer", view.layer},
                       {"weights", view.is_weights},
                       {"keys", keys},
                       {"counts", counts},
                       {"zeros", view.histogram.zeros()},
                       {"minimum", view.histogram.minimum()},
                       {"maximum", view.histogram.maximum()}});
  }
  const Json document = {{"tensors", tensors},
                         {"curve", input.bits_loss_curve},
                         {"seconds", input.seconds},
                         {"emission", input.emission},
                         {"bytes",
                          {input.bytes_fp32, input.bytes_int8, input.bytes_standard, input.bytes_exact, input.bytes_ram,
                           input.bytes_ram_fp32}}};
  write_file_atomically(file, Json::to_cbor(document));
}

Json summary_json(const QuantizeResult& result, int64_t ram) {
  const Recipe& recipe = result.recipe;
  const BitSummary weights = weight_bits(recipe), activations = activation_bits(recipe);
  const auto or_null = [](double value) { return std::isnan(value) ? Json(nullptr) : Json(value); };
  const MetricResult metric = recipe.metric.value_or(MetricResult{});
  return {
      {"weights", {{"stored_bits", weights.stored_bits}, {"tensor_mean_bits", weights.tensor_mean_bits}}},
      {"activations", {{"stored_bits", activations.stored_bits}, {"tensor_mean_bits", activations.tensor_mean_bits}}},
      {"all", {{"tensor_mean_bits", all_tensor_mean_bits(recipe)}}},
      {"metric",
       {{"name", metric.name},
        {"reference", or_null(metric.reference)},
        {"quantized", or_null(metric.quantized)},
        {"exact", or_null(metric.exact)},
        {"confidence", {metric.confidence_low, metric.confidence_high}}}},
      {"bytes",
       {{"fp32", result.bytes_fp32},
        {"int8", result.bytes_int8},
        {"file", result.bytes_standard > 0 ? result.bytes_standard : result.bytes_exact},
        {"ram", ram}}},
      {"seconds", result.seconds}};
}

void print_summary(const QuantizeResult& result, const std::filesystem::path& directory) {
  const Recipe& recipe = result.recipe;
  fmt::print("{:<44} {:<16} {:>9} {:>4} {:>4} {:>8} {:>8}\n", "layer", "type", "weights", "w", "a", "SQNR w",
             "SQNR out");
  for (const LayerRecipe& layer : recipe.layers) {
    const std::string name = layer.name.size() > 44 ? "..." + layer.name.substr(layer.name.size() - 41) : layer.name;
    const std::string activation =
        layer.activations ? fmt::format("{}", layer.activations->code.stored_bits) : std::string("-");
    fmt::print("{:<44} {:<16} {:>9} {:>4} {:>4} {:>5.1f} dB {}\n", name, layer.type, layer.weights.elements,
               layer.weights.code.stored_bits, activation, layer.weights.sqnr_db,
               layer.output_sqnr_db < 119 ? fmt::format("{:>5.1f} dB", layer.output_sqnr_db) : "       -");
  }
  for (const UnquantizedLayer& layer : recipe.unquantized)
    fmt::print("{:<44} {:<16} {:>9}  FP32: {}\n", layer.name, layer.type, layer.weight_elements, layer.reason);
  const BitSummary weights = weight_bits(recipe), activations = activation_bits(recipe);
  fmt::print("\nweights      {:.3f} stored bits a value ({:.1f}x smaller than FP32)\n", weights.stored_bits,
             weights.compression_vs_fp32);
  if (activations.stored_bits > 0) fmt::print("activations  {:.3f} stored bits a value\n", activations.stored_bits);
  fmt::print("size         FP32 {}, INT8 {}", human_bytes(result.bytes_fp32), human_bytes(result.bytes_int8));
  if (result.bytes_standard > 0) fmt::print(", {} {}", result.emission, human_bytes(result.bytes_standard));
  if (result.bytes_exact > 0) fmt::print(", exact {}", human_bytes(result.bytes_exact));
  if (const auto& m = recipe.metric) {
    fmt::print("\n{:<12} FP32 {:.4f}", m->name, m->reference);
    if (result.int8_metric) fmt::print(", INT8 {:.4f}", *result.int8_metric);
    if (!std::isnan(m->quantized)) fmt::print(", {} (8-bit activations) {:.4f}", result.emission, m->quantized);
    if (!std::isnan(m->exact)) fmt::print(", exact {:.4f}", m->exact);
    fmt::print("  difference 95 % within [{:+.4f}, {:+.4f}], {} samples from {}", m->confidence_low, m->confidence_high,
               m->samples, m->samples_from);
  }
  fmt::print("\ntime         {:.1f} s\nreport       {}\n", result.seconds, (directory / "report.html").string());
}

struct Emissions {
  bool standard = false, cpu = false, exact = false;
};

// A list such as "standard,exact"; "both" is "cpu,exact".
Emissions emissions_of(const std::string& list) {
  Emissions wanted;
  std::istringstream words(list == "both" ? "cpu,exact" : list);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "standard")
      wanted.standard = true;
    else if (word == "cpu")
      wanted.cpu = true;
    else if (word == "exact")
      wanted.exact = true;
    else
      throw Error(
          fmt::format("--emit takes standard, cpu, exact or both, or a list such as standard,exact, not '{}'", list));
  }
  if (wanted.standard && wanted.cpu)
    throw Error("--emit standard and --emit cpu write the same file, model.xml; give one of them");
  if (!wanted.standard && !wanted.cpu && !wanted.exact)
    throw Error("--emit is empty; give standard, cpu, exact or both");
  return wanted;
}

// What the options ask for, and whether they agree with each other.
QuantizeOptions options_of(const QuantizeArguments& arguments, const CommonArguments& common) {
  QuantizeOptions options;
  options.strategy = arguments.strategy;
  options.family = family_from_string(arguments.family, &options.pow2_q);
  const int wishes = static_cast<int>(!arguments.max_loss.empty()) + static_cast<int>(!arguments.target_bits.empty()) +
                     static_cast<int>(arguments.weight_bits > 0 || arguments.activation_bits > 0);
  if (wishes > 1)
    throw Error("--max-loss, --target-bits and --weight-bits/--activation-bits exclude each other; give one of them");
  if (!arguments.target_bits.empty()) {
    std::tie(options.target_weight_bits, options.target_activation_bits) = parse_bits(arguments.target_bits);
  } else if (arguments.weight_bits > 0 || arguments.activation_bits > 0) {
    if (arguments.weight_bits > 0) options.weight_bits = arguments.weight_bits;
    if (arguments.activation_bits > 0) options.activation_bits = arguments.activation_bits;
  } else {
    options.max_loss = arguments.max_loss.empty() ? 0.01 : parse_loss(arguments.max_loss);
  }
  options.metric = arguments.metric;
  options.output = arguments.output_name;
  const Emissions emit = emissions_of(arguments.emit);
  options.emit_standard = emit.standard || emit.cpu;
  options.emit_exact = emit.exact;
  options.packed = emit.cpu;
  options.expected_rows = arguments.expect_m;
  options.weights_only = arguments.weights_only;
  options.seed = arguments.seed;
  options.threads = thread_count(common);
  options.budget_seconds = parse_time(arguments.budget);
  options.resume = arguments.resume;
  options.options_text = options_text(arguments);
  options.model_file = arguments.model;
  options.progress = common.progress;
  if (options.strategy == "paper") {
    if (!options.emit_exact)
      throw Error(fmt::format(
          "--strategy paper has real levels, which the int8 table of --emit {} cannot hold; use --emit exact",
          arguments.emit));
    options.emit_standard = false;
  }
  if (options.strategy != "optimal" && options.family != Family::kFree)
    throw Error(
        fmt::format("--family belongs to --strategy optimal; leave it out with --strategy {}", options.strategy));
  const std::string metric = arguments.metric;
  if (!metric.empty()) metric_from_string(metric);
  if (metric.starts_with("command:") && !arguments.output_name.empty())
    throw Error("--output has no meaning with --metric command:CMD; leave it out");
  if (!arguments.labels.empty() && arguments.validation.empty())
    throw Error("--labels belong to --validation samples; give those too");
  if ((metric == "top1" || metric == "top5") && arguments.labels.empty())
    throw Error(
        fmt::format("--metric {} needs --validation and --labels; without labels use agreement or cosine", metric));
  const bool wants_activations = arguments.activation_bits > 0 || arguments.target_bits.find('/') != std::string::npos;
  if (wants_activations && arguments.weights_only)
    throw Error("--weights-only leaves activations in FP32; give bits for the weights alone");
  if (arguments.expect_m > 0 && !options.packed) throw Error("--expect-m belongs to --emit cpu");
  if (wants_activations && !options.emit_exact && arguments.activation_bits != 8 &&
      options.target_activation_bits.value_or(0) != 8)
    throw Error(fmt::format("--emit {} keeps activations at 8 bits; give bits for the weights alone, or --emit exact",
                            arguments.emit));
  return options;
}

// An INT8 model of the same network to compare with: the one that was given; else, where NNCF is installed, one that
// NNCF makes of the same calibration data, in DIR/int8. Nothing if it cannot be made: the result does not depend on it.
std::filesystem::path int8_peer(const QuantizeArguments& arguments, const PreparedModel& prepared,
                                const Samples& calibration, const std::filesystem::path& directory, bool quiet) {
  if (arguments.int8 == "none") return {};
  if (!arguments.int8.empty()) return arguments.int8;
  const std::filesystem::path scripts = find_scripts(), data = arguments.calibration.path;
  std::error_code failed;
  bool arrays = data.extension() == ".npz";
  for (const auto& entry : std::filesystem::directory_iterator(data, failed))
    arrays = arrays || entry.path().extension() == ".npz";
  if (scripts.empty() || !arrays || access(peers_python(scripts).c_str(), X_OK) != 0) return {};
  const std::filesystem::path folder = directory / "int8", model = folder / "model.xml", log = folder / "nncf.log";
  // Written last: a model that was not finished, or is of another network or other data, is made again.
  const std::filesystem::path key_file = folder / "made_of";
  const std::string key = prepared.fingerprint + " " + calibration.fingerprint();
  std::string made_of;
  if (std::ifstream stream(key_file); std::getline(stream, made_of) && made_of == key) return model;
  std::filesystem::create_directories(folder, failed);
  std::error_code ignored;
  std::filesystem::remove(key_file, ignored);
  if (!quiet) fmt::print(stderr, "dnateq: NNCF makes an INT8 model to compare with (--int8 none: without)\n");
  std::vector<std::string> command = {peers_python(scripts).string(),
                                      (scripts / "bench" / "nncf_int8.py").string(),
                                      arguments.model,
                                      "--calibration",
                                      data.string(),
                                      "-o",
                                      model.string()};
  const bool attention = std::any_of(prepared.unquantized.begin(), prepared.unquantized.end(), [](const auto& layer) {
    return layer.type == "MatMul" && layer.weight_elements == 0;
  });
  if (attention) command.insert(command.end(), {"--model-type", "transformer"});
  if (!failed && run_to_end(command, log)) {
    write_file_atomically(key_file, key);
    return model;
  }
  if (!quiet) fmt::print(stderr, "dnateq: it could not be made; {} says why\n", log.string());
  return {};
}

struct Finished {
  QuantizeResult result;
  int64_t ram;
};

Finished quantize_into(const std::filesystem::path& directory, const QuantizeArguments& arguments,
                       QuantizeOptions options, bool quiet) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());  // to tell a result of dnateq from a damaged file
  const PreparedModel prepared =
      import_model(core, arguments.model, {arguments.only, arguments.ignore, arguments.untie});
  if (!arguments.model_fingerprint.empty() && prepared.fingerprint != arguments.model_fingerprint)
    throw Error(
        fmt::format("'{}' is not the model that was measured any more; run dnateq quantize again", arguments.model));
  std::vector<std::string> inputs;
  for (const auto& input : prepared.model->inputs()) inputs.push_back(input.get_any_name());
  const std::unique_ptr<Samples> calibration = open_data(arguments.calibration, inputs);
  std::unique_ptr<Samples> validation;
  DataArguments validation_data = arguments.calibration;
  if (!arguments.validation.empty()) {
    validation_data.path = arguments.validation;
    validation = open_data(validation_data, inputs);
  }
  const std::vector<int64_t> labels = open_labels(arguments.labels, validation_data);
  options.int8_model = int8_peer(arguments, prepared, *calibration, directory, quiet);
  QuantizeResult result = quantize(core, prepared, *calibration, validation.get(), labels, options, directory);
  const int64_t ram = ram_of(directory / "model.xml");
  ReportInput input = report_input(result, ram, ram_of(arguments.model));
  if (!options.int8_model.empty()) input.bytes_ram_int8 = ram_of(options.int8_model);
  write_file_atomically(directory / "report.html", render_html(input));
  save_views(input, directory / "measurements" / "report.cbor");
  write_file_atomically(directory / "measurements" / "job.json", job_of(arguments, prepared.fingerprint).dump(1));
  return {std::move(result), ram};
}

// Nothing half-made stays where nothing was before, unless the user stopped the work: that can be resumed.
template <typename Work>
auto with_folder(const std::filesystem::path& directory, const Work& work) {
  const OutputFolder folder(directory);
  try {
    return work();
  } catch (const Cancelled&) {
    throw;
  } catch (...) {
    folder.discard();
    throw;
  }
}

}  // namespace

Recipe load_result(const std::filesystem::path& folder) {
  Recipe recipe = load_recipe(folder / "recipe.dnateq.json");
  std::ifstream stream(folder / "measurements" / "job.json");
  if (!stream) return recipe;  // the recipe alone was handed on
  const Json job = Json::parse(stream, nullptr, false);
  if (job.is_object() && job.contains("model_fingerprint") && job["model_fingerprint"] != recipe.model_fingerprint)
    throw Error(fmt::format("'{}' is the recipe of another model than the rest of '{}'; run dnateq quantize again",
                            (folder / "recipe.dnateq.json").string(), folder.string()));
  return recipe;
}

int run_quantize(const QuantizeArguments& arguments, const CommonArguments& common) {
  const QuantizeOptions options = options_of(arguments, common);
  const std::filesystem::path directory = arguments.directory;
  const std::filesystem::path measurements = directory / "measurements";
  if (arguments.resume && !std::filesystem::is_directory(measurements))
    throw Error(fmt::format("there is nothing to resume in '{}'; leave --resume out", directory.string()));
  const auto [result, ram] =
      with_folder(directory, [&] { return quantize_into(directory, arguments, options, common.quiet); });
  if (common.json)
    print_json(summary_json(result, ram));
  else
    print_summary(result, directory);
  return 0;
}

int run_allocate(const AllocateArguments& arguments, const CommonArguments& common) {
  const std::filesystem::path from = arguments.from;
  std::ifstream stream(from / "measurements" / "job.json");
  if (!stream)
    throw Error(
        fmt::format("'{}' is no finished result of dnateq quantize (it has no measurements/job.json)", from.string()));
  QuantizeArguments again;
  try {
    again = arguments_of(Json::parse(stream));
  } catch (const nlohmann::json::exception&) {
    throw Error(
        fmt::format("'{}' is damaged; run dnateq quantize again", (from / "measurements" / "job.json").string()));
  }
  if (arguments.target_bits.empty() == arguments.max_loss.empty())
    throw Error("give either --target-bits or --max-loss");
  again.target_bits = arguments.target_bits;
  again.max_loss = arguments.max_loss;
  again.resume = true;
  const std::filesystem::path int8 = from / "int8" / "model.xml";
  again.int8 = std::filesystem::exists(int8) ? int8.string() : "none";
  const QuantizeOptions options = options_of(again, common);
  load_result(from);
  const std::filesystem::path directory = arguments.directory, to = directory / "measurements";
  const auto [result, ram] = with_folder(directory, [&] {
    std::error_code failed;
    std::filesystem::create_directories(to, failed);
    if (!failed && !std::filesystem::equivalent(from / "measurements", to, failed))
      std::filesystem::copy_file(from / "measurements" / "measurements.cbor", to / "measurements.cbor",
                                 std::filesystem::copy_options::overwrite_existing, failed);
    if (failed)
      throw Error(fmt::format("the measurements of '{}' cannot be copied to '{}': {}", from.string(), to.string(),
                              failed.message()));
    return quantize_into(directory, again, options, common.quiet);
  });
  if (common.json) {
    Json summary = summary_json(result, ram);
    summary["curve"] = result.bits_loss_curve;
    print_json(summary);
    return 0;
  }
  fmt::print("bits a tensor, mean   predicted divergence\n");
  for (const auto& [bits, divergence] : result.bits_loss_curve) fmt::print("{:>20.3f}   {:.3g}\n", bits, divergence);
  print_summary(result, directory);
  return 0;
}

ReportInput load_report_input(const std::filesystem::path& folder) {
  ReportInput input;
  input.recipe = load_result(folder);
  const std::filesystem::path file = folder / "measurements" / "report.cbor";
  std::ifstream stream(file, std::ios::binary);
  try {
    const Json document = Json::from_cbor(stream);
    for (const Json& tensor : document.at("tensors")) {
      std::vector<Histogram::Entry> entries;
      for (size_t i = 0; i < tensor.at("keys").size(); ++i)
        entries.push_back({tensor.at("keys")[i].get<uint16_t>(), tensor.at("counts").at(i).get<uint64_t>()});
      input.tensors.push_back(
          {tensor.at("layer"), tensor.at("weights"),
           Histogram::from_entries(entries, tensor.at("zeros"), tensor.at("minimum"), tensor.at("maximum"))});
    }
    input.seconds = document.at("seconds");
    input.emission = document.value("emission", "standard");
    input.bits_loss_curve = document.at("curve").get<std::vector<std::pair<double, double>>>();
    const Json& bytes = document.at("bytes");
    input.bytes_fp32 = bytes.at(0);
    input.bytes_int8 = bytes.at(1);
    input.bytes_standard = bytes.at(2);
    input.bytes_exact = bytes.at(3);
    input.bytes_ram = bytes.at(4);
    input.bytes_ram_fp32 = bytes.at(5);
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("'{}' is missing or damaged; run dnateq quantize again", file.string()));
  }
  return input;
}

int run_report(const std::string& directory, const CommonArguments& common) {
  const std::filesystem::path folder = directory;
  write_file_atomically(folder / "report.html", render_html(load_report_input(folder)));
  if (common.json)
    print_json({{"report", (folder / "report.html").string()}});
  else
    fmt::print("{}\n", (folder / "report.html").string());
  return 0;
}

}  // namespace dnateq
