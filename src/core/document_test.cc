#include "core/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/tensor_document.h"
#include "core/test_document.h"

namespace dnateq {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::with;
using testing::without;

const DocumentSource kSource = {"'file'", "delete it"};

std::string nested(int levels) {
  return std::string(static_cast<size_t>(levels), '[') + std::string(static_cast<size_t>(levels), ']');
}

std::string cbor_of(const Document& document) {
  const std::vector<uint8_t> bytes = Document::to_cbor(document);
  return {bytes.begin(), bytes.end()};
}

TEST(ParseJson, AnErrorQuotesNoBytesThatAreNoText) {
  const std::string said = error_of([] { parse_json("{\"a\": \xff\x1b[2J}", {"file", "remedy"}); });
  EXPECT_THAT(said, HasSubstr("file is not valid JSON"));
  for (const char c : said) EXPECT_TRUE(c >= ' ' && c <= '~') << said;
}

TEST(ParseDocument, TakesJsonAndCborAlike) {
  const Document document = {{"name", "\u00e9"}, {"list", {1, -2, 0.5, nullptr, true}}, {"inner", {{"x", "y"}}}};
  EXPECT_EQ(parse_json(document.dump(), kSource), document);
  EXPECT_EQ(parse_cbor(cbor_of(document), kSource), document);
}

TEST(ParseDocument, RefusesWhatNestsTooDeep) {
  EXPECT_NO_THROW(parse_json(nested(kDeepestDocument), kSource));
  // A million levels would overflow the stack of a parser that recurses.
  for (const int levels : {kDeepestDocument + 1, 1'000'000}) {
    EXPECT_THAT(error_of([&] { parse_json(nested(levels), kSource); }),
                AllOf(HasSubstr("'file'"), HasSubstr("deeper than 32"), HasSubstr("delete it")));
    const std::string cbor(static_cast<size_t>(levels), '\x81');  // a list of one, again and again
    EXPECT_THAT(error_of([&] { parse_cbor(cbor, kSource); }), HasSubstr("deeper than 32"));
    std::string maps;
    for (int i = 0; i < levels; ++i) maps += "\xa1\x61x";
    EXPECT_THAT(error_of([&] { parse_cbor(maps, kSource); }), HasSubstr("deeper than 32"));
  }
}

TEST(ParseDocument, RefusesObjectsOfMoreKeysThanAnyOfOurs) {
  Document document = Document::object();
  for (int i = 0; i <= kMostKeys; ++i) document[std::to_string(i)] = i;
  EXPECT_THAT(error_of([&] { parse_cbor(cbor_of(document), kSource); }), HasSubstr("more than 256 keys"));
  EXPECT_THAT(error_of([&] { parse_json(document.dump(), kSource); }), HasSubstr("more than 256 keys"));
}

TEST(ParseDocument, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(error_of([&] { parse_cbor("\x61\xff", kSource); }), HasSubstr("not UTF-8"));
  EXPECT_THAT(error_of([&] { parse_cbor(std::string("\xa1\x61\xff\x00", 4), kSource); }), HasSubstr("not UTF-8"));
  for (const char* text : {"\"\xff\"", "\xff\xff", "\"\xe2\x82"}) {
    const std::string said = error_of([&] { parse_json(text, kSource); });
    EXPECT_THAT(said, HasSubstr("not valid JSON"));
    EXPECT_NO_THROW(Document(said).dump()) << "a message is text itself";
  }
}

TEST(ParseDocument, RefusesSizesThatTheFileDoesNotHave) {
  for (const char* start : {"\x9b", "\xbb", "\x5b", "\x7b"}) {  // lists, objects, bytes, text of 2^56 and more
    const std::string claim = start + std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    EXPECT_THAT(error_of([&] { parse_cbor(claim, kSource); }), AllOf(HasSubstr("'file'"), HasSubstr("delete it")));
    EXPECT_THAT(error_of([&] { parse_cbor(start + std::string(8, '\xff'), kSource); }), HasSubstr("'file'"));
  }
}

TEST(ParseDocument, RefusesWhatIsCutShortOrFollowedByMore) {
  const std::string whole = cbor_of({{"list", {1, 2, "three"}}});
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(parse_cbor(whole.substr(0, length), kSource), Error) << length;
  EXPECT_THROW(parse_cbor(whole + "x", kSource), Error);
  EXPECT_THROW(parse_json("{} x", kSource), Error);
}

TEST(ReadDocumentFile, NamesAFileThatIsMissingOrAFolder) {
  for (const char* file : {"/no/such/file.cbor", "/tmp"})
    EXPECT_THAT(error_of([&] { read_document_file(file, "measure again"); }),
                AllOf(HasSubstr(file), HasSubstr("measure again")));
}

TEST(DocumentReader, NamesThePlaceTheKeyAndTheRemedy) {
  const Document document = {{"list", {{{"bits", 4}}, {{"bits", "four"}}}}};
  const DocumentReader reader(document, kSource);
  const auto bits = [](const DocumentReader& item) { return item.small_count("bits", 2, 8); };
  EXPECT_EQ(error_of([&] { reader.items("list", "tensor", bits); }),
            "'file', tensor 2 of the list: 'bits' must be an integer from 2 to 8; delete it");
  EXPECT_EQ(error_of([&] { (void)reader.get("lost"); }), "'file': 'lost' is missing; delete it");
  EXPECT_EQ(error_of([&] { reader.object("list"); }), "'file', list: an object is expected here, not array; delete it");
}

TEST(DocumentReader, TakesNumbersWithinTheirLimitsOnly) {
  const auto reads = [](const Document& value, auto read) {
    const Document document = {{"x", value}};
    try {
      read(DocumentReader(document, kSource));
      return true;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("'x' must"));
      return false;
    }
  };
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  const auto count = [](const DocumentReader& r) { r.count("x", -1, 5); };
  for (const Document& good : {Document(-1), Document(5), Document(5U)}) EXPECT_TRUE(reads(good, count)) << good;
  for (const Document& bad : {Document(-2), Document(6), Document(1.0), Document("1"), Document(~uint64_t{0})})
    EXPECT_FALSE(reads(bad, count)) << bad;
  EXPECT_FALSE(reads(kLargestCount + 1, [](const DocumentReader& r) { r.count("x"); }));
  const auto finite = [](const DocumentReader& r) { r.finite("x", 0); };
  for (const Document& good : {Document(0), Document(0.5), Document(1e308)}) EXPECT_TRUE(reads(good, finite)) << good;
  for (const Document& bad : {Document(-1e-9), Document(kNaN), Document(kInfinity), Document(nullptr), Document("inf")})
    EXPECT_FALSE(reads(bad, finite)) << bad;
  EXPECT_TRUE(reads("-inf", [](const DocumentReader& r) { r.number("x"); }));
  const auto numbers = [](const DocumentReader& r) { r.numbers("x"); };
  EXPECT_TRUE(reads({1, 0.5}, numbers));
  for (const Document& bad : {Document({1, kNaN}), Document({1, "2"}), Document({1, nullptr}), Document(1)})
    EXPECT_FALSE(reads(bad, numbers)) << bad;
  const auto texts = [](const DocumentReader& r) { r.texts("x"); };
  EXPECT_TRUE(reads({"a", ""}, texts));
  EXPECT_FALSE(reads({"a", 1}, texts));
}

