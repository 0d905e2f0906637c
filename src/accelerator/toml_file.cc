#include "accelerator/toml_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>

// toml++ 3.3 asserts what malformed text can break, and with NDEBUG tells the compiler that it cannot be:
// undefined behaviour. So its assertions are on in every build, and are an error of the text.
namespace dnateq::accelerator {
[[noreturn]] inline void refuse_toml() { throw std::runtime_error("malformed"); }
}  // namespace dnateq::accelerator
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? void() : dnateq::accelerator::refuse_toml())
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include "core/sentence.h"
#include "core/suggestion.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

TomlValue value_of(const toml::node& node) {
  TomlValue value;
  value.line = node.source().begin.line;
  if (const auto* whole = node.as_integer()) {
    value.kind = TomlValue::Kind::kNumber;
    value.number = static_cast<double>(whole->get());
    value.whole = true;
  } else if (const auto* real = node.as_floating_point()) {
    value.kind = TomlValue::Kind::kNumber;
    value.number = real->get();
  } else if (const auto* text = node.as_string()) {
    value.kind = TomlValue::Kind::kText;
    value.text = text->get();
  } else if (const auto* flag = node.as_boolean()) {
    value.kind = TomlValue::Kind::kBool;
    value.flag = flag->get();
  }
  return value;
}

TomlTable table_of(const toml::table& table, const std::string& file, const std::string& name) {
  TomlTable result(file, name, table.source().begin.line);
  for (const auto& [key, node] : table) result.values.emplace(std::string(key.str()), value_of(node));
  return result;
}

}  // namespace

std::string TomlTable::place(const std::string& key) const {
  const auto found = values.find(key);
  const int64_t line = found != values.end() ? found->second.line : line_;
  const std::string full = name_.empty() ? key : name_ + "." + key;
  return line > 0 ? fmt::format("{}, line {}: {}", file_, line, full) : fmt::format("{}: {}", file_, full);
}

const TomlValue& TomlTable::value(const std::string& key, TomlValue::Kind kind, const char* what) {
  asked_.insert(key);
  const auto found = values.find(key);
  if (found == values.end()) throw Error(fmt::format("{} is missing: add it, {}", place(key), what));
  if (found->second.kind != kind) throw Error(fmt::format("{} must be {}", place(key), what));
  return found->second;
}

double TomlTable::number(const std::string& key) {
  const double number = value(key, TomlValue::Kind::kNumber, "a number").number;
  if (!std::isfinite(number)) throw Error(fmt::format("{} must be a finite number", place(key)));
  return number;
}

int64_t TomlTable::integer(const std::string& key) {
  const TomlValue& found = value(key, TomlValue::Kind::kNumber, "a whole number");
  if (!found.whole || std::abs(found.number) > 9e15) throw Error(fmt::format("{} must be a whole number", place(key)));
  return static_cast<int64_t>(found.number);
}

std::string TomlTable::text(const std::string& key) {
  return value(key, TomlValue::Kind::kText, "a text in quotes").text;
}

bool TomlTable::flag(const std::string& key) { return value(key, TomlValue::Kind::kBool, "true or false").flag; }

std::string TomlTable::source(const std::string& key) {
  const std::string name = key + "_source";
  asked_.insert(name);
  const auto found = values.find(name);
  if (found == values.end() || found->second.kind != TomlValue::Kind::kText || found->second.text.empty()) {
    throw Error(
        fmt::format(R"({} has no source: add {} = "..." beside it, starting with "assumed" where nobody published it)",
                    place(key), name));
  }
  return found->second.text;
}

void TomlTable::finish() const {
  for (const auto& [key, unused] : values) {
    if (asked_.contains(key)) continue;
    throw Error(
        fmt::format("{} is not a key of this file: {}", place(key), suggestion(key, {asked_.begin(), asked_.end()})));
  }
}

TomlFile parse_toml(std::string_view text, const std::string& name) {
  // A letter beyond ASCII in a key is another such place of toml++, in a function that must not throw.
  if (const auto at =
          std::find_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 127; });
      at != text.end()) {
    throw Error(fmt::format("{}: line {} has a character that is not ASCII: write it without", name,
                            1 + std::count(text.begin(), at, '\n')));
  }
  toml::table parsed;
  try {
    parsed = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    throw Error(fmt::format("{}, line {}: not TOML: {}", name, error.source().begin.line,
                            one_line(std::string(error.description()))));
  } catch (const std::runtime_error&) {
    throw Error(fmt::format("{} is not TOML: a key or a value in it is malformed", name));
  }
  TomlFile file{.name = name, .root = TomlTable(name, "", 0), .tables = {}, .arrays = {}};
  for (const auto& [key, node] : parsed) {
    const std::string key_text(key.str());
    const auto* array = node.as_array();
    if (const auto* table = node.as_table()) {
      file.tables.emplace(key_text, table_of(*table, name, key_text));
    } else if (array != nullptr && !array->empty() && array->is_homogeneous(toml::node_type::table)) {
      for (const auto& entry : *array) file.arrays[key_text].push_back(table_of(*entry.as_table(), name, key_text));
    } else {
      file.root.values.emplace(key_text, value_of(node));
    }
  }
  return file;
}

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) throw Error(fmt::format("cannot read {}: check the path", file));
  return text.str();
}

}  // namespace dnateq::accelerator
