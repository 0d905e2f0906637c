// The commands of the program `dnateq`: each file command_*.cc declares the options of one, and prints what its job
// found.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "core/progress.h"
#include "job/arguments.h"
#include "job/installation.h"

namespace dnateq {

// What all commands share, of the command line and of the process.
struct Session {
  bool json = false, quiet = false;
  int threads = 0;  // 0: all processors
  Progress progress;
  std::function<bool()> goes_on;  // false once the user has interrupted the program
  Installation installation;

  int thread_count() const;
};

struct Command {
  CLI::App* options = nullptr;
  // Returns the exit status; errors come as dnateq::Error.
  std::function<int(const Session&)> run;
  const char* when_stopped = "dnateq: stopped\n";
};

// Declare the command's options; those that the session holds go there.
Command add_quantize(CLI::App& app, Session& session);
Command add_allocate(CLI::App& app, Session& session);
Command add_eval(CLI::App& app, Session& session);
Command add_analyze(CLI::App& app, Session& session);
Command add_inspect(CLI::App& app, Session& session);
Command add_report(CLI::App& app, Session& session);
Command add_bench(CLI::App& app, Session& session);
Command add_chat(CLI::App& app, Session& session);
Command add_explain(CLI::App& app, Session& session);
Command add_simulate(CLI::App& app, Session& session);
// Hidden: compiles a model, runs nothing, prints its resident bytes.
Command add_measure_ram(CLI::App& app, Session& session);

// Options that several commands have.
void add_output(CLI::App& command, Session& session);  // --json, --quiet
void add_common(CLI::App& command, Session& session);  // those and --threads
void add_data(CLI::App& command, const std::string& flag, DataArguments& data, const std::string& what,
              bool required = true);
void add_text(CLI::App& command, DataArguments& data);
// The three texts are left as they are written.
void add_limit(CLI::App& command, std::string& max_drop, std::string& drop_type, std::string& max_loss);
void add_ignored(CLI::App& command, std::vector<std::string>& names, std::vector<std::string>& types);
void add_batch_axis(CLI::App& command, DataArguments& data);

}  // namespace dnateq
