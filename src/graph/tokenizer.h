// A language model's own tokenizer, as OpenVINO's tools write it beside the model: a network that takes a text.
#pragma once

#include <filesystem>
#include <openvino/openvino.hpp>

#include "data/token_windows.h"

namespace dnateq {

// Of openvino_tokenizer.xml in the model's folder, which needs the operations of the package openvino-tokenizers:
// `extension` is its library. The text goes in piece by piece, each of whole lines, since tokenizers may cut long
// texts. Throws Error where tokenizer or library are missing, or do not fit together.
TokenText tokenize(ov::Core& core, const std::filesystem::path& folder, const std::filesystem::path& extension,
                   const std::string& text, const std::string& source);

}  // namespace dnateq
