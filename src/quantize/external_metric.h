// Metrics of the user's own: what a program or a Python function says of a network's model file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace dnateq {

// Higher is better.
struct ExternalScore {
  double score = 0;
  // One score a sample, the same samples in the same order for every network; empty where the metric gives one number,
  // from which no bound on unseen data follows.
  std::vector<double> per_sample;

  // Whether `score` is something else than the mean of `per_sample`, as BLEU of a corpus is.
  bool has_score_of_its_own() const;
};

// What a metric printed: `{"score": S, "per_sample": [...]}` (one of the two may be missing), a list of numbers, or
// text whose last word is a number. JSON stands on the last line, or is all that was printed. `name` is named in
// Errors.
ExternalScore parse_external_score(const std::string& text, const std::string& name);

// Runs CMD with `model` appended as its last argument, and reads what it prints. Throws Error naming the command.
ExternalScore run_command(const std::string& command, const std::filesystem::path& model);

// As one word of a shell's command line.
std::string shell_quoted(const std::string& text);

}  // namespace dnateq
