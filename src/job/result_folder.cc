#include "job/result_folder.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "dnateq/error.h"
#include "job/result_writer.h"

namespace dnateq {

using Json = nlohmann::ordered_json;

Recipe load_result(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "unfinished" / "complete"))  // a process was killed while it put the rest there
    const ResultWriter whole(folder);
  Recipe recipe = load_recipe(folder / "recipe.dnateq.json");
  std::ifstream stream(folder / "measurements" / "job.json");
  if (!stream) return recipe;  // the recipe alone was handed on
  const Json job = Json::parse(stream, nullptr, false);
  if (job.is_object() && job.contains("model_fingerprint") && job["model_fingerprint"] != recipe.model_fingerprint)
    throw Error(fmt::format("'{}' is the recipe of another model than the rest of '{}'; run dnateq quantize again",
                            (folder / "recipe.dnateq.json").string(), folder.string()));
  return recipe;
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
    input.int8_is_estimate = document.value("int8_is_estimate", true);
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("'{}' is missing or damaged; run dnateq quantize again", file.string()));
  }
  return input;
}

void save_report_input(const ReportInput& input, const std::filesystem::path& folder) {
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
                         {"int8_is_estimate", input.int8_is_estimate},
                         {"bytes",
                          {input.bytes_fp32, input.bytes_int8, input.bytes_standard, input.bytes_exact, input.bytes_ram,
                           input.bytes_ram_fp32}}};
  write_file_atomically(folder / "measurements" / "report.cbor", Json::to_cbor(document));
}

void save_result(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Recipe recipe = load_result(from);
  ResultWriter writer(to);
  if (std::filesystem::exists(writer.work()))
    throw Error(
        fmt::format("'{}' is a run that was stopped or still works; end it with --resume, remove the folder, or "
                    "choose another -o",
                    writer.work().string()));
  try {
    writer.start(false);
    for (const std::string& name : files_of_result(recipe)) {
      if (!std::filesystem::exists(from / name)) continue;
      std::error_code failed;
      std::filesystem::create_directories((writer.work() / name).parent_path(), failed);
      if (!failed) std::filesystem::copy_file(from / name, writer.work() / name, failed);
      if (failed)
        throw Error(
            fmt::format("'{}' cannot be copied to '{}': {}", (from / name).string(), to.string(), failed.message()));
    }
    writer.publish();
  } catch (...) {
    writer.discard();
    throw;
  }
}

}  // namespace dnateq
