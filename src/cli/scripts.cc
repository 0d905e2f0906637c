#include "cli/scripts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {

namespace fs = std::filesystem;

fs::path program_folder() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? fs::path() : program.parent_path();
}

fs::path find_scripts() {
  for (const fs::path& folder : {program_folder() / "../share/dnateq", fs::path(DNATEQ_SOURCE_DIR)})
    if (fs::is_regular_file(folder / "bench" / "speed.py")) return fs::weakly_canonical(folder);
  return {};
}

fs::path scripts_folder() {
  fs::path folder = find_scripts();
  if (folder.empty())
    throw Error(
        fmt::format("bench/speed.py is neither in '{}' nor in ../share/dnateq beside the program; keep one of them",
                    DNATEQ_SOURCE_DIR));
  return folder;
}

fs::path bench_python(const fs::path& scripts) {
  const char* of_package = std::getenv("DNATEQ_PYTHON");  // NOLINT(concurrency-mt-unsafe)
  return of_package != nullptr && *of_package != 0 ? fs::path(of_package) : scripts / ".venv/bin/python";
}

fs::path peers_folder(const fs::path& scripts) {
  if (fs::is_regular_file(scripts / "CMakeLists.txt")) return scripts / "build/peers-venv";
  for (const auto& [variable, below] : {std::pair("XDG_CACHE_HOME", "dnateq"), std::pair("HOME", ".cache/dnateq")}) {
    const char* folder = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
    if (folder != nullptr && *folder == '/') return fs::path(folder) / below / "peers-venv";
  }
  return fs::temp_directory_path() / "dnateq" / "peers-venv";
}

fs::path peers_python(const fs::path& scripts) { return peers_folder(scripts) / "bin/python"; }

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

bool run_to_end(std::vector<std::string> words, const fs::path& log) {
  const std::vector<char*> arguments = pointers(words);
  const std::string log_name = log.string();
  const pid_t child = fork();
  if (child < 0) throw Error(fmt::format("'{}' cannot be started: {}", words.at(0), std::strerror(errno)));
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // what it makes is not resumed
    if (!log_name.empty()) {
      const int file = open(log_name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
      if (file >= 0) dup2(file, STDOUT_FILENO), dup2(file, STDERR_FILENO);
    }
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace dnateq
