// dnateq bench: checks what it is given, then becomes bench/speed.py, which OpenVINO's and ONNX Runtime's Python
// packages let compare all of them in one process.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/commands.h"
#include "cli/scripts.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

void check_file(const std::string& path, const char* what) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw Error(fmt::format("there is no {} '{}'", what, path));
}

std::vector<std::string> driver_options(const BenchArguments& arguments, const CommonArguments& common) {
  std::vector<std::string> words;
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  };
  for (const std::string& folder : arguments.results) add("--result", folder);
  for (const std::string& shape : arguments.shapes) add("--shape", shape);
  add("--calibration", arguments.calibration);
  add("--model-type", arguments.model_type);
  add("--cache", arguments.cache);
  add("--threads", std::to_string(arguments.threads));
  add("--batch", std::to_string(arguments.batch));
  add("--warm", std::to_string(arguments.warm));
  add("--seconds", fmt::format("{}", arguments.seconds));
  if (arguments.peers) words.emplace_back("--peers");
  if (arguments.layers) words.emplace_back("--layers");
  if (common.json) words.emplace_back("--json");
  if (common.quiet) words.emplace_back("--quiet");
  return words;
}

}  // namespace

int run_bench(const BenchArguments& arguments, const CommonArguments& common) {
  check_file(arguments.model, "model file");
  if (fs::is_directory(arguments.model))
    throw Error(
        fmt::format("'{}' is a folder; give the FP32 model's file, and results with --result", arguments.model));
  for (const std::string& folder : arguments.results) {
    check_file(folder, "result folder");
    if (!fs::is_regular_file(fs::path(folder) / "model.xml") &&
        !fs::is_regular_file(fs::path(folder) / "exact/model.xml"))
      throw Error(
          fmt::format("'{}' holds no result of dnateq quantize: neither model.xml nor exact/model.xml", folder));
  }
  if (!arguments.calibration.empty()) check_file(arguments.calibration, "calibration data");
  parse_shapes(arguments.shapes);

  const fs::path scripts = scripts_folder();
  if (arguments.peers && !run_to_end({(scripts / "tools" / "peers.sh").string(), peers_folder(scripts).string()}))
    return 1;
  const fs::path python = arguments.peers ? peers_python(scripts) : bench_python(scripts);
  if (access(python.c_str(), X_OK) != 0)
    throw Error(
        fmt::format("there is no Python with OpenVINO at '{}'; run tools/setup.sh, or `python -m dnateq bench` of the "
                    "installed package",
                    python.string()));
  std::vector<std::string> words = {python.string(), (scripts / "bench" / "speed.py").string(), arguments.model,
                                    "--prog", "dnateq"};
  const fs::path extension = program_folder() / "../lib/libdnateq_openvino.so";
  if (fs::is_regular_file(extension))
    words.insert(words.end(), {"--extension", fs::weakly_canonical(extension).string()});
  for (std::string& word : driver_options(arguments, common)) words.push_back(std::move(word));
  std::fflush(stdout);
  execv(words[0].c_str(), pointers(words).data());
  throw Error(fmt::format("'{}' cannot be started: {}", python.string(), std::strerror(errno)));
}

}  // namespace dnateq
