#include "graph/layer_choice.h"

#include <fmt/format.h>

#include "dnateq/error.h"

namespace dnateq {

LayerChoice::LayerChoice(const ImportOptions& options, const ov::Model&, const std::string& file)
    : file_(file),
      only_(patterns("--only", options.only)),
      ignore_(patterns("--ignore", options.ignore)),
      untie_(patterns("--untie", options.untie)) {}

LayerChoice::Rules LayerChoice::patterns(const char* option, const std::vector<std::string>& texts) {
  Rules all{option, {}};
  for (const std::string& text : texts) {
    try {
      all.rules.push_back({text, std::regex(text)});
    } catch (const std::regex_error&) {
      throw Error(fmt::format("{} '{}' is not a regular expression; see --help", option, text));
    }
  }
  return all;
}

bool LayerChoice::any_search(Rules& rules, const std::string& name) {
  bool any = false;
  for (Rule& rule : rules.rules)
    if (std::regex_search(name, rule.pattern)) any = rule.matched = true;
  return any;
}

std::string LayerChoice::reason_to_ignore(const std::string& name, const std::string&) {
  return any_search(ignore_, name) ? fmt::format("matches {}", ignore_.option) : std::string();
}

bool LayerChoice::is_wanted(const std::string& name) { return only_.rules.empty() || any_search(only_, name); }

bool LayerChoice::is_untied(const std::string& name) { return any_search(untie_, name); }

void LayerChoice::check_layers_matched(const Rules& rules) const {
  for (const Rule& rule : rules.rules)
    if (!rule.matched)
      throw Error(fmt::format("{} '{}' matches no layer of '{}'; `dnateq inspect` lists the names", rules.option,
                              rule.text, file_));
}

void LayerChoice::check_chosen() const {
  check_layers_matched(only_);
  check_layers_matched(ignore_);
}

void LayerChoice::check_untied() const { check_layers_matched(untie_); }

}  // namespace dnateq
