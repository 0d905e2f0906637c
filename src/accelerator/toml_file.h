// A TOML file of one level of tables, with lines, and its errors as sentences: file, line, key, remedy. Keys that
// nobody asked for are errors at `finish`.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace dnateq::accelerator {

struct TomlValue {
  enum class Kind { kNumber, kText, kBool, kOther } kind = Kind::kOther;
  double number = 0;
  bool whole = false;  // written without a fraction
  std::string text;
  bool flag = false;
  int64_t line = 0;
};

class TomlTable {
 public:
  TomlTable(std::string file, std::string name, int64_t line)
      : file_(std::move(file)), name_(std::move(name)), line_(line) {}

  bool has(const std::string& key) const { return values.contains(key); }
  // All throw Error where the key is missing or of another type.
  double number(const std::string& key);
  int64_t integer(const std::string& key);
  std::string text(const std::string& key);
  bool flag(const std::string& key);
  // `KEY_source` beside KEY: what it says; an empty one counts as missing.
  std::string source(const std::string& key);
  void finish() const;  // throws Error that names the first key nobody asked for, and the nearest that there are

  std::string place(const std::string& key) const;  // "machine.toml, line 12: memory.trcd_ns"

  std::map<std::string, TomlValue> values;

 private:
  const TomlValue& value(const std::string& key, TomlValue::Kind kind, const char* what);

  std::string file_, name_;
  int64_t line_;
  std::set<std::string> asked_;
};

struct TomlFile {
  std::string name;
  TomlTable root{"", "", 0};
  std::map<std::string, TomlTable> tables;               // [name]
  std::map<std::string, std::vector<TomlTable>> arrays;  // [[name]]
};

TomlFile parse_toml(std::string_view text, const std::string& name);  // throws Error
std::string read_text(const std::string& file);                       // throws Error

}  // namespace dnateq::accelerator
