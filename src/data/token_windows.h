// A text as calls of a language model: its tokens, cut into windows of equal length that are read one by one.
//
// Non-goals: making tokens of a text (graph/tokenizer.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

struct TokenText {
  std::string source;             // of the text, for messages
  std::vector<int64_t> tokens;    // without what a tokenizer puts before and behind a text
  std::optional<int64_t> prefix;  // the token that every text begins with, if there is one
};

// Arrays of a call, as language models name them: input_ids, attention_mask (ones) and position_ids, int64 [1,
// context], and beam_idx, int32 [1], 0. A window is a sample. The last tokens, which fill no window, are left out.
// Where there are more than `most` windows, they are chosen evenly over the text; 0: all. Throws Error where the text
// fills no window.
std::unique_ptr<Samples> token_windows(const TokenText& text, int64_t context, int64_t most = 0);

// The same calls, of whose arrays [n, tokens] the first `tokens` alone are there. `samples` must outlive the result.
std::unique_ptr<Samples> first_tokens(const Samples& samples, int64_t tokens);

// A text file. Throws Error where it cannot be read, is empty or is not UTF-8.
std::string read_text(const std::string& path);

}  // namespace dnateq
