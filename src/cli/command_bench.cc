// dnateq bench: checks what it is given, then becomes bench/speed.py, which OpenVINO's and ONNX Runtime's Python
// packages let compare all of them in one process.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/commands.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

fs::path program_folder() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? fs::path() : program.parent_path();
}

// Installed, bench/ and tools/ lie in share/dnateq beside bin/; else in the source tree that this was built from.
fs::path scripts_folder() {
  for (const fs::path& folder : {program_folder() / "../share/dnateq", fs::path(DNATEQ_SOURCE_DIR)})
    if (fs::is_regular_file(folder / "bench" / "speed.py")) return fs::weakly_canonical(folder);
  throw Error(
      fmt::format("bench/speed.py is neither in '{}' nor in ../share/dnateq beside the program; keep one of them",
                  DNATEQ_SOURCE_DIR));
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

// The script says in a sentence what it does, and what went wrong.
bool run_script(const fs::path& script) {
  std::signal(SIGINT, SIG_DFL);  // an interrupted installation has nothing to resume
  std::vector<std::string> words = {script.string()};
  const pid_t child = fork();
  if (child < 0) throw Error(fmt::format("'{}' cannot be started: {}", script.string(), std::strerror(errno)));
  if (child == 0) {
    execv(words[0].c_str(), pointers(words).data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

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
  if (arguments.peers && !run_script(scripts / "tools" / "peers.sh")) return 1;
  const fs::path python = scripts / (arguments.peers ? "build/peers-venv/bin/python" : ".venv/bin/python");
  if (access(python.c_str(), X_OK) != 0)
    throw Error(fmt::format("there is no Python with OpenVINO at '{}'; run tools/setup.sh", python.string()));
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
