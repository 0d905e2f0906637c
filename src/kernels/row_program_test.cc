#include "kernels/row_program.h"

#include <gtest/gtest.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <functional>
#include <random>

#include "core/hadamard.h"
#include "core/test_error.h"
#include "core/test_row_block.h"
#include "kernels/matmul.h"
#include "kernels/row_functions.h"
#include "kernels/row_quantizer.h"

namespace dnateq::kernels {
namespace {

using testing::random_floats;

PackedWeights random_weights(size_t channels, size_t inputs, int bits, unsigned seed, int largest = 100) {
  std::mt19937 random(seed);
  std::vector<uint8_t> codes(channels * inputs);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random() % (1U << bits));
  std::vector<int> levels(size_t{1} << bits);
  for (size_t i = 1; i < levels.size(); ++i)
    levels[i] = static_cast<int>(random() % (2 * static_cast<unsigned>(largest))) - largest;
  return {codes, channels, inputs, bits, levels};
}

struct MatrixSeed {
  size_t channels, inputs;
  int bits, largest;
  bool with_bias;
  unsigned seed;

  RowProgram::Matrix make() const {
    return {random_weights(channels, inputs, bits, seed, largest), random_floats(channels, seed + 1, 0.002F),
            with_bias ? random_floats(channels, seed + 2) : std::vector<float>{}};
  }
};

// A block with its matrices, to which steps are added one by one.
struct Block {
  RowBlock rows;
  std::vector<MatrixSeed> matrices;
  unsigned seed = 1;

  RowProgram program() const {
    std::vector<RowProgram::Matrix> made;
    for (const MatrixSeed& matrix : matrices) made.push_back(matrix.make());
    return {rows, std::move(made)};
  }

  explicit Block(std::vector<uint64_t> widths) { rows.input_widths = std::move(widths); }

  uint32_t add(RowStep step) {
    if (step.width == 0) step.width = rows.width(step.a);
    rows.steps.push_back(step);
    return static_cast<uint32_t>(rows.value_count() - 1);
  }
  uint32_t matmul(uint32_t a, size_t width, bool with_bias = false, int bits = 4, int largest = 100) {
    matrices.push_back({width, static_cast<size_t>(rows.width(a)), bits, largest, with_bias, seed += 3});
    return add({RowStepKind::kMatMul, a, 0, static_cast<uint32_t>(matrices.size() - 1), 0, 0, width});
  }
  uint32_t two(RowStepKind kind, uint32_t a, uint32_t b) { return add({kind, a, b, 0, 0, 0, 0}); }
  uint32_t one(RowStepKind kind, uint32_t a, float epsilon = 0) { return add({kind, a, 0, 0, epsilon, 0, 0}); }
  uint32_t with_vector(RowStepKind kind, uint32_t a) {
    rows.vectors.push_back(random_floats(static_cast<size_t>(rows.width(a)), ++seed));
    return add({kind, a, 0, static_cast<uint32_t>(rows.vectors.size() - 1), 0, 0, 0});
  }
  uint32_t transform(uint32_t a, uint64_t block) { return add({RowStepKind::kHadamard, a, 0, 0, 0, block, 0}); }
  uint32_t slice(uint32_t a, uint64_t begin, uint64_t width) {
    return add({RowStepKind::kSlice, a, 0, 0, 0, begin, width});
  }
};

using Values = std::vector<std::vector<float>>;

// Step by step, each into memory of its own, by the scalar references.
Values step_by_step(const RowProgram& program, const Block& block, Values values, size_t rows) {
  const RowFunctions& f = row_functions_scalar();
  for (const RowStep& step : block.rows.steps) {
    const auto width = static_cast<size_t>(step.width), from = static_cast<size_t>(block.rows.width(step.a));
    std::vector<float> y(rows * width);
    if (step.kind == RowStepKind::kMatMul) {
      std::vector<int8_t> levels(rows * from);
      std::vector<float> scales(rows);
      quantize_rows_scalar({values[step.a].data(), from, rows, from, levels.data(), from, scales.data(), nullptr});
      const RowProgram::Matrix& matrix = program.matrices()[step.constant];
      Epilogue epilogue;
      epilogue.row_scale = scales.data();
      epilogue.channel_scale = matrix.scale.data();
      epilogue.bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
      epilogue.values = y.data();
      epilogue.stride = width;
      matmul_with("scalar", matrix.weights, {levels.data(), rows, from}, epilogue);
    }
    for (size_t row = 0; row < rows; ++row) {
      const float* a = values[step.a].data() + row * from;
      const float* b = takes_two_values(step.kind) ? values[step.b].data() + row * width : nullptr;
      float* to = y.data() + row * width;
      const auto vector = [&] { return block.rows.vectors[step.constant].data(); };
      switch (step.kind) {
        case RowStepKind::kMatMul:
          break;
        case RowStepKind::kAdd:
          f.add(a, b, width, to);
          break;
        case RowStepKind::kMultiply:
          f.multiply(a, b, width, to);
          break;
        case RowStepKind::kScale:
          f.multiply(a, vector(), width, to);
          break;
        case RowStepKind::kShift:
          f.add(a, vector(), width, to);
          break;
        case RowStepKind::kRmsNorm:
          f.rms_norm(a, nullptr, width, step.epsilon, to);
          break;
        case RowStepKind::kMeanNorm:
          f.mean_norm(a, nullptr, width, step.epsilon, to);
          break;
        case RowStepKind::kSwish:
          f.swish(a, nullptr, width, to);
          break;
        case RowStepKind::kGeluErf:
          f.gelu_erf(a, nullptr, width, to);
          break;
        case RowStepKind::kGeluTanh:
          f.gelu_tanh(a, nullptr, width, to);
          break;
        case RowStepKind::kHadamard:
          std::copy_n(a, width, to);
          hadamard({to, width}, static_cast<size_t>(step.begin));
          break;
        case RowStepKind::kSlice:
          std::copy_n(a + step.begin, width, to);
      }
    }
    values.push_back(std::move(y));
  }
  return values;
}

Values random_inputs(const Block& block, size_t rows) {
  Values inputs;
  for (const uint64_t width : block.rows.input_widths)
    inputs.push_back(random_floats(rows * static_cast<size_t>(width), 77 + static_cast<unsigned>(inputs.size())));
  return inputs;
}

Values run(const RowProgram& program, const Block& block, const Values& inputs, size_t rows) {
  std::vector<const float*> from;
  for (const auto& input : inputs) from.push_back(input.data());
  Values outputs;
  std::vector<float*> to;
  for (const uint32_t value : block.rows.outputs)
    outputs.emplace_back(rows * static_cast<size_t>(block.rows.width(value)), -7.0F);
  for (auto& output : outputs) to.push_back(output.data());
  program.run(from, rows, to);
  return outputs;
}

void expect_as_step_by_step(const Block& block, const std::vector<size_t>& row_counts = {1, 2, 4, 5, 33}) {
  const RowProgram program = block.program();
  for (const size_t rows : row_counts) {
    const Values inputs = random_inputs(block, rows), wanted = step_by_step(program, block, inputs, rows);
    for (const int threads : {1, 2, 3}) {
      tbb::task_arena arena(threads);
      const Values got = arena.execute([&] { return run(program, block, inputs, rows); });
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], wanted[block.rows.outputs[i]])
            << "output " << i << ", " << rows << " rows, " << threads << " threads";
    }
  }
}

