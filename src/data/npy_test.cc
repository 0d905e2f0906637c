#include "data/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "data/test_files.h"

namespace dnateq {
namespace {

using testing::Bytes;
using testing::bytes_of;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::npy;
using testing::npy_with_header;
using testing::values_of;

const std::string kWhere = "'a.npy'";

TEST(Npy, ReadsEveryVersionOfTheFormat) {
  for (const int version : {1, 2, 3}) {
    const Array array = parse_npy(npy("<f4", "(2, 1)", bytes_of<float>({1.5F, -2}), false, version), kWhere);
    EXPECT_EQ(array.type, DataType::kFloat32);
    EXPECT_THAT(array.shape, ElementsAre(2, 1));
    EXPECT_THAT(values_of<float>(array), ElementsAre(1.5F, -2.0F));
  }
}

TEST(Npy, KnowsEveryNumericType) {
  const std::pair<const char*, DataType> types[] = {
      {"|b1", DataType::kBool},   {"|i1", DataType::kInt8},    {"|u1", DataType::kUint8},   {"<i2", DataType::kInt16},
      {"<u2", DataType::kUint16}, {"<i4", DataType::kInt32},   {"<u4", DataType::kUint32},  {"<i8", DataType::kInt64},
      {"<u8", DataType::kUint64}, {"<f2", DataType::kFloat16}, {"<f4", DataType::kFloat32}, {"<f8", DataType::kFloat64},
  };
  for (const auto& [descr, type] : types) {
    const Array array = parse_npy(npy(descr, "(3,)", Bytes(3 * size_of(type))), kWhere);
    EXPECT_EQ(array.type, type) << descr;
    EXPECT_EQ(array.elements(), 3) << descr;
  }
}

TEST(Npy, ReadsScalarsEmptyAxesAndPython2Shapes) {
  EXPECT_TRUE(parse_npy(npy("<i4", "()", bytes_of<int32_t>({7})), kWhere).shape.empty());
  EXPECT_THAT(parse_npy(npy("<i4", "(1, 8, 0, 64)", {}), kWhere).shape, ElementsAre(1, 8, 0, 64));
  EXPECT_THAT(parse_npy(npy("<i4", "(2L, 1L)", bytes_of<int32_t>({7, 8})), kWhere).shape, ElementsAre(2, 1));
}

TEST(Npy, SwapsBigEndianNumbers) {
  const Bytes data = bytes_of<uint8_t>({0, 0, 1, 2, 0xff, 0xff, 0xff, 0xfe});
  EXPECT_THAT(values_of<int32_t>(parse_npy(npy(">i4", "(2,)", data), kWhere)), ElementsAre(258, -2));
}

TEST(Npy, TransposesFortranOrder) {
  // [[1, 2, 3], [4, 5, 6]] column by column.
  const Bytes two = npy("<i2", "(2, 3)", bytes_of<int16_t>({1, 4, 2, 5, 3, 6}), true);
  EXPECT_THAT(values_of<int16_t>(parse_npy(two, kWhere)), ElementsAre(1, 2, 3, 4, 5, 6));
  // 2 x 1 x 3 x 2 with element = its index in C order.
  std::vector<uint8_t> columns;
  for (int d = 0; d < 2; ++d)
    for (int c = 0; c < 3; ++c)
      for (int a = 0; a < 2; ++a) columns.push_back(static_cast<uint8_t>(6 * a + 2 * c + d));
  const Bytes four = npy("|u1", "(2, 1, 3, 2)", bytes_of(columns), true);
  EXPECT_THAT(values_of<uint8_t>(parse_npy(four, kWhere)), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_TRUE(parse_npy(npy("|u1", "(2, 0, 3)", {}, true), kWhere).bytes.empty());
}

TEST(Npy, TakesAnyNonZeroByteAsTrue) {
  EXPECT_THAT(values_of<uint8_t>(parse_npy(npy("|b1", "(3,)", bytes_of<uint8_t>({0, 1, 255})), kWhere)),
              ElementsAre(0, 1, 1));
}

TEST(Npy, NamesTheFileAndWhatIsWrong) {
  const auto error = [](const Bytes& file) { return error_of([&] { parse_npy(file, kWhere); }); };
  EXPECT_EQ(error(npy("|O", "(1,)", Bytes(8))),
            "'a.npy' holds Python objects; save it as bool, integers, float16, float32 or float64");
  EXPECT_THAT(error(npy("<U3", "(1,)", Bytes(12))), HasSubstr("type '<U3'"));
  EXPECT_THAT(error(npy("<c8", "(1,)", Bytes(8))), HasSubstr("type '<c8'"));
  EXPECT_THAT(error(npy("", "(1,)", Bytes(8))), HasSubstr("type ''"));
  EXPECT_THAT(error(npy_with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", Bytes(4))),
              HasSubstr("structured"));
  EXPECT_EQ(error(npy("<f4", "(3,)", Bytes(8))),
            "'a.npy' is truncated: its header declares 12 bytes of data, 8 follow; copy or save it again");
  EXPECT_THAT(error(npy("<f4", "(1,)", Bytes(8))), HasSubstr("is damaged"));
  EXPECT_THAT(error(bytes_of<char>({'h', 'e', 'l', 'l', 'o', '!', '!', '!', '!', '!', '!', '!'})),
              HasSubstr("no .npy signature"));
  EXPECT_THAT(error(npy("<f4", "(1,)", Bytes(4), false, 9)), HasSubstr("version 9"));
}

TEST(Npy, RefusesHostileHeadersWithoutAllocating) {
  const auto error = [](const std::string& shape) {
    return error_of([&] { parse_npy(npy("<f8", shape, Bytes(8)), kWhere); });
  };
  EXPECT_THAT(error("(1000000000000,)"), HasSubstr("truncated"));
  EXPECT_THAT(error("(4294967296, 4294967296)"), HasSubstr("more data than any file"));
  EXPECT_THAT(error("(0, 4294967296, 4294967296)"), HasSubstr("more data than any file"));
  EXPECT_THAT(error("(99999999999999999999,)"), HasSubstr("too long"));
  EXPECT_THAT(error("(-1,)"), HasSubstr("damaged .npy header"));
  std::string many = "(";
  for (int i = 0; i < 100; ++i) many += "1, ";
  EXPECT_THAT(error(many + ")"), HasSubstr("dimensions"));
  for (const char* header : {"", "{", "{}", "[]", "{'descr'", "{'descr': }", "{'descr': '<f4'}", "{'shape': (1 2)}",
                             "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
                             "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} more"})
    EXPECT_THAT(error_of([&] { parse_npy(npy_with_header(header, Bytes(4)), kWhere); }),
                HasSubstr("damaged .npy header"))
        << header;
  Bytes long_header = npy("<f4", "(1,)", Bytes(4), false, 2);
  testing::put_u32(long_header, 8, 0xffffffff);
  EXPECT_THAT(error_of([&] { parse_npy(long_header, kWhere); }), HasSubstr("4294967295 bytes"));
}

TEST(Npy, RefusesEveryTruncation) {
  const Bytes whole = npy("<f4", "(2, 2)", bytes_of<float>({1, 2, 3, 4}));
  for (size_t size = 0; size < whole.size(); ++size) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    cut.shrink_to_fit();
    EXPECT_THAT(error_of([&] { parse_npy(cut, kWhere); }), HasSubstr("truncated")) << size;
  }
}

TEST(Npy, SurvivesEveryChangedByte) {
  const Bytes whole = npy("<f4", "(2, 2)", bytes_of<float>({1, 2, 3, 4}), true);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {0x01, 0x10, 0x80, 0xff}) {
      Bytes changed = whole;
      changed[at] ^= static_cast<std::byte>(change);
      try {
        parse_npy(changed, kWhere);
      } catch (const Error&) {
      }
    }
  }
}

// One call a row.
class Rows : public Samples {
 public:
  explicit Rows(std::vector<Array> rows) : rows_(std::move(rows)) {}
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  std::vector<NamedArray> call(int64_t index) const override { return {{"", rows_.at(static_cast<size_t>(index))}}; }
  std::vector<std::string> inputs() const override { return {""}; }
  bool stackable() const override { return true; }
  std::string source() const override { return "rows"; }
  std::string fingerprint() const override { return "0"; }

