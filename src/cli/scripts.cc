#include "cli/scripts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

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

fs::path peers_python(const fs::path& scripts) { return scripts / "build/peers-venv/bin/python"; }

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
