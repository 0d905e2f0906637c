#include "job/quantize_job.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <openvino/openvino.hpp>
#include <optional>
#include <utility>

#include "core/atomic_file.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "graph/batch_axis.h"
#include "graph/calls.h"
#include "graph/evaluate.h"
#include "graph/import.h"
#include "job/inputs.h"
#include "job/int8_model.h"
#include "job/job_file.h"
#include "job/language_folder.h"
#include "job/process.h"
#include "job/quantize_options.h"
#include "job/result_folder.h"
#include "job/result_writer.h"
#include "ops/ops.h"
#include "quantize/quantize.h"
#include "report/report.h"

namespace dnateq {
namespace {

using Json = nlohmann::ordered_json;

// A larger source is not compiled as a whole, which would take more memory than all else.
constexpr int64_t kMostBytesToMeasureRam = int64_t{1} << 28;

// Resident bytes of the compiled model, from a process of its own (memory_job.h); 0 if that fails.
int64_t ram_of(const std::filesystem::path& program, const std::filesystem::path& model) {
  if (program.empty()) return 0;
  try {
    return std::strtoll(run_and_read({{program.string(), "measure-ram", model.string()}, {}}, {}).c_str(), nullptr, 10);
  } catch (const Error&) {
    return 0;
  }
}

ReportInput report_input(const QuantizeResult& result, int64_t ram, int64_t ram_fp32) {
  ReportInput input;
  input.recipe = result.recipe;
  input.seconds = result.seconds;
  for (const auto& view : result.views) input.tensors.push_back({view.layer, view.is_weights, view.histogram});
  input.bits_loss_curve = result.bits_loss_curve;
  input.bytes_fp32 = result.bytes_fp32;
  input.bytes_int8 = result.bytes_int8;
  input.int8_is_estimate = result.int8_is_estimate;
  input.has_int8_metric = result.int8_metric.has_value();
  input.int8_metric = result.int8_metric.value_or(0);
  input.emission = result.emission;
  input.bytes_standard = result.bytes_standard;
  input.bytes_exact = result.bytes_exact;
  input.bytes_ram = ram;
  input.bytes_ram_fp32 = ram_fp32;
  return input;
}

PreparedModel import_for(ov::Core& core, const QuantizeArguments& arguments) {
  PreparedModel prepared = import_model(core, arguments.model, import_options_of(arguments));
  if (!arguments.model_fingerprint.empty() && prepared.fingerprint != arguments.model_fingerprint)
    throw Error(
        fmt::format("'{}' is not the model that was measured any more; run dnateq quantize again", arguments.model));
  return prepared;
}

// Bytes that hold a network's weights: of IR the .bin file, else the model's only one. 0 if it cannot be read.
int64_t weight_file_bytes(const std::filesystem::path& model) {
  std::filesystem::path file = model;
  if (file.extension() == ".xml") file.replace_extension(".bin");
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(file, failed);
  return failed ? 0 : static_cast<int64_t>(bytes);
}

void note_int8_bytes(const std::filesystem::path& model, QuantizeResult& result) {
  const int64_t bytes = model.empty() ? 0 : weight_file_bytes(model);
  if (bytes <= 0) return;
  result.bytes_int8 = bytes;
  result.int8_is_estimate = false;
}

std::string stem_of(const QuantizeArguments& arguments) { return arguments.of_folder ? kLanguageStem : kStem; }

// What a folder holds beside the models and the recipe. Returns RAM.
int64_t complete_folder(const std::filesystem::path& directory, const QuantizeArguments& arguments,
                        const QuantizeResult& result, const std::string& fingerprint,
                        const std::filesystem::path& int8_model, const std::filesystem::path& program) {
  const int64_t ram = ram_of(program, directory / (stem_of(arguments) + ".xml"));
  if (arguments.of_folder) copy_companions(std::filesystem::path(arguments.model).parent_path(), directory);
  const bool small = weight_file_bytes(arguments.model) < kMostBytesToMeasureRam;
  ReportInput input = report_input(result, ram, small ? ram_of(program, arguments.model) : 0);
  if (!int8_model.empty()) input.bytes_ram_int8 = ram_of(program, int8_model);
  write_file_atomically(directory / "report.html", render_html(input));
  save_report_input(input, directory);
  write_file_atomically(directory / "measurements" / "job.json", job_to_json(arguments, fingerprint));
  return ram;
}

// Calls that hold several samples become that many.
JobData in_samples(ov::Core& core, const PreparedModel& prepared, const QuantizeArguments& arguments, JobData data) {
  const std::optional<int64_t> asked = batch_axis(arguments.calibration);
  data.calibration = as_samples(core, prepared.model, data.calibration, asked);
  if (data.validation) data.validation = as_samples(core, prepared.model, data.validation, asked);
  return data;
}

// The files that the arguments name.
JobData open_files(const QuantizeArguments& arguments, const std::vector<std::string>& inputs) {
  JobData data;
  data.calibration = open_data(arguments.calibration, inputs, arguments.model);
  DataArguments validation = arguments.calibration;
  if (!arguments.validation.empty()) {
    (validation.text.empty() ? validation.path : validation.text) = arguments.validation;
    data.validation = open_data(validation, inputs, arguments.model);
  }
  data.labels = open_labels(arguments.labels, validation);
  return data;
}

QuantizeOptions options_for(const QuantizeArguments& arguments, const JobSetting& setting) {
  const bool files = !setting.open;
  QuantizeOptions options = options_of(arguments, setting.threads, setting.progress,
                                       files ? !arguments.validation.empty() : setting.has_validation,
                                       files ? !arguments.labels.empty() : setting.has_labels);
  if (arguments.metric.starts_with("function:")) options.judge = setting.judge;
  return options;
}

FinishedJob finished(QuantizeResult result, int64_t ram) {
  FinishedJob job;
  job.recipe = std::move(result.recipe);
  job.bits_loss_curve = std::move(result.bits_loss_curve);
  job.bytes_fp32 = result.bytes_fp32;
  job.bytes_int8 = result.bytes_int8;
  job.int8_is_estimate = result.int8_is_estimate;
  job.bytes_file = result.bytes_standard > 0 ? result.bytes_standard : result.bytes_exact;
  job.bytes_ram = ram;
  job.int8_metric = result.int8_metric;
  job.seconds = result.seconds;
  return job;
}

void check_samples(const Samples& calibration, const std::filesystem::path& measured) {
  if (calibration.fingerprint() != load_result(measured).data_fingerprint)
    throw Error(
        fmt::format("'{}' does not hold the samples that '{}' was calibrated with; give those, or run dnateq "
                    "quantize",
                    calibration.source(), measured.string()));
}

void copy_measurements(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code failed;
  std::filesystem::copy_file(from / "measurements" / "measurements.cbor", to / "measurements" / "measurements.cbor",
                             std::filesystem::copy_options::overwrite_existing, failed);
  if (failed)
    throw Error(fmt::format("the measurements of '{}' cannot be copied to '{}': {}", from.string(), to.string(),
                            failed.message()));
}

// `measured`: the result whose measurements are taken, if any.
FinishedJob fill_folder(ResultWriter& folder, const QuantizeArguments& arguments, QuantizeOptions options,
                        const JobSetting& setting, const std::filesystem::path& measured = {}) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());  // to tell a result of dnateq from a damaged file
  const PreparedModel prepared = import_for(core, arguments);
  const std::vector<std::string> names = input_names(*prepared.model);
  const JobData data =
      in_samples(core, prepared, arguments, setting.open ? setting.open(names) : open_files(arguments, names));
  if (!measured.empty()) check_samples(*data.calibration, measured);
  if (options.output.empty() && !is_external(metric_of(options)) && setting.say)
    if (const std::string note = note_on_default_output(*prepared.model); !note.empty()) setting.say(note);
  if (setting.say && std::filesystem::exists(folder.directory() / "recipe.dnateq.json"))
    setting.say(fmt::format("'{}' holds a former result, which the new one replaces once it is whole",
                            folder.directory().string()));
  folder.start(options.resume);
  if (!measured.empty()) copy_measurements(measured, folder.work());
  const std::filesystem::path int8_model = int8_model_for(
      arguments, prepared, *data.calibration, {folder.directory(), folder.work()}, setting.installation, setting.say);
  if (!int8_model.empty()) options.int8_models = {int8_model};
  const NetworkInput network{"", &prepared, data.calibration.get(), arguments.model, folder.work(), stem_of(arguments)};
  QuantizeResult result = std::move(quantize(core, {network}, data.validation.get(), data.labels, options).front());
  note_int8_bytes(int8_model, result);
  const int64_t ram =
      complete_folder(folder.work(), arguments, result, prepared.fingerprint, int8_model, setting.installation.program);
  folder.publish();
  return finished(std::move(result), ram);
}

