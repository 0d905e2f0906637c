// Which layers of a network its user wants quantized: by names, types of operations and regular expressions.
//
// Non-goals: whether a layer can be quantized (import.h).
#pragma once

#include <regex>
#include <set>
#include <string>
#include <vector>

#include "graph/import.h"

namespace dnateq {

class LayerChoice {
 public:
  // `model` as it was read, `file` for messages. Throws Error for what is no regular expression.
  LayerChoice(const ImportOptions& options, const ov::Model& model, const std::string& file);

  // Why a layer is left out; empty: it is not. To be asked about every layer, those too that cannot be quantized.
  std::string reason_to_ignore(const std::string& name, const std::string& type);
  bool is_wanted(const std::string& name);  // by `only`
  bool is_untied(const std::string& name);

  // Once all layers were asked about: throws Error naming what matched none.
  void check_chosen() const;
  void check_untied() const;

 private:
  struct Rule {
    std::string text;
    std::regex pattern;  // of rules that are patterns
    bool matched = false;
  };
  struct Rules {
    const char* key;
    std::vector<Rule> rules;
  };

  static Rules patterns(const char* key, const std::vector<std::string>& texts);
  static Rules literals(const char* key, const std::vector<std::string>& texts);
  static bool any_search(Rules& rules, const std::string& name);
  static bool any_equal(Rules& rules, const std::string& text);
  void check_layers_matched(const Rules& rules) const;

  std::string file_;
  Rules only_, ignore_, untie_, ignore_names_, ignore_types_;
  bool ignore_may_miss_;
  std::set<std::string> types_;        // of all operations
  std::set<std::string> layers_;       // names that were asked about
  std::set<std::string> layer_types_;  // and their types
};

}  // namespace dnateq
