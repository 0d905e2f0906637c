// Documents that dnateq reads back: JSON and CBOR. They are bounded before they are built, and read member by member,
// so that no value becomes an enum, an index or a size unchecked.
//
// Errors are one sentence: the file, where in it, the key, what it must be, and what helps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dnateq/error.h"

namespace dnateq {

using Document = nlohmann::ordered_json;

// nlohmann's CBOR parser, its writers and its copies recurse, and its ordered objects look keys up one by one.
inline constexpr int kDeepestDocument = 32;
inline constexpr int kMostKeys = 256;                       // of one object
inline constexpr int64_t kLargestCount = int64_t{1} << 53;  // sums of a few hundred of them fit int64

// What a document is called in errors, and what to do where it cannot be used.
struct DocumentSource {
  std::string name, remedy;
};

// Throw Error for bytes that are no such document, that nest too deep or hold text that is not UTF-8.
Document parse_json(std::string_view text, const DocumentSource& source);
Document parse_cbor(std::string_view bytes, const DocumentSource& source);

// The bytes of a regular file. Throws Error naming it.
std::string read_document_file(const std::filesystem::path& file, const std::string& remedy);

// NaN is null, infinities are "inf" and "-inf": JSON has no form for them.
Document number_document(double value);

// Reads members of one object.
class DocumentReader {
 public:
  DocumentReader(const Document& document, std::string where, std::string remedy);
  DocumentReader(const Document& document, const DocumentSource& source)
      : DocumentReader(document, source.name, source.remedy) {}

  // `what` is wrong here.
  [[noreturn]] void fail(const std::string& what) const;

  const std::string& where() const { return where_; }
  bool has(const char* key) const { return document_.contains(key); }
  bool has_value(const char* key) const { return has(key) && !get(key).is_null(); }
  const Document& get(const char* key) const;

  std::string text(const char* key) const;
  std::vector<std::string> texts(const char* key) const;
  bool boolean(const char* key) const;
  double number(const char* key) const;  // may be NaN or infinite
  double finite(const char* key, double low = -std::numeric_limits<double>::max(),
                double high = std::numeric_limits<double>::max()) const;
  std::vector<double> numbers(const char* key) const;  // finite
  int64_t count(const char* key, int64_t low = 0, int64_t high = kLargestCount) const;
  int small_count(const char* key, int low, int high) const { return static_cast<int>(count(key, low, high)); }
  uint64_t unsigned_integer(const char* key) const;
  std::vector<int64_t> counts(const char* key, int64_t low = 0, int64_t high = kLargestCount) const;
  const Document& list(const char* key) const;
  std::string_view bytes(const char* key) const;  // of CBOR's byte string
  // The byte string as T's: as many as there are, a whole number of them.
  template <class T>
  std::vector<T> array(const char* key) const;

  DocumentReader object(const char* key) const { return {get(key), where_ + ", " + key, remedy_}; }
  DocumentReader item(const Document& document, const std::string& name) const {
    return {document, where_ + ", " + name, remedy_};
  }
  // What `read(reader of the object)` gives for each object of a list; an error says "`name` 3 of the list".
  template <class Read>
  auto items(const char* key, const std::string& name, Read read) const;

  // For values that have a reader of their own, which does not know where they come from: its errors' last part, behind
  // a semicolon, is advice, in whose place stands what helps here.
  template <class Function>
  auto named(Function function) const {
    try {
      return function();
    } catch (const Error& error) {
      const std::string what = error.what();
      fail(what.substr(0, what.rfind("; ")));
    }
  }

 private:
  [[noreturn]] void fail_type(const char* key, const std::string& expected) const;
  int64_t checked_count(const Document& value, const char* key, int64_t low, int64_t high) const;

  const Document& document_;
  std::string where_, remedy_;
};

template <class T>
std::vector<T> DocumentReader::array(const char* key) const {
  const std::string_view stored = bytes(key);
  if (stored.size() % sizeof(T) != 0)
    fail("'" + std::string(key) + "' must hold whole values of " + std::to_string(sizeof(T)) + " bytes");
  std::vector<T> values(stored.size() / sizeof(T));
  std::copy(stored.begin(), stored.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

template <class Read>
auto DocumentReader::items(const char* key, const std::string& name, Read read) const {
  std::vector<decltype(read(*this))> found;
  for (const Document& document : list(key))
    found.push_back(read(item(document, name + " " + std::to_string(found.size() + 1) + " of the list")));
  return found;
}

}  // namespace dnateq
