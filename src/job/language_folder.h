// Folders of language models, as `optimum-cli export openvino` and OpenVINO GenAI write and read them: the network
// openvino_model.xml, its tokenizer, and what a pipeline must know.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/samples.h"
#include "job/arguments.h"

namespace dnateq {

// Name of a network's files in such folders and in results for them, without extension; that of all other results.
inline constexpr const char* kLanguageStem = "openvino_model";
inline constexpr const char* kStem = "model";

// Files that a folder may have beside its network, and that a result of it has too.
const std::vector<std::string>& companion_files();

// Whether the path is such a folder.
bool is_language_folder(const std::filesystem::path& path);

// The network of such a folder, or of a result's; any other path is returned as it is. Throws Error for a folder
// without one.
std::filesystem::path model_file_of(const std::filesystem::path& path);

// The models that a result in this folder may hold, by their names in it: those that are there.
std::vector<std::string> models_in(const std::filesystem::path& folder);

// The arguments of a quantization, with the folder's network and what is usual for language models in place of what was
// left open: weights alone, packed for decoding token by token, judged by the divergence of the next token's
// distribution. Others are returned as they are. Throws Error where text and samples do not go together.
QuantizeArguments with_language_defaults(QuantizeArguments arguments);

// Copies companion_files() that are there. Throws Error.
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to);

// The windows of `text` by the tokenizer beside `model`; `context` tokens each, `windows` of them at most (0: all).
std::unique_ptr<Samples> open_text(const std::string& text, const std::filesystem::path& model, int64_t context,
                                   int64_t windows);

}  // namespace dnateq
