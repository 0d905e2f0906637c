#include "kernels/matmul.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <random>
#include <thread>

#include "core/test_error.h"
#include "dnateq/error.h"
#include "kernels/matmul_list.h"

namespace dnateq::kernels {
namespace {

using testing::error_of;

// A product in plain integers, straight from codes and levels: knows nothing of panels.
struct Case {
  size_t m, n, k;
  int bits;
  std::vector<int> levels;
  std::vector<uint8_t> codes;  // N x K
  bool is_signed;
  size_t stride, offset;   // of the activations
  std::vector<uint8_t> x;  // M rows from x[offset]

  int activation(size_t row, size_t i) const {
    const uint8_t byte = x[offset + row * stride + i];
    return is_signed ? static_cast<int8_t>(byte) : byte;
  }
  std::vector<int32_t> product() const {
    std::vector<int32_t> sums(m * n);
    for (size_t row = 0; row < m; ++row)
      for (size_t channel = 0; channel < n; ++channel) {
        int64_t sum = 0;
        for (size_t i = 0; i < k; ++i) sum += activation(row, i) * levels[codes[channel * k + i]];
        sums[row * n + channel] = static_cast<int32_t>(sum);
      }
    return sums;
  }
  PackedWeights weights() const { return {codes, n, k, bits, levels}; }
  Activations activations() const {
    const uint8_t* first = x.data() + offset;
    return is_signed ? Activations(reinterpret_cast<const int8_t*>(first), m, stride) : Activations(first, m, stride);
  }
};

enum class Values { kRandom, kZeroCodes, kLargest, kSmallest };

Case make_case(size_t m, size_t n, size_t k, int bits, int tables, bool is_signed, Values values, unsigned seed) {
  std::mt19937 random(seed);
  Case c{m, n, k, bits, {}, {}, is_signed, k + seed % 5, seed % 7, {}};
  const int largest = tables == 1 ? 127 : 16319;
  c.levels.resize(size_t{1} << bits);
  for (int& level : c.levels) level = static_cast<int>(random() % (2 * static_cast<unsigned>(largest) + 1)) - largest;
  if (k % kUnitInputs != 0) c.levels[0] = 0;
  c.levels[1] = largest;
  c.levels[2] = tables == 1 ? -127 : -16320;
  c.codes.resize(n * k);
  for (uint8_t& code : c.codes) {
    const auto any = static_cast<uint8_t>(random() & ((1U << bits) - 1));
    code = values == Values::kRandom ? any : values == Values::kZeroCodes ? 0 : values == Values::kLargest ? 1 : 2;
  }
  // Exactly the bytes that the rows need, so that a sanitizer sees a read past the last.
  c.x.resize(c.offset + (m - 1) * c.stride + k);
  for (uint8_t& byte : c.x) {
    byte = static_cast<uint8_t>(random());
    if (values == Values::kLargest) byte = is_signed ? 127 : 255;
    if (values == Values::kSmallest) byte = is_signed ? 0x80 : 255;
  }
  return c;
}

std::vector<int32_t> sums_of(std::string_view kernel, const Case& c, const PackedWeights& weights) {
  std::vector<int32_t> sums(c.m * c.n, 0x5A5A5A5A);
  Epilogue epilogue;
  epilogue.sums = sums.data();
  epilogue.stride = c.n;
  matmul_with(kernel, weights, c.activations(), epilogue);
  return sums;
}

bool takes(const MatmulKernel& kernel, const Case& c, int tables) {
  return kernel.refusal({c.m, c.n, c.k, c.bits, tables, c.is_signed}) == nullptr;
}

class EveryKernel : public ::testing::TestWithParam<std::string> {
 protected:
  const MatmulKernel& kernel() const { return matmul_kernel_named(GetParam()); }
};

std::vector<std::string> kernels_of_this_cpu() {
  std::vector<std::string> names;
  for (const MatmulKernel& kernel : matmul_kernels())
    if (kernel.cpu_runs_it()) names.emplace_back(kernel.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Matmul, EveryKernel, ::testing::ValuesIn(kernels_of_this_cpu()), [](const auto& kernel) {
  std::string name = kernel.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

TEST_P(EveryKernel, GivesTheIntegersOfTheDefinition) {
  struct Shape {
    size_t m, n, k;
  };
  const Shape shapes[] = {{1, 1, 1},    {1, 64, 8},    {1, 131, 203}, {1, 128, 128}, {2, 65, 7},
                          {3, 127, 64}, {4, 128, 130}, {5, 61, 65},   {6, 64, 256},  {7, 131, 63},
                          {16, 64, 64}, {17, 67, 131}, {33, 70, 200}, {53, 17, 71}};
  int ran = 0;
  unsigned seed = 1;
  for (const Shape& shape : shapes)
    for (int bits = 2; bits <= 8; ++bits)
      for (const int tables : {1, 2})
        for (const bool is_signed : {true, false})
          for (const Values values : {Values::kRandom, Values::kZeroCodes, Values::kLargest, Values::kSmallest}) {
            const Case c = make_case(shape.m, shape.n, shape.k, bits, tables, is_signed, values, seed++);
            if (!takes(kernel(), c, tables)) continue;
            ++ran;
            const PackedWeights weights = c.weights();
            ASSERT_EQ(weights.tables(), tables);
            ASSERT_EQ(sums_of(GetParam(), c, weights), c.product())
                << fmt::format("m{}n{}k{} {} bits, {} tables, {}, values {}", c.m, c.n, c.k, bits, tables,
                               is_signed ? "signed" : "unsigned", static_cast<int>(values));
          }
  EXPECT_GT(ran, 100) << "the kernel refuses nearly everything";
}

TEST_P(EveryKernel, GivesTheSameFloatsAsTheScalarEpilogue) {
  unsigned seed = 900;
  for (const size_t m : {1, 3, 35})
    for (int option = 0; option < 24; ++option) {
      const Case c = make_case(m, 83, 45, 4, 1, option % 2 == 0, Values::kRandom, ++seed);
      if (!takes(kernel(), c, 1)) continue;
      std::mt19937 random(seed);
      std::normal_distribution<float> normal;
      std::vector<float> row_scale(m), channel_scale(c.n), bias(c.n), residual(m * c.n);
      for (auto* values : {&row_scale, &channel_scale, &bias, &residual})
        for (float& value : *values) value = normal(random);
      Epilogue epilogue;
      if (option % 3 != 0) epilogue.row_scale = row_scale.data();
      if (option % 4 != 0) epilogue.channel_scale = channel_scale.data();
      if (option % 5 != 0) epilogue.bias = bias.data();
      if (option % 7 != 0) epilogue.residual = residual.data(), epilogue.residual_stride = c.n;
      epilogue.activation = static_cast<Activation>(option % 3);
      epilogue.lowest = -1, epilogue.highest = 300;

      const PackedWeights weights = c.weights();
      std::vector<float> expected(m * c.n), found(m * (c.n + 2), -7), collected(m * c.n);
      Epilogue reference = epilogue;
      reference.values = expected.data(), reference.stride = c.n;
      const std::vector<int32_t> sums = c.product();
      for (size_t n = 0; n < c.n; n += 64)
        finish_block_scalar(reference, sums.data() + n, c.n, 0, m, n, std::min<size_t>(64, c.n - n));

      Epilogue direct = epilogue;
      direct.values = found.data(), direct.stride = c.n + 2;
      matmul_with(GetParam(), weights, c.activations(), direct);
      Epilogue by_sink = epilogue;
      struct Collector {
        std::vector<float>* into;
        size_t stride;
      } collector{&collected, c.n};
      by_sink.sink_context = &collector;
      by_sink.sink = [](void* context, const SinkBlock& block) {
        const auto* to = static_cast<Collector*>(context);
        for (size_t i = 0; i < block.rows; ++i)
          std::copy_n(block.values + i * block.stride, block.columns,
                      to->into->begin() + static_cast<std::ptrdiff_t>((block.row + i) * to->stride + block.channel));
      };
      matmul_with(GetParam(), weights, c.activations(), by_sink);

      for (size_t row = 0; row < m; ++row) {
        for (size_t n = 0; n < c.n; ++n)
          ASSERT_EQ(found[row * (c.n + 2) + n], expected[row * c.n + n]) << "option " << option << " channel " << n;
        ASSERT_EQ(found[row * (c.n + 2) + c.n], -7) << "wrote past the row";
      }
      ASSERT_EQ(collected, expected);
    }
}

TEST_P(EveryKernel, GivesTheSameIntegersOnSeveralThreads) {
  for (const size_t m : {1, 4, 300}) {
    const Case c = make_case(m, 320, 512, 3, 1, true, Values::kRandom, 77);
    if (!takes(kernel(), c, 1)) continue;
    const PackedWeights weights = c.weights();
    const std::vector<int32_t> expected = c.product();
    tbb::task_arena arena(4);
    arena.execute([&] {
      tbb::parallel_for(0, 8, [&](int) { EXPECT_EQ(sums_of(GetParam(), c, weights), expected); });
      EXPECT_EQ(sums_of(GetParam(), c, weights), expected);
    });
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i) callers.emplace_back([&] { EXPECT_EQ(sums_of(GetParam(), c, weights), expected); });
    for (std::thread& caller : callers) caller.join();
  }
}

// Sanitizers do not see what tile loads and masked loads touch; the page after the last activation does.
TEST_P(EveryKernel, ReadsNothingPastTheLastActivation) {
  constexpr size_t kPages = 65536;
  auto* pages =
      static_cast<uint8_t*>(mmap(nullptr, 2 * kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(mprotect(pages + kPages, kPages, PROT_NONE), 0);
  for (const size_t m : {1, 4, 16, 17, 31, 32, 47, 49})
    for (const size_t k : {1, 3, 8, 60, 63, 64, 65, 127, 130}) {
      const Case c = make_case(m, 64, k, 4, 1, true, Values::kRandom, 5);
      if (!takes(kernel(), c, 1)) continue;
      const size_t bytes = c.x.size() - c.offset;
      ASSERT_LE(bytes, kPages);
      uint8_t* x = pages + kPages - bytes;
      std::copy_n(c.x.data() + c.offset, bytes, x);
      std::vector<int32_t> sums(c.m * c.n);
      Epilogue epilogue;
      epilogue.sums = sums.data(), epilogue.stride = c.n;
      matmul_with(GetParam(), c.weights(), Activations(reinterpret_cast<const int8_t*>(x), m, c.stride), epilogue);
      EXPECT_EQ(sums, c.product()) << m << " rows of " << k;
    }
  munmap(pages, 2 * kPages);
}

TEST_P(EveryKernel, TakesRowSumsFromTheCaller) {
  const Case c = make_case(19, 64, 77, 4, 1, true, Values::kRandom, 5);
  if (!takes(kernel(), c, 1)) GTEST_SKIP() << "the kernel does not take 19 rows";
  std::vector<int32_t> row_sums(c.m);
  for (size_t row = 0; row < c.m; ++row)
    for (size_t i = 0; i < c.k; ++i) row_sums[row] += c.activation(row, i);
  std::vector<int32_t> sums(c.m * c.n);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = c.n;
  Activations activations = c.activations();
  activations.row_sums = row_sums.data();
  matmul_with(GetParam(), c.weights(), activations, epilogue);
  EXPECT_EQ(sums, c.product());
}

TEST(MatmulList, EndsWithTheReferenceThatTakesEverything) {
  const auto verdicts = explain_matmul({3, 5, 7, 6, 2, false});
  ASSERT_FALSE(verdicts.empty());
  EXPECT_EQ(verdicts.back().name, "scalar");
  EXPECT_EQ(verdicts.back().refusal, "");
  EXPECT_EQ(verdicts.size(), matmul_kernels().size());
}

TEST(MatmulList, NamesTheKernelsWhereAForcedOneIsUnknown) {
  const std::string message = error_of([] { forced_kernel("fastest"); });
  EXPECT_THAT(message, ::testing::HasSubstr("fastest"));
  EXPECT_THAT(message, ::testing::HasSubstr("scalar"));
  EXPECT_EQ(forced_kernel(""), nullptr);
  EXPECT_STREQ(forced_kernel("scalar")->name, "scalar");
}

TEST(Matmul, ChoosesAKernelThatGivesTheIntegersOfTheDefinition) {
  for (const size_t m : {1, 4, 40}) {
    const Case c = make_case(m, 100, 100, 5, 1, false, Values::kRandom, 3);
    std::vector<int32_t> sums(c.m * c.n);
    Epilogue epilogue;
    epilogue.sums = sums.data(), epilogue.stride = c.n;
    matmul(c.weights(), c.activations(), epilogue);
    EXPECT_EQ(sums, c.product());
  }
}

TEST(Matmul, RefusesSumsThatCouldOverflow) {
  const size_t fits = INT32_MAX / (127 * 255);
  std::vector<int> levels{0, 127, -127, 1};
  for (const size_t k : {fits, fits + 1}) {
    const std::vector<uint8_t> codes(k, 1), x(k, 255);
    int32_t sum = 0;
    Epilogue epilogue;
    epilogue.sums = &sum, epilogue.stride = 1;
    const PackedWeights weights(codes, 1, k, 2, levels);
    const auto multiply = [&] { matmul(weights, Activations(x.data(), 1, k), epilogue); };
    if (k == fits)
      EXPECT_NO_THROW(multiply());
    else
      EXPECT_THAT(error_of(multiply), ::testing::HasSubstr("overflow"));
    EXPECT_EQ(sum, k == fits ? static_cast<int32_t>(k * 127 * 255) : 0);
  }
}

TEST(Matmul, AsksForOneDestination) {
  const Case c = make_case(1, 1, 1, 4, 1, true, Values::kRandom, 1);
  EXPECT_THROW(matmul(c.weights(), c.activations(), {}), Error);
  EXPECT_THROW(matmul({}, c.activations(), {}), Error);
}

TEST(PackedWeights, RefusesWhatItCannotHold) {
  const std::vector<uint8_t> codes{0, 1, 2, 3};
  const std::vector<int> levels{0, 1, 2, 3};
  EXPECT_NO_THROW(PackedWeights(codes, 2, 2, 2, levels));
  EXPECT_THROW(PackedWeights(codes, 2, 3, 2, levels), Error);
  EXPECT_THROW(PackedWeights(codes, 2, 2, 1, levels), Error);
  EXPECT_THROW(PackedWeights(codes, 2, 2, 3, levels), Error);
  EXPECT_THROW(PackedWeights(std::vector<uint8_t>{0, 1, 2, 4}, 2, 2, 2, levels), Error);
  EXPECT_THROW(PackedWeights(codes, 2, 2, 2, std::vector<int>{1, 1, 2, 3}), Error);
  EXPECT_NO_THROW(PackedWeights(std::vector<uint8_t>(8), 1, 8, 2, std::vector<int>{1, 1, 2, 3}));
  EXPECT_THROW(PackedWeights(codes, 2, 2, 2, std::vector<int>{0, 1, 2, 16320}), Error);
  EXPECT_THROW(PackedWeights(codes, 2, 2, 2, std::vector<int>{0, 1, 2, -16321}), Error);
}

TEST(PackedWeights, HoldsAllBitsOfACodeAndNothingElse) {
  for (int bits = 2; bits <= 7; ++bits) {
    std::vector<int> levels(size_t{1} << bits);
    for (size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<int>(i) % 100;
    std::vector<uint8_t> codes(kUnitCodes), found(kUnitCodes);
    std::mt19937 random(static_cast<unsigned>(bits));
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random() & ((1U << bits) - 1));
    const PackedWeights weights(codes, kPanelChannels, kUnitInputs, bits, levels);
    EXPECT_EQ(weights.bytes(), kUnitCodes * static_cast<size_t>(bits) / 8);
    unpack_unit(weights.data(), bits, found.data());
    for (size_t n = 0; n < kPanelChannels; ++n)
      for (size_t k = 0; k < kUnitInputs; ++k)
        EXPECT_EQ(found[(4 * (k / 4) + n / 16) * kLineBytes + 4 * (n % 16) + k % 4], codes[n * kUnitInputs + k]);
  }
}

// Also of codes that come channel by channel, and whatever lies beyond the last channel and input.
TEST(PackedWeights, AreTheUnitsOfTheirDefinitionWithTheSumsOfTheirLevels) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const auto& [channels, inputs] : {std::pair<size_t, size_t>{1, 1}, {64, 8}, {65, 15}, {150, 66}, {128, 513}}) {
      std::mt19937 random(static_cast<unsigned>(bits) + static_cast<unsigned>(inputs));
      std::vector<int> levels(size_t{1} << bits);
      for (size_t i = 1; i < levels.size(); ++i) levels[i] = static_cast<int>(random() % 400) - 200;
      std::vector<uint8_t> codes(channels * inputs), found(kUnitCodes);
      for (uint8_t& code : codes) code = static_cast<uint8_t>(random() & ((1U << bits) - 1));
      const PackedWeights weights(codes, channels, inputs, bits, levels);
      const PackedWeights by_channel(
          [&, inputs = inputs](size_t channel, uint8_t* row) {
            std::copy_n(codes.data() + channel * inputs, inputs, row);
          },
          channels, inputs, bits, levels);
      ASSERT_EQ(weights.bytes(), by_channel.bytes());
      EXPECT_TRUE(std::equal(weights.data(), weights.data() + weights.bytes(), by_channel.data()));
      for (size_t panel = 0; panel < weights.panels() && bits < 8; ++panel)
        for (size_t unit = 0; unit < weights.units(); ++unit) {
          unpack_unit(weights.data() + panel * weights.panel_bytes() + unit * weights.unit_bytes(), bits, found.data());
          for (size_t i = 0; i < kUnitCodes; ++i) {
            const size_t vector = i / kLineBytes, byte = i % kLineBytes;
            const size_t n = panel * kPanelChannels + vector % 4 * 16 + byte / 4;
            const size_t k = unit * kUnitInputs + vector / 4 * 4 + byte % 4;
            ASSERT_EQ(found[i], n < channels && k < inputs ? codes[n * inputs + k] : 0) << n << " " << k;
          }
        }
      int64_t largest = 0;
      for (size_t n = 0; n < channels; ++n) {
        int64_t absolute = 0;
        int sum = 0;
        for (size_t k = 0; k < inputs; ++k) {
          absolute += std::abs(levels[codes[n * inputs + k]]);
          sum += levels[codes[n * inputs + k]];
        }
        largest = std::max(largest, absolute);
        const int high = weights.channel_sums(0)[n];
        EXPECT_EQ(weights.tables() == 1 ? high : 128 * high + weights.channel_sums(1)[n], sum);
        EXPECT_EQ(by_channel.channel_sums(0)[n], high);
      }
      EXPECT_EQ(weights.largest_absolute_sum(), largest);
      EXPECT_EQ(by_channel.largest_absolute_sum(), largest);
    }
}

}  // namespace
}  // namespace dnateq::kernels
