#include "search/solution_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "core/test_document.h"
#include "dnateq/error.h"
#include "search/test_data.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

class SolutionFile : public ::testing::Test {
 protected:
  SolutionFile() {
    std::string pattern = (fs::temp_directory_path() / "dnateq_solution_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    file_ = folder_ / "0001.cbor";
    solution_ = quantize_rows(testing::normal_values(35, 41), shape_, with_level_counts(TensorCode{}, 3));
    solution_.bias = {0.5F, -1.0F, 0.0F, 1e-30F, 7.0F};
    solution_.scale_exponent = -30;
    solution_.output_relative_error = 0.01;
    solution_.nearest_output_relative_error = 0.02;
  }
  ~SolutionFile() override { fs::remove_all(folder_); }

  std::string bytes() const {
    std::ifstream stream(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(file_, std::ios::binary) << bytes; }

  std::optional<LayerSolution> load(const LayerShape& shape) const {
    return load_solution(file_, shape, solution_.code);
  }

  const LayerShape shape_{5, 7, 1};
  fs::path folder_, file_;
  LayerSolution solution_;
};

TEST_F(SolutionFile, RoundTripsEveryField) {
  save_solution(solution_, file_);
  const std::optional<LayerSolution> loaded = load(shape_);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->code, solution_.code);
  EXPECT_EQ(loaded->codes, solution_.codes);
  EXPECT_EQ(loaded->gamma, solution_.gamma);
  EXPECT_EQ(loaded->scale_exponent, -30);
  EXPECT_EQ(loaded->bias, solution_.bias);
  EXPECT_EQ(loaded->weight_relative_error, solution_.weight_relative_error);
  EXPECT_EQ(loaded->weight_rmae, solution_.weight_rmae);
  EXPECT_EQ(loaded->uniform_relative_error, solution_.uniform_relative_error);
  EXPECT_EQ(loaded->output_relative_error, solution_.output_relative_error);
  EXPECT_EQ(loaded->nearest_output_relative_error, solution_.nearest_output_relative_error);
}

TEST_F(SolutionFile, RoundTripsEveryFamilyAndASolutionWithoutBias) {
  for (const Family family : {Family::kFree, Family::kBeta0, Family::kPow2})
    for (const Arithmetic arithmetic : {Arithmetic::kExponential, Arithmetic::kInt8Grid}) {
      TensorCode request;
      request.family = family;
      request.pow2_q = family == Family::kPow2 ? 2 : 0;
      request.arithmetic = arithmetic;
      const LayerSolution solution =
          quantize_rows(testing::normal_values(35, 42), shape_, with_level_counts(request, 4));
      save_solution(solution, file_);
      const std::optional<LayerSolution> loaded = load_solution(file_, shape_, solution.code);
      ASSERT_TRUE(loaded.has_value());
      EXPECT_EQ(loaded->code, solution.code);
      EXPECT_EQ(loaded->codes, solution.codes);
      EXPECT_TRUE(loaded->bias.empty());
    }
}

TEST_F(SolutionFile, AMissingFileIsNothing) { EXPECT_FALSE(load(shape_).has_value()); }

TEST_F(SolutionFile, AnotherShapeIsNothing) {
  save_solution(solution_, file_);
  EXPECT_FALSE(load({7, 5, 1}).has_value());  // as many codes, other rows
  EXPECT_FALSE(load({5, 8, 1}).has_value());
  EXPECT_FALSE(load({0, 0, 1}).has_value());
}

TEST_F(SolutionFile, ABiasOfAnotherLengthIsNothing) {
  solution_.bias.pop_back();
  save_solution(solution_, file_);
  EXPECT_FALSE(load(shape_).has_value());
}

TEST_F(SolutionFile, EveryTruncationIsNothing) {
  save_solution(solution_, file_);
  const std::string whole = bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    write(whole.substr(0, length));
    EXPECT_FALSE(load(shape_).has_value()) << length << " of " << whole.size() << " bytes";
  }
}

