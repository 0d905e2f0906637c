#include "core/tensor_document.h"

#include <fmt/format.h>

#include <optional>

namespace dnateq {
namespace {

// Exponent bits exist only where codes are the paper's: a sign bit where there are negative levels, no code wasted.
std::optional<int> exponent_bits(const TensorCode& code) {
  const int k = code.stored_bits;
  if (code.negative_levels == 0 && code.positive_levels == (1 << k) - 1) return k;
  const int half = (1 << (k - 1)) - 1;
  if (code.negative_levels == half && code.positive_levels == half) return k - 1;
  return std::nullopt;
}

std::string family_text(const TensorCode& code) {
  if (code.family == Family::kPow2) return fmt::format("{}:{}", to_string(code.family), code.pow2_q);
  return to_string(code.family);
}

}  // namespace

Document code_document(const TensorCode& code) {
  Document document;
  document["stored_bits"] = code.stored_bits;
  if (const std::optional<int> bits = exponent_bits(code)) document["exponent_bits"] = *bits;
  document["negative_levels"] = code.negative_levels;
  document["positive_levels"] = code.positive_levels;
  document["family"] = family_text(code);
  document["base"] = number_document(code.base);
  document["alpha"] = number_document(code.alpha);
  document["beta"] = number_document(code.beta);
  document["arithmetic"] = to_string(code.arithmetic);
  document["grid"] = number_document(code.grid);
  document["rounding"] = to_string(code.rounding);
  return document;
}

TensorCode read_code(const DocumentReader& reader, const std::string& tensor) {
  TensorCode code;
  code.stored_bits = reader.small_count("stored_bits", kMinStoredBits, kMaxStoredBits);
  const int most_levels = (1 << code.stored_bits) - 1;
  code.negative_levels = reader.small_count("negative_levels", 0, most_levels);
  code.positive_levels = reader.small_count("positive_levels", 0, most_levels);
  code.family = reader.named([&] { return family_from_string(reader.text("family"), &code.pow2_q); });
  code.base = reader.number("base");
  code.alpha = reader.number("alpha");
  code.beta = reader.number("beta");
  code.arithmetic = reader.named([&] { return arithmetic_from_string(reader.text("arithmetic")); });
  code.grid = reader.number("grid");
  code.rounding = reader.named([&] { return rounding_from_string(reader.text("rounding")); });
  if (reader.has("exponent_bits") && exponent_bits(code) != reader.small_count("exponent_bits", 1, kMaxStoredBits))
    reader.fail("'exponent_bits' contradicts the numbers of levels");
  reader.named([&] { validate(code, tensor); });
  return code;
}

Document histogram_document(const Histogram& histogram) {
  Document keys = Document::array(), counts = Document::array();
  for (const Histogram::Entry& entry : histogram.entries()) {
    keys.push_back(entry.key);
    counts.push_back(entry.count);
  }
  return {{"keys", std::move(keys)},
          {"counts", std::move(counts)},
          {"zeros", histogram.zeros()},
          {"minimum", histogram.minimum()},
          {"maximum", histogram.maximum()}};
}

Histogram read_histogram(const DocumentReader& reader) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  const std::vector<int64_t> keys = reader.counts("keys", 0, Histogram::kBins - 1);
  const std::vector<int64_t> counts = reader.counts("counts", 1);
  if (keys.size() != counts.size()) reader.fail("'counts' must have one number for each of 'keys'");
  const auto zeros = static_cast<uint64_t>(reader.count("zeros"));
  const double minimum = reader.finite("minimum", -kLargest, kLargest);
  const double maximum = reader.finite("maximum", minimum, kLargest);
  std::vector<Histogram::Entry> entries;
  uint64_t all = zeros;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i > 0 && keys[i] <= keys[i - 1]) reader.fail("'keys' must ascend");
    entries.push_back({static_cast<uint16_t>(keys[i]), static_cast<uint64_t>(counts[i])});
    all += entries.back().count;
    if (all > static_cast<uint64_t>(kLargestCount)) reader.fail("'counts' must hold no more values than a file can");
  }
  return reader.named([&] {
    return Histogram::from_entries(entries, zeros, static_cast<float>(minimum), static_cast<float>(maximum));
  });
}

}  // namespace dnateq
