#include "core/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

namespace dnateq {
namespace {

bool is_utf8(const std::string& text) {
  try {
    Document(text).dump();
    return true;
  } catch (const Document::exception&) {
    return false;
  }
}

// Builds nothing, and stops at the first thing that a document of ours does not have.
class Bounds final : public Document::json_sax_t {
 public:
  explicit Bounds(bool checks_text) : checks_text_(checks_text) {}

  const std::string& complaint() const { return complaint_; }

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool string(string_t& value) override { return is_text(value); }
  bool key(string_t& value) override {
    if (++keys_.back() > kMostKeys) return stop(fmt::format("has an object of more than {} keys", kMostKeys));
    return is_text(value);
  }
  bool start_object(size_t /*elements*/) override { return enter(); }
  bool start_array(size_t /*elements*/) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    const std::string reason = error.what();  // behind "[json.exception.parse_error.101] "
    parser_ = reason.substr(std::min(reason.find("] ") + 2, reason.size()));
    // It quotes the file, whose bytes need not be of any text.
    std::replace_if(
        parser_.begin(), parser_.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return false;
  }
  const std::string& parser_complaint() const { return parser_; }

 private:
  bool stop(std::string what) {
    complaint_ = std::move(what);
    return false;
  }
  bool is_text(const string_t& value) {
    return !checks_text_ || is_utf8(value) || stop("holds text that is not UTF-8");
  }
  bool enter() {
    if (keys_.size() == static_cast<size_t>(kDeepestDocument))
      return stop(fmt::format("nests deeper than {} levels", kDeepestDocument));
    keys_.push_back(0);
    return true;
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  bool checks_text_;
  std::vector<int> keys_;  // of every object (or list) that is open
  std::string complaint_, parser_;
};

void check_bounds(std::string_view bytes, Document::input_format_t format, const char* format_name,
                  const DocumentSource& source) {
  Bounds bounds(format != Document::input_format_t::json);  // the parser of JSON sees to that itself
  if (Document::sax_parse(bytes.begin(), bytes.end(), &bounds, format)) return;
  if (!bounds.complaint().empty())
    throw Error(fmt::format("{} {}, which no file of dnateq does; {}", source.name, bounds.complaint(), source.remedy));
  throw Error(
      fmt::format("{} is not valid {} ({}); {}", source.name, format_name, bounds.parser_complaint(), source.remedy));
}

// What the bounds let pass, the parser takes; but for sizes that no memory has.
template <class Parse>
Document parsed(const DocumentSource& source, const char* format_name, Parse parse) {
  try {
    return parse();
  } catch (const Document::exception& error) {
    throw Error(fmt::format("{} is not valid {} ({}); {}", source.name, format_name, error.what(), source.remedy));
  }
}

}  // namespace

Document parse_json(std::string_view text, const DocumentSource& source) {
  check_bounds(text, Document::input_format_t::json, "JSON", source);
  return parsed(source, "JSON", [&] { return Document::parse(text.begin(), text.end()); });
}

Document parse_cbor(std::string_view bytes, const DocumentSource& source) {
  check_bounds(bytes, Document::input_format_t::cbor, "CBOR", source);
  return parsed(source, "CBOR", [&] { return Document::from_cbor(bytes.begin(), bytes.end()); });
}

std::string read_document_file(const std::filesystem::path& file, const std::string& remedy) {
  std::error_code failed;
  std::ifstream stream(file, std::ios::binary);
  // A folder opens like a file and throws only when it is read.
  if (!stream || std::filesystem::is_directory(file, failed))
    throw Error(fmt::format("{} cannot be read; {}", file.string(), remedy));
  return {std::istreambuf_iterator<char>(stream), {}};
}

Document number_document(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (std::isnan(value)) return nullptr;
  return value;
}

DocumentReader::DocumentReader(const Document& document, std::string where, std::string remedy)
    : document_(document), where_(std::move(where)), remedy_(std::move(remedy)) {
  if (!document.is_object()) fail(fmt::format("an object is expected here, not {}", document.type_name()));
}

void DocumentReader::fail(const std::string& what) const {
  throw Error(fmt::format("{}: {}; {}", where_, what, remedy_));
}

void DocumentReader::fail_type(const char* key, const std::string& expected) const {
  fail(fmt::format("'{}' must be {}, not {}", key, expected, get(key).type_name()));
}

const Document& DocumentReader::get(const char* key) const {
  const auto found = document_.find(key);
  if (found == document_.end()) fail(fmt::format("'{}' is missing", key));
  return *found;
}

std::string DocumentReader::text(const char* key) const {
  if (!get(key).is_string()) fail_type(key, "a string");
  return get(key).get<std::string>();
}

std::vector<std::string> DocumentReader::texts(const char* key) const {
  std::vector<std::string> values;
  for (const Document& value : list(key)) {
    if (!value.is_string()) fail(fmt::format("'{}' must hold strings", key));
    values.push_back(value.get<std::string>());
  }
  return values;
}

bool DocumentReader::boolean(const char* key) const {
  if (!get(key).is_boolean()) fail_type(key, "true or false");
  return get(key).get<bool>();
}

double DocumentReader::number(const char* key) const {
  const Document& value = get(key);
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  fail_type(key, "a number, null, \"inf\" or \"-inf\"");
}

double DocumentReader::finite(const char* key, double low, double high) const {
  const Document& value = get(key);
  const double number = value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
  if (number >= low && number <= high) return number;
  if (low == -std::numeric_limits<double>::max()) fail(fmt::format("'{}' must be a finite number", key));
  if (high == std::numeric_limits<double>::max())
    fail(fmt::format("'{}' must be a finite number of at least {}", key, low));
  fail(fmt::format("'{}' must be a number from {} to {}", key, low, high));
}

std::vector<double> DocumentReader::numbers(const char* key) const {
  std::vector<double> values;
  for (const Document& value : list(key)) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) fail(fmt::format("'{}' must hold numbers", key));
    values.push_back(value.get<double>());
  }
  return values;
}

int64_t DocumentReader::count(const char* key, int64_t low, int64_t high) const {
  return checked_count(get(key), key, low, high);
}

uint64_t DocumentReader::unsigned_integer(const char* key) const {
  if (!get(key).is_number_unsigned()) fail_type(key, "an integer that is not negative");
  return get(key).get<uint64_t>();
}

std::vector<int64_t> DocumentReader::counts(const char* key, int64_t low, int64_t high) const {
  std::vector<int64_t> values;
  for (const Document& value : list(key)) values.push_back(checked_count(value, key, low, high));
  return values;
}

const Document& DocumentReader::list(const char* key) const {
  if (!get(key).is_array()) fail_type(key, "a list");
  return get(key);
}

std::string_view DocumentReader::bytes(const char* key) const {
  if (!get(key).is_binary()) fail_type(key, "a string of bytes");
  const auto& stored = get(key).get_binary();
  return {reinterpret_cast<const char*>(stored.data()), stored.size()};
}

int64_t DocumentReader::checked_count(const Document& value, const char* key, int64_t low, int64_t high) const {
  // The parser calls what does not fit int64 unsigned, and negative numbers signed.
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() &&
                      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  if (fits && value.get<int64_t>() >= low && value.get<int64_t>() <= high) return value.get<int64_t>();
  if (high == kLargestCount) fail(fmt::format("'{}' must hold integers of at least {}, and no huge ones", key, low));
  fail(fmt::format("'{}' must be an integer from {} to {}", key, low, high));
}

}  // namespace dnateq