// Attention's values and the residual stream in; the stream, and the next queries, keys and values out.
Block decoder_layer(uint64_t width, uint64_t hidden) {
  Block b({width, width});
  const uint32_t attention = b.matmul(0, width, true);
  const uint32_t stream = b.two(RowStepKind::kAdd, 1, attention);
  const uint32_t normal = b.with_vector(RowStepKind::kScale, b.one(RowStepKind::kRmsNorm, stream, 1e-5F));
  const uint32_t gate = b.matmul(normal, hidden), up = b.matmul(normal, hidden, false, 3);
  const uint32_t product = b.two(RowStepKind::kMultiply, b.one(RowStepKind::kSwish, gate), up);
  const uint32_t next = b.two(RowStepKind::kAdd, stream, b.matmul(b.transform(product, 4), width));
  const uint32_t again = b.with_vector(RowStepKind::kScale, b.one(RowStepKind::kRmsNorm, next, 1e-5F));
  b.rows.outputs = {b.matmul(again, width), next, b.matmul(again, width / 4), b.matmul(again, width / 4, true, 6)};
  return b;
}

TEST(RowProgram, ADecoderLayerIsWhatItsStepsAreOneByOne) {
  expect_as_step_by_step(decoder_layer(72, 200));
  const Block large = decoder_layer(384, 1100);  // worth a crew of three
  expect_as_step_by_step(large, {1, 3, 40});
  EXPECT_EQ(large.program().phases(), 4U) << "o; gate and up; down; q, k and v";
}

TEST(RowProgram, ManyRowsAreRunPartByPart) {
  expect_as_step_by_step(decoder_layer(24, 40), {RowProgram::kMostRows, RowProgram::kMostRows + 1, 1100});
}

