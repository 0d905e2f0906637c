#include "job/language_folder.h"

#include <fmt/format.h>

#include <openvino/openvino.hpp>

#include "core/option.h"
#include "dnateq/error.h"
#include "graph/tokenizer.h"
#include "job/installation.h"

namespace dnateq {

namespace fs = std::filesystem;

const std::vector<std::string>& companion_files() {
  static const std::vector<std::string> names = {"openvino_tokenizer.xml",
                                                 "openvino_tokenizer.bin",
                                                 "openvino_detokenizer.xml",
                                                 "openvino_detokenizer.bin",
                                                 "config.json",
                                                 "generation_config.json",
                                                 "openvino_config.json",
                                                 "tokenizer.json",
                                                 "tokenizer.model",
                                                 "tokenizer_config.json",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "chat_template.jinja",
                                                 "chat_template.json",
                                                 "vocab.json",
                                                 "merges.txt"};
  return names;
}

bool is_language_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::exists(path / (std::string(kLanguageStem) + ".xml"), ignored);
}

fs::path model_file_of(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  for (const char* stem : {kLanguageStem, kStem})
    if (const fs::path file = path / (std::string(stem) + ".xml"); fs::exists(file, ignored)) return file;
  throw Error(
      fmt::format("the folder '{}' holds no openvino_model.xml; give a folder that `optimum-cli export openvino` "
                  "wrote, or a model file (.onnx, .xml, ...)",
                  path.string()));
}

std::vector<std::string> models_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const char* name : {"exact/model.xml", "model.xml", "openvino_model.xml"})
    if (fs::is_regular_file(folder / name)) names.emplace_back(name);
  return names;
}

QuantizeArguments with_language_defaults(QuantizeArguments a) {
  if (!a.calibration.text.empty() && !a.calibration.path.empty())
    throw Error(fmt::format("{} and {} are both what a network is calibrated with; give one of them", option("text"),
                            option("calibration")));
  if (!is_language_folder(a.model)) {
    if (!a.calibration.text.empty() && fs::path(a.model).filename() != std::string(kLanguageStem) + ".xml")
      throw Error(fmt::format("{} needs the folder of a language model with its tokenizer, which '{}' is not",
                              option("text"), a.model));
    a.model = model_file_of(a.model).string();
    return a;
  }
  a.model = (fs::path(a.model) / (std::string(kLanguageStem) + ".xml")).string();
  a.of_folder = true;
  const bool wants_activations = a.activation_bits > 0 || a.target_bits.find('/') != std::string::npos;
  if (!wants_activations) a.weights_only = true;
  if (a.metric.empty()) a.metric = "kl";
  if (a.emit == "auto" && !wants_activations) a.emit = "cpu";
  if (a.expect_rows == 0 && a.emit == "cpu") a.expect_rows = 1;
  if (a.int8.empty()) a.int8 = "none";
  const bool asked = !a.max_drop.empty() || !a.max_loss.empty() || !a.target_bits.empty() || !a.target_size.empty() ||
                     a.weight_bits > 0 || a.activation_bits > 0;
  if (!asked) a.weight_bits = 4;
  return a;
}

void copy_companions(const fs::path& from, const fs::path& to) {
  for (const std::string& name : companion_files()) {
    std::error_code failed;
    if (!fs::is_regular_file(from / name, failed)) continue;
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, failed);
    if (failed)
      throw Error(
          fmt::format("'{}' cannot be copied to '{}': {}", (from / name).string(), to.string(), failed.message()));
  }
}

std::unique_ptr<Samples> open_text(const std::string& text, const fs::path& model, int64_t context, int64_t windows) {
  ov::Core core;
  const TokenText tokens = tokenize(core, model.parent_path(), find_tokenizers_extension(), read_text(text), text);
  return token_windows(tokens, context, windows);
}

}  // namespace dnateq
