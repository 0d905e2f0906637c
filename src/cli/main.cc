// The program `dnateq`: arguments in, one exit status out. What the commands do lies in command_*.cc.
#include <fmt/format.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/words.h"
#include "core/sentence.h"
#include "core/suggestion.h"
#include "dnateq/error.h"

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

std::atomic<const char*> stopped{"dnateq: stopped\n"};
constexpr unsigned kSecondsToStop = 1;  // then the step under way is not waited for: files are renamed when complete

void on_interrupt(int) {
  if (interrupted.exchange(true)) std::_Exit(130);  // the second Ctrl-C does not wait
  alarm(kSecondsToStop);
}

void on_alarm(int) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, stopped.load(), std::strlen(stopped.load()));
  std::_Exit(130);
}

int fail(const std::string& sentence) {
  fmt::print(stderr, "dnateq: {}\n", dnateq::one_line(sentence));
  return 1;
}

// A full disk behind standard output shows only now.
int check_output(int status) {
  errno = 0;
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written || errno == EPIPE || status != 0) return status;  // a reader such as `head` may have seen enough
  return fail("standard output cannot be written; check the space left where it goes");
}

// Where this program lies, and the Python that the package's environment names.
dnateq::Installation this_installation() {
  std::error_code unknown;
  dnateq::Installation installation{std::filesystem::read_symlink("/proc/self/exe", unknown), {}};
  const char* python = std::getenv("DNATEQ_PYTHON");  // NOLINT(concurrency-mt-unsafe)
  if (python != nullptr) installation.python = python;
  return installation;
}

// What was given to a command that looks like an option and is none of its; empty: nothing.
std::string unknown_option(const CLI::App& command) {
  const std::vector<std::string> left = command.remaining();
  const auto found = std::find_if(left.begin(), left.end(), [](const std::string& word) {
    return word.size() > 1 && word[0] == '-' && std::isdigit(static_cast<unsigned char>(word[1])) == 0;
  });
  if (found == left.end()) return {};
  const std::string option = found->substr(0, found->find('='));
  std::vector<std::string> names;
  for (const CLI::Option* one : command.get_options())
    for (const std::string& name : one->get_lnames()) names.push_back(name);
  const std::vector<std::string> near =
      dnateq::near_names(option.substr(std::min(option.find_first_not_of('-'), option.size())), names);
  return near.empty() ? fmt::format("unknown option '{}'; see dnateq {} --help", option, command.get_name())
                      : fmt::format("unknown option '{}'; did you mean '--{}'?", option, near[0]);
}

std::string refusal_of(const CLI::ParseError& error, const CLI::App& app, int argc, char** argv) {
  const auto commands = app.get_subcommands();
  if (!commands.empty())
    if (const std::string unknown = unknown_option(*commands[0]); !unknown.empty()) return unknown;
  if (commands.empty() && argc > 1 && argv[1][0] != '-')
    return fmt::format("there is no command '{}'; see dnateq --help", argv[1]);
  return fmt::format("{}; see dnateq {}--help", dnateq::plain_sentence(error.what()),
                     commands.empty() ? "" : commands[0]->get_name() + " ");
}

int run(const dnateq::Command& command, dnateq::Session& session) {
  using namespace dnateq;
  stopped = command.when_stopped;
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGALRM, on_alarm);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is an error like a full disk
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                  static_cast<size_t>(session.thread_count()));
  try {
    ProgressBar bar(session.quiet, interrupted);
    session.progress = bar.callback();
    return check_output(command.run(session));
  } catch (const Cancelled&) {
    fmt::print(stderr, "{}", stopped.load());
    return 130;
  } catch (const Error& error) {
    return fail(program_words(error.marked()));
  } catch (const std::bad_alloc&) {
    return fail("out of memory; give fewer calibration samples or smaller inputs");
  } catch (const std::exception& error) {
    return fail(plain_sentence(error.what()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace dnateq;
  CLI::App app{"dnateq: post-training quantization of trained networks to 3-6 bits a value"};
  app.set_version_flag("--version", "dnateq 0.1.0");
  app.require_subcommand(1);
  Session session;
  session.installation = this_installation();
  session.goes_on = [] { return !interrupted; };
  std::vector<Command> commands;
  for (const auto add : {add_quantize, add_allocate, add_eval, add_analyze, add_inspect, add_report, add_bench,
                         add_chat, add_explain, add_simulate, add_measure_ram})
    commands.push_back(add(app, session));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return check_output(app.exit(error));  // --help, --version
    return fail(refusal_of(error, app, argc, argv));
  }
  return run(*std::find_if(commands.begin(), commands.end(), [](const Command& one) { return one.options->parsed(); }),
             session);
}
