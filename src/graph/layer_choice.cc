#include "graph/layer_choice.h"

#include <fmt/format.h>

#include "core/option.h"
#include "core/suggestion.h"
#include "dnateq/error.h"

namespace dnateq {

LayerChoice::LayerChoice(const ImportOptions& options, const ov::Model& model, const std::string& file)
    : file_(file),
      only_(patterns("only", options.only)),
      ignore_(patterns("ignore", options.ignore)),
      untie_(patterns("untie", options.untie)),
      ignore_names_(literals("ignore_name", options.ignore_names)),
      ignore_types_(literals("ignore_type", options.ignore_types)),
      ignore_may_miss_(options.ignore_may_miss) {
  for (const auto& node : model.get_ops()) types_.insert(node->get_type_name());
}

LayerChoice::Rules LayerChoice::patterns(const char* key, const std::vector<std::string>& texts) {
  Rules all{key, {}};
  for (const std::string& text : texts) {
    try {
      all.rules.push_back({text, std::regex(text)});
    } catch (const std::regex_error&) {
      throw Error(fmt::format("{} '{}' is not a regular expression", option(key), text));
    }
  }
  return all;
}

LayerChoice::Rules LayerChoice::literals(const char* key, const std::vector<std::string>& texts) {
  Rules all{key, {}};
  for (const std::string& text : texts) all.rules.push_back({text, {}});
  return all;
}

bool LayerChoice::any_search(Rules& rules, const std::string& name) {
  bool any = false;
  for (Rule& rule : rules.rules)
    if (std::regex_search(name, rule.pattern)) any = rule.matched = true;
  return any;
}

bool LayerChoice::any_equal(Rules& rules, const std::string& text) {
  bool any = false;
  for (Rule& rule : rules.rules)
    if (rule.text == text) any = rule.matched = true;
  return any;
}

std::string LayerChoice::reason_to_ignore(const std::string& name, const std::string& type) {
  layers_.insert(name);
  layer_types_.insert(type);
  const bool by_pattern = any_search(ignore_, name), by_name = any_equal(ignore_names_, name),
             by_type = any_equal(ignore_types_, type);  // all of them: each notes its matches
  // As the program is told, since recipes keep it.
  return by_pattern ? "matches --ignore" : by_name ? "matches --ignore-name" : by_type ? "matches --ignore-type" : "";
}

bool LayerChoice::is_wanted(const std::string& name) { return only_.rules.empty() || any_search(only_, name); }

bool LayerChoice::is_untied(const std::string& name) { return any_search(untie_, name); }

void LayerChoice::check_layers_matched(const Rules& rules) const {
  for (const Rule& rule : rules.rules) {
    if (rule.matched) continue;
    const std::string near = did_you_mean(rule.text, {layers_.begin(), layers_.end()});
    throw Error(fmt::format("{} '{}' matches no layer of '{}'; {}", option(rules.key), rule.text, file_,
                            near.empty() ? "`dnateq inspect` lists the names" : near));
  }
}

void LayerChoice::check_chosen() const {
  check_layers_matched(only_);
  if (ignore_may_miss_) return;
  check_layers_matched(ignore_);
  check_layers_matched(ignore_names_);
  // Operations of other types than layers have are never quantized: to leave them out is no mistake.
  for (const Rule& rule : ignore_types_.rules) {
    if (rule.matched || types_.contains(rule.text)) continue;
    throw Error(fmt::format("{} '{}' is the type of no operation of '{}'; {}", option(ignore_types_.key), rule.text,
                            file_, suggestion(rule.text, {layer_types_.begin(), layer_types_.end()})));
  }
}

void LayerChoice::check_untied() const { check_layers_matched(untie_); }

}  // namespace dnateq
