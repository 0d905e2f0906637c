#include "job/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>

#include "dnateq/error.h"

extern char** environ;

namespace dnateq {
namespace {

constexpr int kNotStarted = 127, kInterrupted = 130;
constexpr int kMilliseconds = 100;                // between two questions whether to go on
constexpr std::chrono::milliseconds kGrace{700};  // that an interrupted program has to end by itself

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> variables(const Invocation& command) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!command.environment.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : command.environment) all.push_back(name + "=" + value);
  return all;
}

// Starts it with these files as its standard output and error. Between fork and exec nothing is allocated: other
// threads of ours may have held the allocator's lock.
pid_t start(const Invocation& command, int output, int errors) {
  std::vector<std::string> words = command.words, settings = variables(command);
  const std::vector<char*> arguments = pointers(words), environment = pointers(settings);
  const pid_t parent = getpid(), child = fork();
  if (child < 0) throw Error(fmt::format("'{}' cannot be started: {}", command.words.at(0), std::strerror(errno)));
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // what it makes is not resumed
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(kNotStarted);
    if (output >= 0) dup2(output, STDOUT_FILENO);
    if (errors >= 0) dup2(errors, STDERR_FILENO);
    execve(arguments[0], arguments.data(), environment.data());
    _exit(kNotStarted);
  }
  return child;
}

// As a shell has it: the exit status, or 128 and the signal.
int status_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return kNotStarted;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0)
      throw Error(fmt::format("no pipe to another program can be made: {}", std::strerror(errno)));
  }
  ~Pipe() {
    for (const int end : ends_)
      if (end >= 0) close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  void close_writing() { close(std::exchange(ends_[1], -1)); }
  void close_reading() { close(std::exchange(ends_[0], -1)); }

  // Appends what is there. False at the end.
  bool read_into(std::string& text) {
    std::array<char, 4096> bytes;
    const ssize_t count = read(reading(), bytes.data(), bytes.size());
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    text.append(bytes.data(), static_cast<size_t>(count));
    return count > 0;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// Whole lines as they come; the last one that says something is held back, since it may be why the program fails.
class Lines {
 public:
  explicit Lines(std::function<void(const std::string&)> say) : say_(std::move(say)) {}

  void take(std::string& text) {
    for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      add(text.substr(0, end));
      text.erase(0, end + 1);
    }
  }
  void add(const std::string& line) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) return;
    if (!last_.empty() && say_) say_(last_);
    last_ = line;
  }
  const std::string& last() const { return last_; }
  void say_last() {
    if (!last_.empty() && say_) say_(last_);
  }

 private:
  std::function<void(const std::string&)> say_;
  std::string last_;
};

}  // namespace

bool run_to_log(const Invocation& command, const std::filesystem::path& log) {
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  pid_t child = -1;
  try {
    child = start(command, file, file);
  } catch (...) {
    if (file >= 0) close(file);
    throw;
  }
  if (file >= 0) close(file);
  return status_of(child) == 0;
}

std::string run_and_read(const Invocation& command, const Watch& watch) {
  using Clock = std::chrono::steady_clock;
  Pipe output, errors;
  const pid_t child = start(command, output.writing(), errors.writing());
  output.close_writing();
  errors.close_writing();
  std::string text, rest;
  Lines lines(watch.say);
  bool stopped = false;
  Clock::time_point end;
  while (output.reading() >= 0 || errors.reading() >= 0) {
    if (!stopped && watch.goes_on && !watch.goes_on()) {
      stopped = true;
      end = Clock::now() + kGrace;
      kill(child, SIGINT);
    }
    if (stopped && Clock::now() > end) break;
    std::array<pollfd, 2> files{pollfd{output.reading(), POLLIN, 0}, pollfd{errors.reading(), POLLIN, 0}};
    if (poll(files.data(), files.size(), kMilliseconds) <= 0) continue;
    if (files[0].revents != 0 && !output.read_into(text)) output.close_reading();
    if (files[1].revents != 0 && !errors.read_into(rest)) errors.close_reading();
    lines.take(rest);
  }
  if (stopped) kill(child, SIGKILL);
  const int status = status_of(child);
  if (stopped || status == kInterrupted || status == 128 + SIGINT) throw Cancelled("stopped");
  lines.add(rest);
  if (status == kNotStarted && lines.last().empty())
    throw Error(fmt::format("'{}' cannot be started", command.words.at(0)));
  if (status != 0)
    throw Error(lines.last().empty() ? fmt::format("'{}' stopped with status {}", command.words.at(0), status)
                                     : lines.last());
  lines.say_last();
  return text;
}

}  // namespace dnateq