 private:
  std::vector<Array> rows_;
};

Array row(std::vector<int64_t> shape, const std::vector<float>& values) {
  return {.type = DataType::kFloat32, .shape = std::move(shape), .bytes = bytes_of<float>(values)};
}

Bytes content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  Bytes bytes(std::filesystem::file_size(file));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

TEST(Npy, WritesTheFirstCallsAsOneArray) {
  const testing::TempFolder folder;
  const std::filesystem::path file = folder / "calls.npy";
  write_npy(file, Rows({row({1, 2, 1}, {1, 2}), row({1, 2, 1}, {3, 4}), row({1, 2, 1}, {5, 6})}), 2);
  const Bytes bytes = content_of(file);
  EXPECT_EQ(parse_npy_header(bytes, kWhere).data_offset % 64, 0);
  const Array array = parse_npy(bytes, kWhere);
  EXPECT_THAT(array.shape, ElementsAre(2, 2, 1));
  EXPECT_THAT(values_of<float>(array), ElementsAre(1, 2, 3, 4));
}

TEST(Npy, WritesNoCallsThatDiffer) {
  const testing::TempFolder folder;
  const auto refusal = [&](Array second) {
    return error_of([&] { write_npy(folder / "calls.npy", Rows({row({1, 2}, {1, 2}), std::move(second)}), 2); });
  };
  EXPECT_THAT(refusal(row({1, 3}, {1, 2, 3})), HasSubstr("sample 2 of 'rows' has another shape"));
  EXPECT_THAT(refusal(row({2, 2}, {1, 2, 3, 4})), HasSubstr("sample 2"));
  EXPECT_THAT(error_of([&] {
                write_npy(folder / "absent/calls.npy", Rows({row({1, 1}, {1})}), 1);
              }),
              HasSubstr("calls.npy' cannot be written: No such file"));
}

}  // namespace
}  // namespace dnateq
