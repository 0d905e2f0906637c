#include "accelerator/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "accelerator/simulate.h"
#include "accelerator/test_machine.h"
#include "accelerator/toml_file.h"
#include "core/test_error.h"

namespace dnateq::accelerator {
namespace {

using dnateq::testing::error_of;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The built-in configuration with one piece of text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text(kDefaultConfig);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string error_with(const std::string& from, const std::string& to) {
  return error_of([&] { parse_config(changed(from, to), "m.toml", {}); });
}

std::string table_error(const std::string& from, const std::string& to) {
  std::string text = testing::energy_table_text();
  text.replace(text.find(from), from.size(), to);
  return error_of([&] { parse_energy_table(text, "t.toml"); });
}

TEST(Config, BuiltInOneIsWholeAndSourced) {
  const Config config = default_config();
  EXPECT_EQ(config.memory.vaults, 16);
  EXPECT_EQ(config.sources.at("memory.trcd_ns"), "gem5 HMC_2500_1x32");
  EXPECT_THAT(config.assumed(), AllOf(Contains("array.rows"), Contains("memory.background_mw_per_vault"),
                                      Not(Contains("memory.trcd_ns"))));
}

// CACTI, 32 nm, read and write in pJ and area in um2: 32 KB x 64 b 8.26, 7.46, 56,605; 64 KB x 64 b 12.9, 10.8,
// 124,417.
TEST(Config, BuffersAreThoseOfTheCactiTable) {
  const Config config = default_config();
  for (const BufferConfig* buffer : {&config.input_buffer, &config.weight_buffer, &config.output_buffer}) {
    EXPECT_EQ(buffer->word_bytes, 8);
    const bool small = buffer->bytes == 32 * 1024;
    const double banks = small ? 1 : static_cast<double>(buffer->bytes) / (64 * 1024);
    EXPECT_DOUBLE_EQ(buffer->read_pj_per_word, small ? 8.26 : 12.9);
    EXPECT_DOUBLE_EQ(buffer->write_pj_per_word, small ? 7.46 : 10.8);
    EXPECT_DOUBLE_EQ(buffer->area_um2, small ? 56605 : banks * 124417);
  }
}

TEST(Config, BuiltInTableHasEveryPartOfEveryDesign) {
  const Config config = default_config();
  Workload net = built_in_workload("alexnet");
  for (int n = 3; n <= 5; ++n) {
    set_precision(net, n, 0, 0, "test");
    for (const Design design : all_designs()) EXPECT_NO_THROW(simulate(net, config, design)) << to_string(design) << n;
  }
}

TEST(Config, ErrorsNameFileLineKeyAndRemedy) {
  EXPECT_THAT(error_with("trcd_ns = 10.2", "trcd = 10.2"),
              AllOf(StartsWith("m.toml"), HasSubstr("memory.trcd_ns is missing")));
  EXPECT_THAT(error_with("[network]", "[network]\nbandwith = 3"),
              AllOf(HasSubstr("line "), HasSubstr("network.bandwith is not a key"), HasSubstr("bytes_per_cycle")));
  EXPECT_THAT(error_with("trcd_ns_source", "trdc_ns_source"),
              AllOf(HasSubstr("memory.trcd_ns has no source"), HasSubstr("assumed")));
  EXPECT_THAT(error_with("rows = 8", "rows = -8"), AllOf(HasSubstr("array.rows is -8"), HasSubstr("more than 0")));
  EXPECT_THAT(error_with("rows = 8", "rows = 0"), HasSubstr("more than 0"));
  EXPECT_THAT(error_with("rows = 8", "rows = 8.5"), HasSubstr("whole number"));
  EXPECT_THAT(error_with("rows = 8", "rows = \"8\""), HasSubstr("must be a whole number"));
  EXPECT_THAT(error_with("trcd_ns = 10.2", "trcd_ns = nan"), HasSubstr("finite"));
  EXPECT_THAT(error_with("[network]", "[netwrok]"), AnyOf(HasSubstr("lacks [network]"), HasSubstr("netwrok")));
  EXPECT_THAT(error_with("[network]", "[cooling]\nfans = 2\n[network]"), HasSubstr("[cooling] is not a table"));
  EXPECT_THAT(error_with("sizing = \"same-lanes\"", "sizing = \"big\""), HasSubstr("same-lanes or same-area"));
  EXPECT_THAT(error_with("flush = true", "flush = 1"), HasSubstr("true or false"));
  EXPECT_THAT(error_with("dnateq-config-1", "dnateq-config-9"), HasSubstr("format must be"));
  EXPECT_THAT(error_with("[memory]", "[memory"), AllOf(StartsWith("m.toml, line"), HasSubstr("not TOML")));
  EXPECT_THAT(error_of([] { parse_config("[x=", "m.toml", {}); }), HasSubstr("not TOML"));
  EXPECT_THAT(error_with("row_bytes = 256", "row_bytes = 250"), HasSubstr("multiple of memory.burst_bytes"));
  EXPECT_THAT(error_with("trefi_ns = 3900.0", "trefi_ns = 60.0"), HasSubstr("between refreshes"));
  EXPECT_THAT(error_with("tfaw_ns = 19.2", "tfaw_ns = 1900.0"), HasSubstr("between refreshes"));
  EXPECT_THAT(error_with("vaults = 16", "vaults = 1025"), HasSubstr("memory.vaults is 1025: at most 1024"));
  EXPECT_THAT(error_with("counter_bits = 10", "counter_bits = 65"), HasSubstr("2 to 64"));
  for (const char* bits : {"1", "8"})
    EXPECT_THAT(error_with("int8_above_exponent_bits = 7", std::string("int8_above_exponent_bits = ") + bits),
                HasSubstr("2 to 7"));
  EXPECT_THAT(error_with("table = \"built-in\"", "table = \"none.toml\""), HasSubstr("cannot read none.toml"));
}

TEST(Config, FilesAreReadWithTheTableBesideThem) {
  const auto folder = std::filesystem::temp_directory_path() / "dnateq_accelerator_config_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "machine.toml") << changed("table = \"built-in\"", "table = \"mine.toml\"");
  std::ofstream(folder / "mine.toml") << testing::energy_table_text();
  const Config config = load_config(folder / "machine.toml");
  EXPECT_EQ(config.energies.technology, "test");
  EXPECT_EQ(config.energies.energy_scale, default_config().energies.energy_scale);
  std::filesystem::remove_all(folder);
  EXPECT_THAT(error_of([&] { load_config(folder / "machine.toml"); }), HasSubstr("machine.toml"));
}

TEST(Config, KeysAreSetByName) {
  Config config = default_config();
  set_value(config, "array.columns", 64);
  set_value(config, "memory.access_pj_per_bit", 1.35);
  set_value(config, "array.double_buffered_counters", 1);
  EXPECT_EQ(config.array.columns, 64);
  EXPECT_EQ(config.memory.access_pj_per_bit, 1.35);
  EXPECT_TRUE(config.array.double_buffered_counters);
  EXPECT_THAT(error_of([&] { set_value(config, "memory.tcrd_ns", 1); }), HasSubstr("did you mean memory.trcd_ns"));
  EXPECT_THAT(error_of([&] { set_value(config, "array.rows", -1); }), HasSubstr("array.rows is -1"));
  EXPECT_THAT(error_of([&] { set_value(config, "array.rows", 1.5); }), HasSubstr("whole number"));
  EXPECT_THAT(error_of([&] { set_value(config, "memory.burst_bytes", 48); }), HasSubstr("multiple"));
  EXPECT_EQ(config.memory.burst_bytes, 32);
}

TEST(EnergyTable, FindsPartsAndNamesThoseMissing) {
  const EnergyTable table = parse_energy_table(testing::energy_table_text(), "t.toml");
  EXPECT_EQ(table.find("lane", Design::kInt8, 0, "").area_um2, 6000);
  EXPECT_EQ(table.find("quantizer", Design::kShift, 4, "").active_pj, 4);
  EXPECT_EQ(table.find("lane", Design::kCounting, 4, "sram", 0, 16).counter_bits, 16);
  EXPECT_THAT(
      error_of([&] { table.find("lane", Design::kShift, 4, "", 3); }),
      AllOf(HasSubstr("t.toml has no lane of design shift with 4 exponent bits, q = 3"), HasSubstr("[[part]]")));
}

TEST(EnergyTable, RefusesWhatIsUnknownMissingOrNegative) {
  EXPECT_THAT(table_error("area_um2", "area"), HasSubstr("area_um2 is missing"));
  EXPECT_THAT(table_error("cycles =", "cycls ="), HasSubstr("part.cycles is missing"));
  EXPECT_THAT(table_error("area_um2 = ", "area_um2 = -"), HasSubstr("must not be negative"));
  EXPECT_THAT(table_error("\"lane\"", "\"lame\""), HasSubstr("did you mean lane"));
  EXPECT_THAT(table_error("\"int8\"", "\"int9\""), HasSubstr("did you mean int8"));
  EXPECT_THAT(table_error("cycle_pj_source = \"test\"", ""), HasSubstr("has no source"));
  EXPECT_THAT(table_error("dnateq-energy-1", "x"), HasSubstr("format must be"));
  EXPECT_THAT(table_error("source = \"test\"", ""), HasSubstr("source is missing"));
  EXPECT_THAT(
      error_of([] { parse_energy_table("format = \"dnateq-energy-1\"\ntechnology = \"a\"\nsource = \"b\"", "t"); }),
      HasSubstr("has no [[part]]"));
  EXPECT_THAT(error_of([] { load_energy_table("/nowhere/t.toml"); }), HasSubstr("/nowhere/t.toml"));
}

TEST(EnergyTable, LettersBeyondAsciiAreRefused) {
  EXPECT_THAT(error_of([] { parse_energy_table("# a comment\nI\xEF\xBB\xAF", "t.toml"); }),
              AllOf(HasSubstr("t.toml: line 2"), HasSubstr("ASCII")));
}

TEST(Design, NamesGoBothWays) {
  for (const Design design : all_designs()) EXPECT_EQ(design_from_string(to_string(design)), design);
  EXPECT_THAT(error_of([] { design_from_string("magic"); }), HasSubstr("counting-beta0"));
}

}  // namespace
}  // namespace dnateq::accelerator
