#include "kernels/convolution.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cctype>
#include <random>

#include "dnateq/error.h"
#include "kernels/depthwise.h"
#include "kernels/matmul_list.h"

namespace dnateq::kernels {
namespace {

// A direct convolution in plain integers: knows nothing of windows, tiles or panels.
struct Case {
  ConvolutionShape shape;
  int bits;
  std::vector<int> levels;
  std::vector<uint8_t> codes;  // outputs x kh x kw x (channels / groups)
  bool is_signed;
  size_t offset;  // of the first activation, so that it is not aligned
  std::vector<uint8_t> bytes;

  Levels x() const {
    const uint8_t* first = bytes.data() + offset;
    return is_signed ? Levels(reinterpret_cast<const int8_t*>(first)) : Levels(first);
  }
  int activation(size_t image, size_t line, size_t column, size_t channel) const {
    const ConvolutionShape& s = shape;
    if (line < s.pad_top || line >= s.pad_top + s.height) return 0;
    if (column < s.pad_left || column >= s.pad_left + s.width) return 0;
    const size_t pixel = (image * s.height + line - s.pad_top) * s.width + column - s.pad_left;
    const uint8_t byte = bytes[offset + pixel * s.channels + channel];
    return is_signed ? static_cast<int8_t>(byte) : byte;
  }
  std::vector<int32_t> sums() const {
    const ConvolutionShape& s = shape;
    const size_t group_channels = s.channels / s.groups, group_outputs = s.outputs / s.groups;
    std::vector<int32_t> all;
    for (size_t image = 0; image < s.batch; ++image)
      for (size_t line = 0; line < s.output_height(); ++line)
        for (size_t column = 0; column < s.output_width(); ++column)
          for (size_t o = 0; o < s.outputs; ++o) {
            int32_t sum = 0;
            const uint8_t* code = codes.data() + o * s.inputs();
            for (size_t kh = 0; kh < s.kernel_height; ++kh)
              for (size_t kw = 0; kw < s.kernel_width; ++kw)
                for (size_t c = 0; c < group_channels; ++c)
                  sum += levels[*code++] * activation(image, line * s.stride_height + kh * s.dilation_height,
                                                      column * s.stride_width + kw * s.dilation_width,
                                                      o / group_outputs * group_channels + c);
            all.push_back(sum);
          }
    return all;
  }
  std::vector<PackedWeights> weights() const {
    std::vector<PackedWeights> groups;
    const size_t size = codes.size() / shape.groups;
    for (size_t group = 0; group < shape.groups; ++group)
      groups.emplace_back(std::span(codes).subspan(group * size, size), shape.outputs / shape.groups, shape.inputs(),
                          bits, levels);
    return groups;
  }
  DepthwiseWeights filters() const { return {codes, shape.channels, shape.taps(), bits, levels}; }
};

Case make_case(const ConvolutionShape& shape, int bits, int tables, bool is_signed, unsigned seed) {
  std::mt19937 random(seed);
  Case c{shape, bits, {}, {}, is_signed, seed % 7, {}};
  const int largest = tables == 1 ? 127 : 16319;
  c.levels.resize(size_t{1} << bits);
  for (int& level : c.levels) level = static_cast<int>(random() % (2 * static_cast<unsigned>(largest) + 1)) - largest;
  c.levels[0] = 0, c.levels[1] = largest, c.levels[2] = tables == 1 ? -127 : -16320;
  c.codes.resize(shape.outputs * shape.inputs());
  for (uint8_t& code : c.codes) code = static_cast<uint8_t>(random() & ((1U << bits) - 1));
  // Exactly the bytes of the batch, so that a sanitizer sees a read past the last.
  c.bytes.resize(c.offset + shape.batch * shape.height * shape.width * shape.channels);
  for (uint8_t& byte : c.bytes) byte = static_cast<uint8_t>(random() % 8 == 0 ? 0x80 : random());
  return c;
}

std::string name_of(const Case& c) {
  const ConvolutionShape& s = c.shape;
  return fmt::format("n{} {}x{} c{} o{} g{} k{}x{} s{}x{} d{}x{} pads {} {} {} {}, {} bits, {}", s.batch, s.height,
                     s.width, s.channels, s.outputs, s.groups, s.kernel_height, s.kernel_width, s.stride_height,
                     s.stride_width, s.dilation_height, s.dilation_width, s.pad_top, s.pad_left, s.pad_bottom,
                     s.pad_right, c.bits, c.is_signed ? "s8" : "u8");
}

// Every way the inputs can lie: lines, taps, multiples of 4 and not, short and long runs.
std::vector<ConvolutionShape> shapes() {
  return {
      {.height = 5, .width = 6, .channels = 7, .outputs = 9},
      {.batch = 2, .height = 5, .width = 6, .channels = 8, .outputs = 70, .groups = 2},
      {.height = 8, .width = 7, .channels = 64, .outputs = 33, .stride_height = 2, .stride_width = 2},
      {.height = 8, .width = 7, .channels = 68, .outputs = 34, .groups = 2, .stride_height = 3, .stride_width = 2},
      {.height = 4, .width = 5, .channels = 3, .outputs = 5, .pad_top = 1, .pad_left = 2},
      {.batch = 2,
       .height = 9,
       .width = 8,
       .channels = 12,
       .outputs = 65,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1},
      {.batch = 3,
       .height = 7,
       .width = 5,
       .channels = 13,
       .outputs = 17,
       .kernel_height = 3,
       .kernel_width = 2,
       .stride_height = 2,
       .stride_width = 1,
       .pad_top = 2,
       .pad_left = 0,
       .pad_bottom = 1,
       .pad_right = 1},
      {.height = 11,
       .width = 12,
       .channels = 8,
       .outputs = 20,
       .kernel_height = 3,
       .kernel_width = 3,
       .dilation_height = 2,
       .dilation_width = 3,
       .pad_top = 3,
       .pad_left = 1,
       .pad_bottom = 0,
       .pad_right = 4},
      {.height = 11,
       .width = 12,
       .channels = 5,
       .outputs = 20,
       .kernel_height = 3,
       .kernel_width = 3,
       .stride_height = 2,
       .stride_width = 2,
       .dilation_height = 3,
       .dilation_width = 2,
       .pad_left = 3},
      {.height = 17,
       .width = 19,
       .channels = 3,
       .outputs = 11,
       .kernel_height = 7,
       .kernel_width = 7,
       .stride_height = 2,
       .stride_width = 2,
       .pad_top = 3,
       .pad_left = 3,
       .pad_bottom = 3,
       .pad_right = 3},
      {.height = 6, .width = 6, .channels = 67, .outputs = 31, .kernel_height = 3, .kernel_width = 3},
      {.height = 6,
       .width = 6,
       .channels = 24,
       .outputs = 18,
       .groups = 3,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1},
      {.height = 6,
       .width = 6,
       .channels = 21,
       .outputs = 15,
       .groups = 3,
       .kernel_height = 2,
       .kernel_width = 3,
       .dilation_width = 2,
       .pad_right = 2},
      {.height = 6,
       .width = 6,
       .channels = 24,
       .outputs = 9,
       .groups = 3,
       .kernel_height = 3,
       .kernel_width = 1,
       .stride_width = 2},
      {.batch = 2,
       .width = 101,
       .channels = 16,
       .outputs = 19,
       .kernel_width = 5,
       .stride_width = 2,
       .dilation_width = 2,
       .pad_left = 8},
      {.width = 3, .channels = 4, .outputs = 6, .kernel_width = 3, .pad_left = 5, .pad_right = 6},
      {.height = 2,
       .width = 2,
       .channels = 4,
       .outputs = 6,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 4,
       .pad_left = 4,
       .pad_bottom = 4,
       .pad_right = 4},
      {.height = 1, .width = 2, .channels = 8, .outputs = 64, .kernel_width = 2},
  };
}

std::vector<int32_t> sums_of(std::string_view kernel, const Case& c) {
  std::vector<int32_t> sums(c.shape.rows() * c.shape.outputs, 0x5A5A5A5A);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = c.shape.outputs;
  convolve_with(kernel, c.shape, c.weights(), c.x(), epilogue);
  return sums;
}

bool takes(const MatmulKernel& kernel, const Case& c, int tables) {
  const ConvolutionShape& s = c.shape;
  return kernel.refusal({s.rows(), s.outputs / s.groups, s.inputs(), c.bits, tables, c.is_signed}) == nullptr;
}

class EveryConvolutionKernel : public ::testing::TestWithParam<std::string> {
 protected:
  const MatmulKernel& kernel() const { return matmul_kernel_named(GetParam()); }
};

std::vector<std::string> kernels_of_this_cpu() {
  std::vector<std::string> names;
  for (const MatmulKernel& kernel : matmul_kernels())
    if (kernel.cpu_runs_it()) names.emplace_back(kernel.name);
  return names;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& kernel) {
  std::string name = kernel.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Convolution, EveryConvolutionKernel, ::testing::ValuesIn(kernels_of_this_cpu()), test_name);

TEST_P(EveryConvolutionKernel, GivesTheIntegersOfADirectConvolution) {
  unsigned seed = 1;
  for (const ConvolutionShape& shape : shapes())
    for (const bool is_signed : {true, false}) {
      const Case c = make_case(shape, 4, 1, is_signed, seed++);
      if (!takes(kernel(), c, 1)) continue;
      ASSERT_EQ(sums_of(GetParam(), c), c.sums()) << name_of(c);
    }
}

TEST_P(EveryConvolutionKernel, GivesTheSameForAllCodesAndLargeLevels) {
  unsigned seed = 100;
  for (const size_t channels : {4, 5})
    for (const size_t height : {1, 6}) {
      const ConvolutionShape shape{.height = height,
                                   .width = height + 2,
                                   .channels = channels,
                                   .outputs = 66,
                                   .kernel_height = std::min<size_t>(height, 3),
                                   .kernel_width = 3,
                                   .pad_top = height / 3};
      for (int bits = 2; bits <= 8; ++bits)
        for (const int tables : {1, 2})
          for (const bool is_signed : {true, false}) {
            const Case c = make_case(shape, bits, tables, is_signed, seed++);
            if (!takes(kernel(), c, tables)) continue;
            ASSERT_EQ(sums_of(GetParam(), c), c.sums()) << name_of(c) << tables;
          }
    }
}

// Tiles and panels of several tasks, and images beyond a tile's window.
TEST_P(EveryConvolutionKernel, GivesTheSameIntegersOnSeveralThreads) {
  const ConvolutionShape large[] = {
      {.batch = 2,
       .height = 40,
       .width = 41,
       .channels = 64,
       .outputs = 130,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1},
      {.width = 9000, .channels = 24, .outputs = 16, .kernel_width = 9, .pad_left = 4, .pad_right = 4},
      {.batch = 9,
       .height = 5,
       .width = 5,
       .channels = 160,
       .outputs = 70,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1},
      {.height = 40, .width = 40, .channels = 128, .outputs = 96, .groups = 2, .stride_height = 2, .stride_width = 2},
  };
  for (const ConvolutionShape& shape : large) {
    const Case c = make_case(shape, 3, 1, &shape != &large[1], 77);
    if (!takes(kernel(), c, 1) || GetParam() == "scalar") continue;
    const std::vector<int32_t> expected = c.sums();
    tbb::task_arena(4).execute([&] { EXPECT_TRUE(sums_of(GetParam(), c) == expected) << name_of(c); });
    tbb::task_arena(1).execute([&] { EXPECT_TRUE(sums_of(GetParam(), c) == expected) << name_of(c); });
  }
}

// What an epilogue makes of sums, by the matmul's scalar reference.
std::vector<float> expected_values(const Epilogue& epilogue, const std::vector<int32_t>& sums, size_t outputs) {
  std::vector<float> expected(sums.size());
  Epilogue reference = epilogue;
  reference.values = expected.data(), reference.sums = nullptr, reference.sink = nullptr, reference.stride = outputs;
  for (size_t n = 0; n < outputs; n += 64)
    finish_block_scalar(reference, sums.data() + n, outputs, 0, sums.size() / outputs, n,
                        std::min<size_t>(64, outputs - n));
  return expected;
}

struct EpilogueInputs {
  std::vector<float> row_scale, channel_scale, bias, residual;