std::string resumed() { return fmt::format("the same call with {} puts it in place", option("resume")); }

// Nothing half-made stays, unless the user stopped the work: that can be resumed. What is whole stays in any case;
// `again` says how it comes to its place.
template <typename Work>
auto with_folders(const std::vector<ResultWriter>& folders, const std::string& again, const Work& work) {
  try {
    return work();
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    if (folders.front().whole())
      throw Error(
          fmt::format("{}; the new result is whole and stays in '{}', and once what is in the way is moved away, {}",
                      error.marked(), folders.front().work().string(), again));
    for (const ResultWriter& folder : folders) folder.discard();
    throw;
  } catch (...) {
    for (const ResultWriter& folder : folders) folder.discard();
    throw;
  }
}

ResultWriter writer_for(const std::filesystem::path& directory, const QuantizeArguments& arguments, bool resume) {
  spare(directory, arguments.model, "the network itself");
  for (const std::string& file :
       {arguments.calibration.path, arguments.calibration.text, arguments.validation, arguments.labels})
    if (!file.empty()) spare(directory, file, "data of this run");
  ResultWriter folder(directory, arguments.of_folder);
  if (resume && !folder.can_resume())
    throw Error(fmt::format("there is nothing to resume in '{}'; leave {} out", directory.string(), option("resume")));
  return folder;
}

