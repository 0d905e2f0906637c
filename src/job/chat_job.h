// `chat`: the script that talks to a language model, which OpenVINO GenAI runs.
#pragma once

#include <string>
#include <vector>

#include "job/installation.h"

namespace dnateq {

struct ChatOptions {
  std::string folder;
  std::string prompt;    // answered, and that is all; empty: a conversation
  int64_t tokens = 256;  // of an answer, at most
};

// The command line to run; its first word is the Python's path. Throws Error where the folder is none of a language
// model, or script, Python or extension are not there.
std::vector<std::string> chat_command(const ChatOptions& options, const Installation& installation);

}  // namespace dnateq
