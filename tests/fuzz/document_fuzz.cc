// Any bytes as JSON and as CBOR: refused with Error, or a document that is no deeper than it may be and writes itself
// back in both forms.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "core/document.h"

namespace {

using dnateq::Document;

std::optional<Document> read(Document (*parse)(std::string_view, const dnateq::DocumentSource&),
                             std::string_view bytes) {
  try {
    return parse(bytes, {"fuzz", "try again"});
  } catch (const dnateq::Error&) {
    return std::nullopt;
  }
}

int depth_of(const Document& document) {
  int deepest = 0;
  if (!document.is_structured()) return deepest;
  for (const Document& inner : document) deepest = std::max(deepest, depth_of(inner));
  return deepest + 1;
}

std::string cbor_of(const Document& document) {
  const std::vector<uint8_t> bytes = Document::to_cbor(document);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(data, data + size);
  for (const auto parse : {dnateq::parse_json, dnateq::parse_cbor}) {
    const std::optional<Document> document = read(parse, bytes);
    if (!document) continue;
    if (depth_of(*document) > dnateq::kDeepestDocument) std::abort();
    const std::string cbor = cbor_of(*document), text = document->dump();
    const std::optional<Document> again = read(dnateq::parse_cbor, cbor);
    if (!again || cbor_of(*again) != cbor) std::abort();
    if (text.find("\"bytes\":[") == std::string::npos && !read(dnateq::parse_json, text)) std::abort();
  }
  return 0;
}