const std::string kMadeAgain = "the same call makes it again";

// Fills the folder of each network's name in `directory`. `measured`: the folder of the results whose measurements are
// taken, if any.
std::vector<FinishedJob> fill_folders(const std::filesystem::path& directory, const std::vector<JobNetwork>& networks,
                                      const JobSetting& setting, const std::filesystem::path& measured = {}) {
  QuantizeOptions options = options_for(networks.front().arguments, setting);
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  std::vector<PreparedModel> prepared;
  std::vector<JobData> data;
  std::vector<std::filesystem::path> int8_models;  // by network; empty: none
  for (const JobNetwork& network : networks) {
    prepared.push_back(import_for(core, network.arguments));
    data.push_back(
        in_samples(core, prepared.back(), network.arguments, network.open(input_names(*prepared.back().model))));
    if (!measured.empty()) check_samples(*data.back().calibration, measured / network.name);
    const std::string& int8 = network.arguments.int8;
    int8_models.emplace_back(int8 == "none" ? std::string() : int8);
    if (!int8_models.back().empty()) options.int8_models.push_back(int8_models.back());
  }
  std::vector<ResultWriter> folders;
  for (const JobNetwork& network : networks)
    folders.push_back(writer_for(directory / network.name, network.arguments, measured.empty() && options.resume));
  return with_folders(folders, measured.empty() ? resumed() : kMadeAgain, [&] {
    std::vector<NetworkInput> inputs;
    for (size_t n = 0; n < networks.size(); ++n) {
      folders[n].start(options.resume);
      if (!measured.empty()) copy_measurements(measured / networks[n].name, folders[n].work());
      inputs.push_back({networks[n].name, &prepared[n], data[n].calibration.get(), networks[n].arguments.model,
                        folders[n].work(), stem_of(networks[n].arguments)});
    }
    std::vector<QuantizeResult> results = quantize(core, inputs, nullptr, {}, options);
    std::vector<FinishedJob> jobs;
    for (size_t n = 0; n < networks.size(); ++n) {
      note_int8_bytes(int8_models[n], results[n]);
      const int64_t ram = complete_folder(inputs[n].directory, networks[n].arguments, results[n],
                                          prepared[n].fingerprint, int8_models[n], setting.installation.program);
      jobs.push_back(finished(std::move(results[n]), ram));
    }
    ResultWriter::publish_all(folders);
    return jobs;
  });
}

Json or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json emissions_of(const Recipe& recipe) {
  Json list = Json::array();
  for (const EmissionResult& e : recipe.emissions)
    list.push_back({{"emission", e.emission},
                    {"score", or_null(e.score)},
                    {"loss", or_null(e.loss)},
                    {"interval", e.samples > 0 ? Json({or_null(e.low), or_null(e.high)}) : Json(nullptr)},
                    {"upper_bound", or_null(e.upper_bound)},
                    {"bound_method", e.bound_method},
                    {"certified", e.certified},
                    {"samples", e.samples},
                    {"samples_needed", e.samples_needed},
                    {"bytes", e.bytes},
                    {"graph_bytes", e.graph_bytes},
                    {"bits_on_disk", e.bits_on_disk > 0 ? Json(e.bits_on_disk) : Json(nullptr)}});
  return list;
}

Json passed_of(const PassedActivations& passed) {
  Json list = Json::array();
  for (const FloatActivation& tensor : passed.in_float)
    list.push_back(
        {{"name", tensor.name}, {"type", tensor.type}, {"elements", tensor.elements}, {"share", tensor.share}});
  return {{"emission", passed.emission},
          {"values", passed.values},
          {"mean_bits", or_null(passed.mean_bits)},
          {"in_float", list}};
}

}  // namespace