TEST_F(SolutionFile, ForeignBytesAreNothing) {
  for (const std::string& foreign :
       {std::string("not cbor"), std::string(4096, '\0'), std::string("\xa0", 1), std::string("{\"code\": []}")}) {
    write(foreign);
    EXPECT_FALSE(load(shape_).has_value());
  }
}

TEST_F(SolutionFile, DamagedBytesGiveNothingOrASolutionOfTheRightShape) {
  save_solution(solution_, file_);
  const std::string whole = bytes();
  for (size_t at = 0; at < whole.size(); ++at)
    for (const char mask : {'\x01', '\x20', '\x80', '\xff'}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      write(damaged);
      const std::optional<LayerSolution> loaded = load(shape_);
      if (!loaded) continue;
      EXPECT_EQ(loaded->codes.size(), 35U);
      EXPECT_EQ(loaded->gamma.size(), 5U);
      EXPECT_NO_THROW(validate(loaded->code, "damaged"));
      EXPECT_STRNE(to_string(loaded->code.family), "?");
      decode_weights(*loaded, shape_.columns);
    }
}

TEST_F(SolutionFile, OfAnotherWidthOrArithmeticIsNothing) {
  save_solution(solution_, file_);
  EXPECT_FALSE(load_solution(file_, shape_, with_level_counts(TensorCode{}, 4)).has_value());
  TensorCode real = solution_.code;
  real.arithmetic = Arithmetic::kExponential;
  EXPECT_FALSE(load_solution(file_, shape_, real).has_value());
}

TEST_F(SolutionFile, EveryRefusalNamesTheFileTheKeyAndTheRemedy) {
  save_solution(solution_, file_);
  const Document whole = parse_cbor(bytes(), {"file", "remedy"});
  const auto read = [&](const Document& document) {
    const std::vector<uint8_t> cbor = Document::to_cbor(document);
    const LayerSolution loaded =
        read_solution({reinterpret_cast<const char*>(cbor.data()), cbor.size()}, shape_, solution_.code, "0001.cbor");
    EXPECT_EQ(loaded.codes.size(), 35U);
    EXPECT_EQ(loaded.gamma.size(), 5U);
  };
  const auto refused = [&](const std::string& path, const Document& value, const std::string& key) {
    EXPECT_THAT(testing::error_of([&] { read(testing::with(whole, path, value)); }),
                ::testing::AllOf(::testing::HasSubstr("0001.cbor"), ::testing::HasSubstr(key),
                                 ::testing::HasSubstr("delete it, and the layer is solved again")))
        << path;
  };
  const auto binary = [](size_t bytes, uint8_t value) { return Document::binary(std::vector<uint8_t>(bytes, value)); };
  refused("/code/family", "paretic", "family");
  refused("/code/stored_bits", 9, "'stored_bits'");
  refused("/code/positive_levels", 200, "'positive_levels'");
  refused("/codes", binary(13, 0), "'codes'");
  refused("/codes", binary(15, 0), "'codes'");
  refused("/codes", "text", "'codes'");
  refused("/gamma", binary(9, 0x30), "'gamma'");
  refused("/gamma", binary(12, 0x30), "'gamma'");
  refused("/gamma", binary(10, 0), "'gamma'");
  refused("/gamma", binary(10, 0x7c), "'gamma'");  // NaN
  refused("/scale_exponent", 101, "'scale_exponent'");
  refused("/scale_exponent", -101, "'scale_exponent'");
  refused("/bias", binary(16, 0), "'bias'");
  refused("/bias", binary(20, 0xff), "'bias'");  // NaN
  refused("/weight_relative_error", nullptr, "'weight_relative_error'");
  refused("/weight_rmae", -0.5, "'weight_rmae'");
  refused("/output_relative_error", std::numeric_limits<double>::infinity(), "'output_relative_error'");
  testing::survives_every_value(whole, read, {"exponent_bits"});
}

TEST_F(SolutionFile, WritingLeavesNoTemporaryFile) {
  save_solution(solution_, file_);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  EXPECT_THROW(save_solution(solution_, folder_ / "missing" / "0001.cbor"), Error);
}

}  // namespace
}  // namespace dnateq