  EpilogueInputs(size_t rows, size_t outputs)
      : row_scale(rows), channel_scale(outputs), bias(outputs), residual(rows * outputs) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (auto* values : {&row_scale, &channel_scale, &bias, &residual})
      for (float& value : *values) value = normal(random);
  }
  Epilogue epilogue(int option) const {
    Epilogue e;
    if (option % 3 == 0) e.row_scale = row_scale.data();
    if (option % 4 != 3) e.channel_scale = channel_scale.data();
    if (option % 5 != 4) e.bias = bias.data();
    if (option % 2 == 0) e.residual = residual.data(), e.residual_stride = channel_scale.size();
    e.activation = static_cast<Activation>(option % 3);
    e.lowest = -1, e.highest = 300;
    return e;
  }
};

struct Collector {
  std::vector<float>* into;
  size_t stride;

  static void collect(void* context, const SinkBlock& block) {
    const auto* to = static_cast<Collector*>(context);
    for (size_t i = 0; i < block.rows; ++i)
      std::copy_n(block.values + i * block.stride, block.columns,
                  to->into->begin() + static_cast<std::ptrdiff_t>((block.row + i) * to->stride + block.channel));
  }
};

// `convolve_to` runs the convolution with an epilogue.
template <typename Convolve>
void expect_epilogues(const Convolve& convolve_to, const std::vector<int32_t>& sums, size_t outputs) {
  const EpilogueInputs inputs(sums.size() / outputs, outputs);
  for (int option = 0; option < 12; ++option) {
    const std::vector<float> expected = expected_values(inputs.epilogue(option), sums, outputs);
    std::vector<float> values(sums.size(), -7), collected(sums.size(), -7);
    Epilogue direct = inputs.epilogue(option);
    direct.values = values.data(), direct.stride = outputs;
    convolve_to(direct);
    ASSERT_EQ(values, expected) << "option " << option;
    Collector collector{&collected, outputs};
    Epilogue by_sink = inputs.epilogue(option);
    by_sink.sink = Collector::collect, by_sink.sink_context = &collector;
    convolve_to(by_sink);
    ASSERT_EQ(collected, expected) << "sink, option " << option;
    std::fill(values.begin(), values.end(), -7.0F), std::fill(collected.begin(), collected.end(), -7.0F);
    by_sink.values = values.data(), by_sink.stride = outputs;
    convolve_to(by_sink);
    ASSERT_EQ(values, expected) << "both, option " << option;
    ASSERT_EQ(collected, expected) << "both, option " << option;
  }
}

TEST_P(EveryConvolutionKernel, AppliesTheEpilogueToItsRowsAndGroups) {
  const ConvolutionShape some[] = {
      {.batch = 2,
       .height = 5,
       .width = 6,
       .channels = 8,
       .outputs = 134,
       .groups = 2,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 1,
       .pad_left = 1},
      {.height = 5, .width = 6, .channels = 8, .outputs = 134, .groups = 2},
      {.height = 2, .width = 2, .channels = 9, .outputs = 64, .kernel_height = 2, .kernel_width = 2, .pad_left = 1},
  };
  for (const ConvolutionShape& shape : some) {
    const Case c = make_case(shape, 4, 1, true, 9);
    if (!takes(kernel(), c, 1)) continue;
    const auto weights = c.weights();
    expect_epilogues([&](const Epilogue& e) { convolve_with(GetParam(), c.shape, weights, c.x(), e); }, c.sums(),
                     shape.outputs);
  }
}

// Sanitizers do not see what vectors load beyond their scratch; the page after the last activation does.
TEST_P(EveryConvolutionKernel, ReadsNothingPastTheLastActivation) {
  constexpr size_t kPages = 65536;
  auto* pages =
      static_cast<uint8_t*>(mmap(nullptr, 2 * kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(mprotect(pages + kPages, kPages, PROT_NONE), 0);
  for (const ConvolutionShape& shape : shapes()) {
    const Case c = make_case(shape, 4, 1, false, 5);
    const size_t size = c.bytes.size() - c.offset;
    ASSERT_LE(size, kPages);
    uint8_t* x = std::copy_n(c.bytes.data() + c.offset, size, pages + kPages - size) - size;
    if (!takes(kernel(), c, 1)) continue;
    std::vector<int32_t> sums(c.shape.rows() * c.shape.outputs);
    Epilogue epilogue;
    epilogue.sums = sums.data(), epilogue.stride = c.shape.outputs;
    convolve_with(GetParam(), c.shape, c.weights(), Levels(x), epilogue);
    EXPECT_EQ(sums, c.sums()) << name_of(c);
  }
  munmap(pages, 2 * kPages);
}

TEST(Convolution, ChoosesAKernelThatGivesTheIntegersOfADirectConvolution) {
  for (const size_t width : {2, 30}) {
    const Case c = make_case(
        {.height = width, .width = width, .channels = 5, .outputs = 65, .kernel_height = 2, .kernel_width = 2}, 5, 1,
        false, 3);
    std::vector<int32_t> sums(c.shape.rows() * c.shape.outputs);
    Epilogue epilogue;
    epilogue.sums = sums.data(), epilogue.stride = c.shape.outputs;
    convolve(c.shape, c.weights()[0], c.x(), epilogue);
    EXPECT_EQ(sums, c.sums());
  }
}

TEST(Convolution, OfAnEmptyBatchIsNoWork) {
  const ConvolutionShape shape{
      .batch = 0, .height = 5, .width = 5, .channels = 4, .outputs = 4, .kernel_height = 3, .kernel_width = 3};
  const Case c = make_case(shape, 4, 1, true, 1);
  std::vector<int32_t> sums(1, 17);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = 4;
  convolve(shape, c.weights(), c.x(), epilogue);
  EXPECT_EQ(sums[0], 17);
}

std::string message_of(const ConvolutionShape& shape, std::span<const PackedWeights> weights) {
  const std::vector<uint8_t> x(1000);
  std::vector<int32_t> sums(1000);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = shape.outputs;
  try {
    convolve(shape, weights, Levels(x.data()), epilogue);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Convolution, SaysWhatIsWrongWithAShape) {
  const ConvolutionShape good{
      .height = 4, .width = 4, .channels = 4, .outputs = 6, .groups = 2, .kernel_height = 3, .kernel_width = 3};
  const std::vector<PackedWeights> weights = make_case(good, 4, 1, false, 1).weights();
  EXPECT_EQ(message_of(good, weights), "");
  const auto with = [&](const auto& change) {
    ConvolutionShape shape = good;
    change(shape);
    return message_of(shape, weights);
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(with([](auto& s) { s.height = 2; }), HasSubstr("does not fit an image of 2 x 4"));
  EXPECT_THAT(with([](auto& s) { s.dilation_width = 2; }), HasSubstr("does not fit"));
  EXPECT_THAT(with([](auto& s) { s.groups = 3; }), HasSubstr("3 groups"));
  EXPECT_THAT(with([](auto& s) { s.groups = 0; }), HasSubstr("0 groups"));
  EXPECT_THAT(with([](auto& s) { s.groups = 1; }), HasSubstr("of 1 groups got the weights of 2"));
  EXPECT_THAT(with([](auto& s) { s.channels = 0; }), HasSubstr("0 inputs"));
  EXPECT_THAT(with([](auto& s) { s.stride_width = 0; }), HasSubstr("strides"));
  EXPECT_THAT(with([](auto& s) { s.dilation_height = 0; }), HasSubstr("dilations"));
  EXPECT_THAT(with([](auto& s) { s.kernel_height = 0; }), HasSubstr("kernel"));
  EXPECT_THAT(with([](auto& s) { s.kernel_height = 2; }), HasSubstr("needs 3 x 12 weights and got 3 x 18"));
}

TEST(Convolution, AsksForOneDestinationAndAKnownKernel) {
  const Case c = make_case({.height = 3, .width = 3, .channels = 4, .outputs = 4, .kernel_width = 2}, 4, 1, true, 1);
  EXPECT_THROW(convolve(c.shape, c.weights(), c.x(), {}), Error);
  std::vector<int32_t> sums(c.shape.rows() * 4);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = 4;
  EXPECT_THROW(convolve_with("fastest", c.shape, c.weights(), c.x(), epilogue), Error);
}

// ---- depthwise ----

class EveryDepthwiseKernel : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Depthwise, EveryDepthwiseKernel, ::testing::ValuesIn(depthwise_kernels()), test_name);

ConvolutionShape depthwise(ConvolutionShape shape) {
  shape.groups = shape.outputs = shape.channels;
  return shape;
}

std::vector<int32_t> depthwise_sums_of(std::string_view kernel, const Case& c) {
  std::vector<int32_t> sums(c.shape.rows() * c.shape.outputs, 0x5A5A5A5A);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = c.shape.outputs;
  convolve_depthwise_with(kernel, c.shape, c.filters(), c.x(), epilogue);
  return sums;
}

TEST_P(EveryDepthwiseKernel, GivesTheIntegersOfADirectConvolution) {
  unsigned seed = 300;
  for (const ConvolutionShape& shape : shapes())
    for (const bool is_signed : {true, false})
      for (const int tables : {1, 2}) {
        const Case c = make_case(depthwise(shape), 2 + static_cast<int>(seed % 7), tables, is_signed, seed);
        ++seed;
        ASSERT_EQ(depthwise_sums_of(GetParam(), c), c.sums()) << name_of(c);
      }
}

TEST_P(EveryDepthwiseKernel, GivesTheSameIntegersOnSeveralThreads) {
  const Case c = make_case(depthwise({.batch = 2,
                                      .height = 50,
                                      .width = 51,
                                      .channels = 97,
                                      .kernel_height = 3,
                                      .kernel_width = 3,
                                      .pad_top = 1,
                                      .pad_left = 1,
                                      .pad_bottom = 1,
                                      .pad_right = 1}),
                           5, 1, true, 4);
  const std::vector<int32_t> expected = c.sums();
  for (const int threads : {1, 4})
    tbb::task_arena(threads).execute([&] { EXPECT_TRUE(depthwise_sums_of(GetParam(), c) == expected); });
}

TEST_P(EveryDepthwiseKernel, AppliesTheEpilogue) {
  const Case c = make_case(depthwise({.height = 5, .width = 5, .channels = 131, .kernel_height = 3, .kernel_width = 3}),
                           4, 1, false, 6);
  const DepthwiseWeights weights = c.filters();
  expect_epilogues([&](const Epilogue& e) { convolve_depthwise_with(GetParam(), c.shape, weights, c.x(), e); },
                   c.sums(), c.shape.outputs);
}

TEST(Depthwise, RefusesWhatIsNotDepthwise) {
  const ConvolutionShape shape =
      depthwise({.height = 5, .width = 5, .channels = 6, .kernel_height = 3, .kernel_width = 3});
  const Case c = make_case(shape, 4, 1, false, 6);
  std::vector<int32_t> sums(shape.rows() * shape.outputs);
  Epilogue epilogue;
  epilogue.sums = sums.data(), epilogue.stride = shape.outputs;
  EXPECT_NO_THROW(convolve_depthwise(shape, c.filters(), c.x(), epilogue));
  EXPECT_EQ(sums, c.sums());
  EXPECT_THROW(convolve_depthwise(shape, c.filters(), c.x(), {}), Error);
  ConvolutionShape other = shape;
  other.groups = 3;
  EXPECT_THROW(convolve_depthwise(other, c.filters(), c.x(), epilogue), Error);
  other = shape, other.kernel_width = 2;
  EXPECT_THROW(convolve_depthwise(other, c.filters(), c.x(), epilogue), Error);
  EXPECT_THROW(convolve_depthwise_with("fastest", shape, c.filters(), c.x(), epilogue), Error);
  EXPECT_THROW(DepthwiseWeights(c.codes, 6, 8, 4, c.levels), Error);
  EXPECT_THROW(DepthwiseWeights(c.codes, 6, 9, 3, c.levels), Error);
}

}  // namespace
}  // namespace dnateq::kernels
