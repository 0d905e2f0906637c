#include "accelerator/vault.h"

#include <gtest/gtest.h>

#include <random>

namespace dnateq::accelerator {
namespace {

// GB/s over about 200,000 clocks, as the recorded runs of DRAMsim3 (HMC vault timing, reads).
double bandwidth(const std::vector<Burst>& bursts, const MemoryConfig& memory) {
  Vault vault(memory);
  const int64_t clocks = vault.run(bursts, 0);
  return static_cast<double>(bursts.size()) * static_cast<double>(memory.burst_bytes) /
         (static_cast<double>(clocks) * memory.clock_ns);
}

constexpr int64_t kBursts = 48'000;

std::vector<Burst> sequential(bool write = false) {
  std::vector<Burst> bursts;
  for (int64_t i = 0; i < kBursts; ++i) bursts.push_back({i * 32, write});
  return bursts;
}

std::vector<Burst> random_bursts(bool every_second_writes = false) {
  std::mt19937_64 random(1);
  std::vector<Burst> bursts;
  for (int64_t i = 0; i < kBursts; ++i) {
    bursts.push_back({static_cast<int64_t>(random() % (1 << 23)) * 32, every_second_writes && i % 2 == 1});
  }
  return bursts;
}

TEST(Vault, SequentialReadsAreAsFastAsInDramsim3) {
  EXPECT_NEAR(bandwidth(sequential(), default_config().memory), 9.77, 0.01 * 9.77);
}

TEST(Vault, TwoInterleavedStreamsAreAsFastAsInDramsim3) {
  std::vector<Burst> bursts;
  for (int64_t i = 0; i < kBursts; ++i) {
    const int64_t piece = i / 8;  // of 256 bytes
    bursts.push_back({(piece % 2) * (int64_t{1} << 28) + piece / 2 * 256 + i % 8 * 32, false});
  }
  EXPECT_NEAR(bandwidth(bursts, default_config().memory), 9.78, 0.01 * 9.78);
}

TEST(Vault, RandomReadsAreAsFastAsInDramsim3) {
  EXPECT_NEAR(bandwidth(random_bursts(), default_config().memory), 6.46, 0.01 * 6.46);
}

TEST(Vault, ActivationWindowIsWhatBindsRandomReads) {
  MemoryConfig memory = default_config().memory;
  memory.tfaw_ns = memory.clock_ns;
  EXPECT_GT(bandwidth(random_bursts(), memory), 1.05 * 6.46);
}

TEST(Vault, TurningTheBusCosts) {
  const MemoryConfig memory = default_config().memory;
  EXPECT_LT(bandwidth(random_bursts(true), memory), bandwidth(random_bursts(), memory));
  std::vector<Burst> alternating;
  for (int64_t i = 0; i < kBursts; ++i) alternating.push_back({i % 2 * (1 << 20) + i / 2 * 32, i % 2 == 1});
  EXPECT_LT(bandwidth(alternating, memory), bandwidth(sequential(true), memory));
}

TEST(Vault, NoBurstIsFasterThanARowAndItsData) {
  const MemoryConfig memory = default_config().memory;
  Vault vault(memory);
  const Burst one{0, false};
  // 13 clocks to the row, 13 to the data, 4 of data.
  EXPECT_EQ(vault.run({&one, 1}, 100), 100 + 13 + 13 + 4);
  EXPECT_EQ(vault.row_misses(), 1);
  // The row is open still.
  const Burst next{32, false};
  EXPECT_EQ(vault.run({&next, 1}, 200), 200 + 13 + 4);
  EXPECT_EQ(vault.row_misses(), 1);
}

TEST(Vault, RefreshClosesRowsAndTakesItsShare) {
  MemoryConfig memory = default_config().memory;
  const double usual = bandwidth(sequential(), memory);
  memory.trefi_ns = 1e6;
  const double rarely = bandwidth(sequential(), memory);
  EXPECT_NEAR(usual / rarely, 1 - 80.0 / 3900, 0.005);  // tRFC, and rows closed and opened
}

TEST(Vault, ALongIdleTimePassesAtOnce) {
  const Burst one{0, false};
  Vault soon(default_config().memory), late(default_config().memory);
  const int64_t interval = 4875;  // clocks of 3900 ns
  const int64_t ready = 100;
  EXPECT_EQ(soon.run({&one, 1}, ready) - ready, 13 + 13 + 4);
  EXPECT_EQ(late.run({&one, 1}, ready + interval * 1'000'000'000'000) - ready,
            interval * 1'000'000'000'000 + 13 + 13 + 4);
}

TEST(Vault, SizesThatAreNoPowersOfTwoWork) {
  MemoryConfig memory = default_config().memory;
  memory.banks_per_vault = 6;
  memory.row_bytes = 96;
  EXPECT_GT(bandwidth(sequential(), memory), 5);
}

}  // namespace
}  // namespace dnateq::accelerator
