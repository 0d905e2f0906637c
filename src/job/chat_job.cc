#include "job/chat_job.h"

#include <fmt/format.h>

#include <filesystem>

#include "dnateq/error.h"
#include "job/language_folder.h"

namespace dnateq {

namespace fs = std::filesystem;

std::vector<std::string> chat_command(const ChatOptions& options, const Installation& installation) {
  if (!is_language_folder(options.folder))
    throw Error(fmt::format("'{}' is no folder of a language model, with openvino_model.xml and its tokenizer",
                            options.folder));
  const fs::path scripts = scripts_folder(installation), script = scripts / "tools" / "chat.py";
  const fs::path python = bench_python(installation, scripts), extension = find_extension(installation);
  for (const fs::path& file : {script, python})
    if (!fs::exists(file))
      throw Error(fmt::format("'{}', which chat needs, is not there; run make demo-language once", file.string()));
  std::vector<std::string> words = {python.string(), script.string(), options.folder, "--tokens",
                                    std::to_string(options.tokens)};
  if (!extension.empty()) words.insert(words.end(), {"--extension", extension.string()});
  if (!options.prompt.empty()) words.insert(words.end(), {"--prompt", options.prompt});
  return words;
}

}  // namespace dnateq
