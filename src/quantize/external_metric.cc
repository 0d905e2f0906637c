#include "quantize/external_metric.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>

#include "dnateq/error.h"

namespace dnateq {
namespace {

using Json = nlohmann::json;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

constexpr const char* kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks), end = text.find_last_not_of(kBlanks);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

// A list or an object, by its first letter.
std::optional<Json> as_json(std::string_view text) {
  if (!text.starts_with('{') && !text.starts_with('[')) return {};
  // Scores lie two levels deep. What nests farther is left out: writing it into a message would recurse as deep.
  const auto near = [](int depth, Json::parse_event_t, Json&) { return depth <= 8; };
  Json json = Json::parse(text.begin(), text.end(), near, false);
  if (json.is_discarded()) return {};
  return json;
}

// Cut short, say. "[INFO] accuracy 0.25" is text.
bool looks_like_json(std::string_view text) {
  if (!text.starts_with('[')) return text.starts_with('{');
  const std::string_view first = trimmed(text.substr(1));
  return first.empty() || std::string_view("-0123456789").find(first.front()) != std::string_view::npos;
}

std::vector<double> numbers(const Json& list, const std::string& name) {
  std::vector<double> values;
  for (const Json& value : list) {
    if (value.is_boolean())
      values.push_back(value.get<bool>() ? 1 : 0);
    else if (value.is_number() && std::isfinite(value.get<double>()))
      values.push_back(value.get<double>());
    else
      throw Error(fmt::format("the {} gave {} as the score of sample {}; every sample's score must be a finite number",
                              name, value.dump(-1, ' ', false, Json::error_handler_t::replace), values.size()));
  }
  if (values.empty()) throw Error(fmt::format("the {} gave an empty list of sample scores", name));
  return values;
}

ExternalScore of_json(const Json& json, const std::string& name) {
  ExternalScore found;
  const bool is_list = json.is_array();
  const Json* samples = is_list ? &json : json.contains("per_sample") ? &json["per_sample"] : nullptr;
  const Json* score = !is_list && json.contains("score") ? &json["score"] : nullptr;
  if (samples == nullptr && score == nullptr)
    throw Error(fmt::format("the {} printed JSON with neither \"score\" nor \"per_sample\"", name));
  if (samples != nullptr) {
    if (!samples->is_array()) throw Error(fmt::format("the {} gave a \"per_sample\" that is no list of numbers", name));
    found.per_sample = numbers(*samples, name);
    found.score = mean_of(found.per_sample);
  }
  if (score != nullptr) {
    if (!score->is_number() || !std::isfinite(score->get<double>()))
      throw Error(fmt::format("the {} gave a \"score\" that is no finite number", name));
    found.score = score->get<double>();
  }
  return found;
}

}  // namespace

bool ExternalScore::has_score_of_its_own() const {
  if (per_sample.empty()) return true;
  const double average = mean_of(per_sample);
  constexpr double kRounding = 1e-6;  // a command prints some digits only
  return std::fabs(score - average) > kRounding * std::max(std::fabs(average), std::fabs(score));
}

ExternalScore parse_external_score(const std::string& text, const std::string& name) {
  const std::string_view all = trimmed(text);
  const size_t line_end = all.find_last_of('\n');
  const std::string_view last_line = trimmed(line_end == std::string_view::npos ? all : all.substr(line_end + 1));
  for (const std::string_view candidate : {last_line, all})
    if (const std::optional<Json> json = as_json(candidate)) return of_json(*json, name);
  if (looks_like_json(last_line))
    throw Error(fmt::format("the {} must print its JSON whole, on the last line or alone; '{}' is not valid", name,
                            last_line.substr(0, 40)));
  const size_t word_begin = last_line.find_last_of(kBlanks);
  const std::string word(word_begin == std::string_view::npos ? last_line : last_line.substr(word_begin + 1));
  char* rest = nullptr;
  const double value = std::strtod(word.c_str(), &rest);
  if (word.empty() || *rest != '\0' || !std::isfinite(value))
    throw Error(fmt::format("the {} must print a finite number last, or JSON with one score a sample; it printed {}",
                            name, word.empty() ? "nothing" : '\'' + word + '\''));
  return {value, {}};
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

ExternalScore run_command(const std::string& command, const std::filesystem::path& model) {
  const std::string line = command + " " + shell_quoted(model.string());
  std::FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) throw Error(fmt::format("the metric command '{}' cannot be started", command));
  std::string output;
  char buffer[4096];
  for (size_t got = std::fread(buffer, 1, sizeof buffer, pipe); got > 0;
       got = std::fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, got);
  const int status = pclose(pipe);
  if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(fmt::format("the metric command '{}' failed; run it by hand with the model's path as its last argument",
                            command));
  return parse_external_score(output, fmt::format("metric command '{}'", command));
}

}  // namespace dnateq
