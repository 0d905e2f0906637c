#include "graph/disk_constants.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "graph/test_language_model.h"

namespace dnateq::testing {
namespace {

using ov::op::v0::Constant;

// Of the mapping that holds the address, resident.
size_t resident_bytes(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    size_t kilobytes = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside = reinterpret_cast<unsigned long>(address) >= begin && reinterpret_cast<unsigned long>(address) < end;
    else if (inside && std::sscanf(line.c_str(), "Rss: %zu kB", &kilobytes) == 1)
      return kilobytes << 10;
  }
  return 0;
}

TEST(DiskConstants, HoldTheirValuesInMemoryOnlyWhileTheseAreRead) {
  const ov::Shape shape{1024, 512};
  const std::vector<float> values = random_values(ov::shape_size(shape), 1);
  const auto stored = constant_on_disk(shape, values);
  ASSERT_TRUE(is_on_disk(*stored));
  EXPECT_EQ(stored->cast_vector<float>(), values);
  EXPECT_GE(resident_bytes(stored->get_data_ptr()), values.size() * sizeof(float));
  leave_memory(*stored);
  EXPECT_EQ(resident_bytes(stored->get_data_ptr()), 0U);
  EXPECT_EQ(stored->cast_vector<float>(), values);
  const ov::Model model(ov::OutputVector{stored}, ov::ParameterVector{});
  leave_memory(*model.clone());  // copies are the same file
  EXPECT_EQ(resident_bytes(stored->get_data_ptr()), 0U);
  EXPECT_EQ(stored->cast_vector<float>(), values);
}

TEST(DiskConstants, InPlaceOfOthersLieWhereTheseDo) {
  const std::vector<float> values = random_values(size_t{1} << 17, 1), small = random_values(16, 2);
  const auto on_disk = constant_on_disk({values.size()}, values);
  on_disk->set_friendly_name("weights");
  const auto next = constant_in_place_of(*on_disk, {2, values.size() / 2}, values);
  EXPECT_TRUE(is_on_disk(*next));
  EXPECT_EQ(next->get_friendly_name(), "weights");
  EXPECT_EQ(next->get_shape(), (ov::Shape{2, values.size() / 2}));
  EXPECT_EQ(next->cast_vector<float>(), values);
  EXPECT_FALSE(is_on_disk(*constant_in_place_of(*on_disk, {16}, small)));
  const Constant in_memory(ov::element::f32, ov::Shape{values.size()}, values.data());
  EXPECT_FALSE(is_on_disk(*constant_in_place_of(in_memory, {values.size()}, values)));
}

TEST(DiskConstants, AreInMemoryWhereNoFileCanBeMade) {
  const std::string before = std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "";
  const std::vector<float> values = random_values(size_t{1} << 17, 1);
  const TempFolder folder;
  setenv("TMPDIR", (folder / "").c_str(), 1);
  std::filesystem::permissions(folder / "", std::filesystem::perms::none);
  const auto constant = constant_on_disk({values.size()}, values);
  std::filesystem::permissions(folder / "", std::filesystem::perms::owner_all);
  before.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", before.c_str(), 1);
  EXPECT_EQ(constant->cast_vector<float>(), values);  // root can make a file even so
}

// All constants of a network, by the places of their readers.
std::vector<std::vector<float>> weights_of(const PreparedModel& prepared) {
  std::vector<std::vector<float>> all;
  for (const Layer& layer : prepared.layers) all.push_back(layer.weight_matrix());
  return all;
}

TEST(DiskConstants, HoldTheWeightsOfALargeNetworkAndNothingElseChanges) {
  ov::Core core;
  for (const int bits : {0, 4}) {
    LanguageModel architecture;
    architecture.vocabulary = 4096;
    architecture.width = 64;
    architecture.compressed_bits = bits;
    const TempFolder folder;
    ov::save_model(language_model(architecture), (folder / "net.xml").string(), bits == 0);
    const PreparedModel plain = import_model(core, folder / "net.xml");
    ImportOptions options;
    options.fewest_parameters_on_disk = 1;
    const PreparedModel prepared = import_model(core, folder / "net.xml", options);
    EXPECT_FALSE(is_on_disk(*plain.layers[0].weights()));
    EXPECT_TRUE(is_on_disk(*prepared.layers[0].weights()));
    EXPECT_EQ(prepared.layers.back().weights(), prepared.layers[0].weights());
    EXPECT_EQ(weights_of(prepared), weights_of(plain));
    EXPECT_EQ(prepared.fingerprint, plain.fingerprint);
    EXPECT_EQ(prepared.parameters, plain.parameters);
    EXPECT_EQ(prepared.compressed_in, plain.compressed_in);
    restore_state(prepared.model, prepared.state);
    expect_same_talk(talk(core, prepared.model), talk(core, core.read_model((folder / "net.xml").string())), 1e-3F);
  }
}

}  // namespace
}  // namespace dnateq::testing
