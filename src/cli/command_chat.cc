// dnateq chat.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "dnateq/error.h"
#include "job/chat_job.h"

namespace dnateq {
namespace {

// The script takes the place of this process, so that the terminal is its own.
int run(const ChatOptions& options, const Session& session) {
  std::vector<std::string> words = chat_command(options, session.installation);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  throw Error(fmt::format("'{}' cannot be started: {}", words.front(), std::strerror(errno)));
}

}  // namespace

Command add_chat(CLI::App& app, Session&) {
  const auto options = std::make_shared<ChatOptions>();
  CLI::App* command = app.add_subcommand("chat", "talk to a language model, quantized or not");
  command->footer("Example: dnateq chat smollm2-4b --prompt 'What is the capital of France?'");
  command->add_option("dir", options->folder, "folder of a language model, or of a result for one")->required();
  command->add_option("--prompt", options->prompt, "answer this and end");
  command->add_option("--tokens", options->tokens, "of an answer, at most (default: 256)")
      ->check(CLI::Range(1, 1 << 20));
  return {command, [options](const Session& own) { return run(*options, own); }};
}

}  // namespace dnateq