Json summary_of(const FinishedJob& job) {
  const Recipe& recipe = job.recipe;
  const BitSummary weights = weight_bits(recipe), activations = activation_bits(recipe);
  const MetricResult metric = recipe.metric.value_or(MetricResult{});
  Json thresholds;  // null but for the paper's search
  if (recipe.thresholds)
    thresholds = {{"weights", recipe.thresholds->weights}, {"activations", recipe.thresholds->activations}};
  return {
      {"weights", {{"stored_bits", weights.stored_bits}, {"tensor_mean_bits", weights.tensor_mean_bits}}},
      {"activations", {{"stored_bits", activations.stored_bits}, {"tensor_mean_bits", activations.tensor_mean_bits}}},
      {"all", {{"tensor_mean_bits", all_tensor_mean_bits(recipe)}}},
      {"metric",
       {{"name", metric.name},
        {"reference", or_null(metric.reference)},
        {"quantized", or_null(metric.quantized)},
        {"exact", or_null(metric.exact)},
        {"confidence", metric.samples > 0 ? Json({metric.confidence_low, metric.confidence_high}) : Json(nullptr)},
        {"samples", metric.samples},
        {"samples_from", metric.samples_from},
        {"held_out", metric.held_out}}},
      {"emissions", emissions_of(recipe)},
      {"parameters", recipe.parameters},
      {"passed_activations", passed_of(recipe.passed)},
      {"limit", or_null(metric.limit)},
      {"certified", metric.certified},
      {"verdict", metric.verdict},
      {"bytes",
       {{"fp32", job.bytes_fp32},
        {"int8", job.bytes_int8},
        {"int8_is_estimate", job.int8_is_estimate},
        {"file", job.bytes_file},
        {"ram", job.bytes_ram}}},
      {"note", recipe.split ? recipe.split->note : std::string()},
      {"thresholds", thresholds},
      {"seconds", job.seconds}};
}

std::vector<FinishedJob> run_quantize_many_job(const std::filesystem::path& directory,
                                               const std::vector<JobNetwork>& networks, const JobSetting& setting) {
  return fill_folders(directory, networks, setting);
}

std::vector<FinishedJob> run_allocate_many_job(const std::filesystem::path& from,
                                               const std::filesystem::path& directory,
                                               const std::vector<JobNetwork>& networks, const JobSetting& setting) {
  for (const JobNetwork& network : networks) load_result(from / network.name);
  return fill_folders(directory, networks, setting, from);
}

FinishedJob run_quantize_job(const std::filesystem::path& directory, const QuantizeArguments& given,
                             const JobSetting& setting) {
  const QuantizeArguments arguments = with_language_defaults(given);
  if (!setting.open && arguments.calibration.path.empty() && arguments.calibration.text.empty())
    throw Error(fmt::format("there is nothing to calibrate '{}' with; give {}, or {} for a language model", given.model,
                            option("calibration"), option("text")));
  const QuantizeOptions options = options_for(arguments, setting);
  std::vector<ResultWriter> folder;
  folder.push_back(writer_for(directory, arguments, options.resume));
  return with_folders(folder, resumed(), [&] { return fill_folder(folder.front(), arguments, options, setting); });
}

QuantizeArguments noted_arguments(const std::filesystem::path& from) {
  const std::filesystem::path file = from / "measurements" / "job.json";
  if (!std::filesystem::exists(from / "unfinished" / "complete")) check_result(from);
  if (!std::filesystem::exists(file))
    throw Error(
        fmt::format("'{}' is no finished result of dnateq quantize (it has no measurements/job.json)", from.string()));
  QuantizeArguments arguments = load_job(file);
  arguments.int8 = "none";
  if (const std::string made_of = int8_made_of(from); !made_of.empty()) {
    const Recipe recipe = load_recipe(from / "recipe.dnateq.json");
    const std::filesystem::path int8 = from / "int8" / "model.xml";
    if (made_of == int8_key(recipe.model_fingerprint, recipe.data_fingerprint) && std::filesystem::exists(int8))
      arguments.int8 = int8.string();
  }
  arguments.resume = true;
  return arguments;
}

QuantizeArguments arguments_of_result(const std::filesystem::path& from) {
  QuantizeArguments arguments = noted_arguments(from);
  arguments.model.clear();
  arguments.calibration.path.clear();
  arguments.calibration.text.clear();
  arguments.validation.clear();
  if (arguments.labels != "names") arguments.labels.clear();
  if (arguments.metric.starts_with("command:") || arguments.metric.starts_with("function:")) arguments.metric.clear();
  return arguments;
}

FinishedJob run_allocate_job(const std::filesystem::path& from, const std::filesystem::path& directory,
                             const QuantizeArguments& given, const JobSetting& setting) {
  const QuantizeArguments arguments = with_language_defaults(given);
  const QuantizeOptions options = options_for(arguments, setting);
  load_result(from);
  std::vector<ResultWriter> folder;
  folder.push_back(writer_for(directory, arguments, false));
  return with_folders(folder, kMadeAgain,
                      [&] { return fill_folder(folder.front(), arguments, options, setting, from); });
}

}  // namespace dnateq
