// For tests: documents with one thing wrong.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/document.h"
#include "core/test_error.h"
#include "core/test_sanitized.h"

namespace dnateq::testing {

using Pointer = Document::json_pointer;

inline Document with(Document document, const std::string& path, const Document& value) {
  document.at(Pointer(path)) = value;
  return document;
}

inline Document without(Document document, const std::string& path) {
  const Pointer pointer(path);
  document.at(pointer.parent_pointer()).erase(pointer.back());
  return document;
}

// Every place in the document, the whole apart.
inline std::vector<Pointer> places_in(const Document& document, const Pointer& at = Pointer()) {
  std::vector<Pointer> places;
  const auto add = [&](const Pointer& place) {
    places.push_back(place);
    const std::vector<Pointer> inner = places_in(document, place);
    places.insert(places.end(), inner.begin(), inner.end());
  };
  const Document& here = document.at(at);
  if (here.is_object())
    for (const auto& [key, value] : here.items()) add(at / key);
  if (here.is_array())
    for (size_t i = 0; i < here.size(); ++i) add(at / i);
  return places;
}

// `read` refuses, or takes without harm, whatever stands in any place of the document; and names the key that lacks.
// `optional`: keys that need not be there.
inline void survives_every_value(const Document& whole, const std::function<void(const Document&)>& read,
                                 const std::vector<std::string>& optional = {}) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<Document> values = {nullptr,
                                        true,
                                        "?",
                                        "",
                                        -1,
                                        0,
                                        3,
                                        255,
                                        1e300,
                                        -0.5,
                                        kInfinity,
                                        std::numeric_limits<double>::quiet_NaN(),
                                        std::numeric_limits<uint64_t>::max(),
                                        std::numeric_limits<int64_t>::min(),
                                        Document::array(),
                                        Document::object(),
                                        Document::array({Document::array({1}), "x"}),
                                        Document::binary({1, 2, 3})};
  size_t number = 0;
  for (const Pointer& place : places_in(whole)) {
    if (kSanitized && number++ % 3 != 0) continue;
    for (const Document& value : values) {
      Document damaged = whole;
      damaged.at(place) = value;
      try {
        read(damaged);
      } catch (const Error&) {
      }
    }
    if (!whole.at(place.parent_pointer()).is_object()) continue;
    if (std::find(optional.begin(), optional.end(), place.back()) != optional.end()) continue;
    const std::string said = error_of([&] { read(without(whole, place.to_string())); });
    EXPECT_NE(said.find("'" + place.back() + "' is missing"), std::string::npos) << place.to_string() << ": " << said;
  }
}

}  // namespace dnateq::testing
