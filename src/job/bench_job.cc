#include "job/bench_job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "core/option.h"
#include "dnateq/error.h"
#include "job/inputs.h"
#include "job/language_folder.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

void check_file(const std::string& path, const char* what) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw Error(fmt::format("there is no {} '{}'", what, path));
}

// What makes no sense of a language model is named, and not passed over.
void check_language(const BenchOptions& options) {
  const BenchOptions usual;
  const std::pair<const char*, bool> given[] = {
      {"shape", !options.shapes.empty()},          {"calibration", !options.calibration.empty()},
      {"model_type", !options.model_type.empty()}, {"batch", options.batch != usual.batch},
      {"warm", options.warm != usual.warm},        {"layers", options.layers}};
  for (const auto& [name, is_given] : given)
    if (is_given)
      throw Error(fmt::format("{} is for networks whose inputs you give; '{}' is a language model, which gets a prompt",
                              option(name), options.model));
  for (const std::string& folder : options.results)
    if (!is_language_folder(folder))
      throw Error(
          fmt::format("'{}' is no folder of a language model, with openvino_model.xml and its tokenizer", folder));
}

void check(const BenchOptions& options) {
  check_file(options.model, "model file");
  if (is_language_folder(options.model)) {
    check_language(options);
    return;
  }
  if (fs::is_directory(options.model))
    throw Error(fmt::format("'{}' is a folder; give the FP32 model's file, and result folders as {}", options.model,
                            option("result")));
  for (const std::string& folder : options.results) {
    check_file(folder, "result folder");
    if (!fs::is_regular_file(fs::path(folder) / "model.xml") &&
        !fs::is_regular_file(fs::path(folder) / "exact/model.xml"))
      throw Error(
          fmt::format("'{}' holds no result of dnateq quantize: neither model.xml nor exact/model.xml", folder));
  }
  if (!options.calibration.empty()) check_file(options.calibration, "calibration data");
  parse_shapes(options.shapes);
}

// What the scripts put before a line, which whoever shows it adds himself.
constexpr std::string_view kPrefix = "dnateq: ";

std::string without_prefix(const std::string& line) {
  return line.starts_with(kPrefix) ? line.substr(kPrefix.size()) : line;
}

std::string run_script(const Invocation& command, const Watch& watch) {
  Watch own{{}, watch.goes_on};
  if (watch.say) own.say = [&](const std::string& line) { watch.say(without_prefix(line)); };
  try {
    return run_and_read(command, own);
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    throw Error(without_prefix(error.marked()));
  }
}

std::vector<std::string> words_of(const BenchOptions& options) {
  std::vector<std::string> words;
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  };
  for (const std::string& folder : options.results) add("--result", folder);
  add("--cache", options.cache);
  add("--threads", std::to_string(options.threads));
  add("--seconds", fmt::format("{}", options.seconds));
  if (options.peers) words.emplace_back("--peers");
  if (!options.as_table) words.emplace_back("--json");
  if (options.quiet) words.emplace_back("--quiet");
  if (is_language_folder(options.model)) return words;
  for (const std::string& shape : options.shapes) add("--shape", shape);
  add("--calibration", options.calibration);
  add("--model-type", options.model_type);
  add("--batch", std::to_string(options.batch));
  add("--warm", std::to_string(options.warm));
  if (options.layers) words.emplace_back("--layers");
  return words;
}

}  // namespace

BenchResult run_bench_job(const BenchOptions& options, const Installation& installation, const Watch& watch) {
  check(options);
  const fs::path scripts = scripts_folder(installation);
  const bool is_language = is_language_folder(options.model);
  Invocation command;
  if (!installation.python.empty()) command.environment["DNATEQ_PYTHON"] = installation.python.string();
  if (options.peers) {
    command.words = {(scripts / "tools" / "peers.sh").string(), peers_folder(scripts).string()};
    if (is_language) command.words.emplace_back("requirements-language.txt");
    run_script(command, watch);
  }
  const fs::path python = options.peers ? peers_python(scripts) : bench_python(installation, scripts);
  if (access(python.c_str(), X_OK) != 0)
    throw Error(
        fmt::format("there is no Python with OpenVINO at '{}'; run tools/setup.sh, or `python -m dnateq bench` of the "
                    "installed package",
                    python.string()));
  command.words = {python.string(), (scripts / "bench" / (is_language ? "language_speed.py" : "speed.py")).string(),
                   options.model, "--prog", "dnateq"};
  if (const fs::path extension = find_extension(installation); !extension.empty())
    command.words.insert(command.words.end(), {"--extension", extension.string()});
  for (std::string& word : words_of(options)) command.words.push_back(std::move(word));
  return {run_script(command, watch)};
}

}  // namespace dnateq