TEST(DocumentReader, TakesByteStringsOfWholeValuesOnly) {
  const Document document = {{"x", Document::binary({0, 0, 128, 63})}, {"list", {0, 0}}};
  const DocumentReader reader(document, kSource);
  EXPECT_EQ(reader.array<float>("x"), std::vector<float>{1.0F});
  EXPECT_EQ(reader.array<uint8_t>("x").size(), 4U);
  EXPECT_THAT(error_of([&] { reader.array<double>("x"); }), HasSubstr("whole values of 8 bytes"));
  EXPECT_THAT(error_of([&] { reader.array<float>("list"); }), HasSubstr("'list' must be a string of bytes"));
}

Histogram sample_histogram() {
  Histogram histogram;
  histogram.add(std::vector<float>{-3.5F, 0.0F, 0.25F, 0.25F, 1e-3F, 700.0F});
  return histogram;
}

Histogram read_back(const Document& document) { return read_histogram(DocumentReader(document, kSource)); }

TEST(HistogramDocument, ComesBack) {
  const Histogram histogram = sample_histogram(), back = read_back(histogram_document(histogram));
  EXPECT_EQ(back.count(), 6U);
  EXPECT_EQ(back.zeros(), 1U);
  EXPECT_EQ(back.minimum(), -3.5F);
  EXPECT_EQ(back.maximum(), 700.0F);
  EXPECT_EQ(histogram_document(back), histogram_document(histogram));
  EXPECT_EQ(read_back(histogram_document({})).count(), 0U);
}

TEST(HistogramDocument, RefusesWhatNoHistogramIs) {
  const Document whole = histogram_document(sample_histogram());
  const auto refused = [&](const std::string& path, const Document& value, const std::string& why) {
    EXPECT_THAT(error_of([&] { read_back(with(whole, path, value)); }), AllOf(HasSubstr("'file'"), HasSubstr(why)));
  };
  refused("/keys/0", 65536, "'keys'");
  refused("/keys/0", -1, "'keys'");
  refused("/keys/0", 40000, "ascend");
  refused("/keys/3", 0x7f80, "holds no normal number");  // an infinity
  refused("/keys/0", 1, "holds no normal number");
  refused("/counts/0", 0, "'counts'");
  refused("/counts/0", kLargestCount, "'counts'");
  refused("/counts", {1, 2}, "'counts'");
  refused("/zeros", -1, "'zeros'");
  refused("/minimum", 1e39, "'minimum'");
  refused("/minimum", nullptr, "'minimum'");
  refused("/maximum", -4, "'maximum'");
  testing::survives_every_value(whole, [](const Document& document) { read_back(document); });
}

}  // namespace
}  // namespace dnateq