TEST(RowProgram, EveryFunction) {
  Block b({40, 40});
  std::vector<uint32_t> values = {b.two(RowStepKind::kAdd, 0, 1),
                                  b.two(RowStepKind::kMultiply, 0, 1),
                                  b.with_vector(RowStepKind::kScale, 0),
                                  b.with_vector(RowStepKind::kShift, 0),
                                  b.one(RowStepKind::kRmsNorm, 1, 1e-6F),
                                  b.one(RowStepKind::kMeanNorm, 1, 0),
                                  b.one(RowStepKind::kSwish, 0),
                                  b.one(RowStepKind::kGeluErf, 1),
                                  b.one(RowStepKind::kGeluTanh, 0),
                                  b.slice(1, 3, 17),
                                  b.slice(0, 39, 1),
                                  b.slice(0, 0, 40),
                                  b.transform(1, 8)};
  b.rows.outputs = values;
  expect_as_step_by_step(b);
}

// As Phi-3 has it: one matmul for gate and up, whose halves are read where they are.
TEST(RowProgram, SlicesOfOneMatmul) {
  Block b({32});
  const uint32_t both = b.matmul(0, 96);
  const uint32_t gate = b.slice(both, 0, 48), up = b.slice(both, 48, 48);
  const uint32_t product = b.two(RowStepKind::kMultiply, up, b.one(RowStepKind::kSwish, gate));
  const uint32_t part = b.slice(b.slice(both, 8, 64), 5, 32);
  b.rows.outputs = {b.two(RowStepKind::kAdd, b.matmul(product, 32), 0), b.matmul(part, 20), b.slice(both, 1, 95)};
  expect_as_step_by_step(b);
}

TEST(RowProgram, WhatIsReadTwiceIsNotMergedAway) {
  Block b({48});
  const uint32_t sum = b.matmul(0, 48), norm = b.one(RowStepKind::kRmsNorm, sum, 1e-5F);
  const uint32_t scaled = b.with_vector(RowStepKind::kScale, norm), active = b.one(RowStepKind::kSwish, norm);
  const uint32_t product = b.two(RowStepKind::kMultiply, active, active), twice = b.two(RowStepKind::kAdd, sum, sum);
  const uint32_t other = b.two(RowStepKind::kMultiply, active, scaled), last = b.two(RowStepKind::kAdd, twice, product);
  b.rows.outputs = {last, b.two(RowStepKind::kAdd, other, sum),
                    b.two(RowStepKind::kAdd, b.matmul(0, 48), b.matmul(0, 48))};
  expect_as_step_by_step(b);
  Block out({48});  // an output is read by others, too
  const uint32_t first = out.matmul(0, 48), total = out.two(RowStepKind::kAdd, first, 0);
  out.rows.outputs = {first, out.one(RowStepKind::kSwish, total)};
  expect_as_step_by_step(out);
}

// Random chains of steps of one width, in which memory is used again and again.
TEST(RowProgram, RandomBlocks) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    Block b({24, 24});
    b.seed = 1000 * seed;
    const size_t steps = 4 + random() % 25;
    for (size_t i = 0; i < steps; ++i) {
      const auto value = [&] {  // mostly a late one
        const auto count = static_cast<uint32_t>(b.rows.value_count());
        return random() % 4 == 0 ? static_cast<uint32_t>(random() % count)
                                 : count - 1 - static_cast<uint32_t>(random() % 2);
      };
      switch (random() % 8) {
        case 0:
        case 1:
          b.matmul(value(), 24, random() % 2 == 0);
          break;
        case 2:
        case 3:
          b.two(RowStepKind::kAdd, value(), value());
          break;
        case 4:
          b.two(RowStepKind::kMultiply, value(), b.one(RowStepKind::kSwish, value()));
          break;
        case 5:
          b.with_vector(RowStepKind::kScale, b.one(RowStepKind::kRmsNorm, value(), 1e-5F));
          break;
        case 6:
          b.with_vector(RowStepKind::kShift, value());
          break;
        default:
          b.one(RowStepKind::kGeluTanh, value());
      }
    }
    const auto count = static_cast<uint32_t>(b.rows.value_count());
    b.rows.outputs = {count - 1};
    for (uint32_t v = 2; v + 1 < count; ++v)
      if (random() % 6 == 0) b.rows.outputs.push_back(v);
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_as_step_by_step(b, {1, 5, 30});
  }
}

TEST(RowProgram, CallsMayRunAtOnce) {
  const Block block = decoder_layer(384, 1100);
  const RowProgram program = block.program();
  for (const size_t rows : {size_t{2}, size_t{21}}) {
    const Values inputs = random_inputs(block, rows), wanted = step_by_step(program, block, inputs, rows);
    tbb::parallel_for(0, 24, [&](int) {
      const Values got = tbb::this_task_arena::isolate([&] { return run(program, block, inputs, rows); });
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], wanted[block.rows.outputs[i]]);
    });
  }
}

TEST(RowProgram, RefusesSumsThatMayOverflow) {
  Block b({20000});
  b.rows.outputs = {b.matmul(0, 1, false, 4, 16000)};
  EXPECT_NE(testing::error_of([&] { b.program(); }).find("may overflow"), std::string::npos);
}

}  // namespace
}  // namespace dnateq::kernels
