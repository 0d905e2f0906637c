#include "search/solve.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/channel_scale.h"
#include "search/test_data.h"

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXf;
using testing::laplace_values;
using testing::normal_values;

TensorCode request_for(int bits, Arithmetic arithmetic = Arithmetic::kInt8Grid) {
  TensorCode request;
  request.arithmetic = arithmetic;
  return with_level_counts(request, bits);
}

struct Problem {
  LayerShape shape;
  std::vector<float> weights;
  LayerSamples samples;
};

// Inputs that share a few factors, as activations of neighbouring pixels and features do, and have a mean; what the
// layer sees is disturbed as by quantization.
Problem make_problem(LayerShape shape, Index positions, unsigned seed, float correlation = 0.8F, float noise = 0.05F) {
  Problem problem;
  problem.shape = shape;
  const Index columns = shape.columns, rows = shape.rows / shape.groups, all = columns * shape.groups;
  problem.weights = normal_values(static_cast<size_t>(shape.rows * columns), seed, 0.1F);
  const Index factors = std::max<Index>(1, columns / 4);
  MatrixXf clean(positions, all);
  for (Index g = 0; g < shape.groups; ++g) {
    const std::vector<float> z =
        normal_values(static_cast<size_t>(positions * factors), seed + 1 + static_cast<unsigned>(g));
    const std::vector<float> mix =
        normal_values(static_cast<size_t>(factors * columns), seed + 100 + static_cast<unsigned>(g));
    const Eigen::Map<const MatrixXf> latent(z.data(), positions, factors), mixing(mix.data(), factors, columns);
    clean.middleCols(g * columns, columns) = correlation * latent * mixing / std::sqrt(static_cast<float>(factors));
  }
  const std::vector<float> own = normal_values(static_cast<size_t>(positions * all), seed + 200);
  clean += std::sqrt(1 - correlation * correlation) * Eigen::Map<const MatrixXf>(own.data(), positions, all);
  clean.array() += 0.7F;
  const std::vector<float> disturbance = normal_values(static_cast<size_t>(positions * all), seed + 300, noise);
  problem.samples.inputs = clean + Eigen::Map<const MatrixXf>(disturbance.data(), positions, all);
  problem.samples.targets.resize(positions, shape.rows);
  for (Index p = 0; p < positions; ++p)
    for (Index r = 0; r < shape.rows; ++r) {
      float sum = 0;
      for (Index c = 0; c < columns; ++c)
        sum += clean(p, (r / rows) * columns + c) * problem.weights[static_cast<size_t>(r * columns + c)];
      problem.samples.targets(p, r) = sum;
    }
  return problem;
}

// Outputs of the decoded layer, bias included, straight from the definition.
Eigen::MatrixXd outputs_of(const LayerSolution& solution, const Problem& problem) {
  const LayerShape& shape = problem.shape;
  const std::vector<float> w = decode_weights(solution, shape.columns);
  const Index rows = shape.rows / shape.groups;
  Eigen::MatrixXd out(problem.samples.inputs.rows(), shape.rows);
  for (Index p = 0; p < out.rows(); ++p)
    for (Index r = 0; r < shape.rows; ++r) {
      double sum = solution.bias.empty() ? 0.0 : static_cast<double>(solution.bias[static_cast<size_t>(r)]);
      for (Index c = 0; c < shape.columns; ++c)
        sum += static_cast<double>(problem.samples.inputs(p, (r / rows) * shape.columns + c)) *
               static_cast<double>(w[static_cast<size_t>(r * shape.columns + c)]);
      out(p, r) = sum;
    }
  return out;
}

// Weighted squared error of the outputs relative to the targets' variance.
double output_error(const LayerSolution& solution, const Problem& problem) {
  const Eigen::MatrixXd y = problem.samples.targets.cast<double>(), got = outputs_of(solution, problem);
  Eigen::VectorXd weights = problem.samples.weights.cast<double>();
  if (weights.size() == 0) weights = Eigen::VectorXd::Ones(y.rows());
  double error = 0, power = 0;
  for (Index r = 0; r < y.cols(); ++r) {
    const double mean = y.col(r).dot(weights) / weights.sum();
    for (Index p = 0; p < y.rows(); ++p) {
      error += weights[p] * (y(p, r) - got(p, r)) * (y(p, r) - got(p, r));
      power += weights[p] * (y(p, r) - mean) * (y(p, r) - mean);
    }
  }
  return error / power;
}

void expect_finite(const LayerSolution& solution) {
  EXPECT_NO_THROW(validate(solution.code, "weights"));
  for (const float w : decode_weights(solution, static_cast<int64_t>(solution.codes.size() / solution.gamma.size())))
    ASSERT_TRUE(std::isfinite(w));
  for (const float bias : solution.bias) ASSERT_TRUE(std::isfinite(bias));
  for (const double error : {solution.weight_relative_error, solution.weight_rmae, solution.uniform_relative_error,
                             solution.output_relative_error, solution.nearest_output_relative_error}) {
    EXPECT_TRUE(std::isfinite(error));
    EXPECT_GE(error, 0.0);
  }
}

TEST(SolveLayer, LeavesLessOutputErrorThanNearestRounding) {
  for (const int bits : {2, 3, 4, 6})
    for (const Arithmetic arithmetic : {Arithmetic::kExponential, Arithmetic::kInt8Grid})
      for (const LayerShape& shape :
           {LayerShape{12, 40, 1}, LayerShape{33, 17, 1}, LayerShape{33, 24, 1, {}, true}, LayerShape{8, 9, 4}}) {
        const Problem problem = make_problem(shape, 600, 50 + static_cast<unsigned>(bits));
        LayerSolution nearest = quantize_rows(problem.weights, shape, request_for(bits, arithmetic));
        correct_bias(nearest, shape, problem.samples);
        const LayerSolution solution =
            solve_layer(problem.weights, shape, problem.samples, request_for(bits, arithmetic), {});
        SCOPED_TRACE(std::to_string(bits) + " bits, " + to_string(arithmetic) + ", " + std::to_string(shape.groups) +
                     " groups");
        // From 4 bits on most of what is left is the noise of the inputs.
        EXPECT_LT(output_error(solution, problem), (bits <= 3 ? 0.8 : 1.0) * output_error(nearest, problem));
        EXPECT_LT(solution.output_relative_error, solution.nearest_output_relative_error);
      }
}

TEST(SolveLayer, StatesTheOutputErrorThatTheCodesReallyLeave) {
  for (const LayerShape& shape : {LayerShape{10, 24, 1}, LayerShape{10, 24, 1, {}, true}, LayerShape{8, 9, 4}}) {
    Problem problem = make_problem(shape, 400, 60);
    for (const bool weighted : {false, true}) {
      if (weighted)
        problem.samples.weights = Eigen::Map<Eigen::VectorXf>(laplace_values(400, 61).data(), 400).cwiseAbs();
      const LayerSolution solution = solve_layer(problem.weights, shape, problem.samples, request_for(3), {});
      EXPECT_NEAR(solution.output_relative_error, output_error(solution, problem),
                  1e-3 * solution.output_relative_error + 1e-6);
      LayerSolution nearest = quantize_rows(problem.weights, shape, request_for(3));
      correct_bias(nearest, shape, problem.samples);
      EXPECT_NEAR(nearest.output_relative_error, output_error(nearest, problem),
                  1e-3 * nearest.output_relative_error + 1e-6);
    }
  }
}

TEST(SolveLayer, StatesTheWeightErrorThatTheCodesReallyLeave) {
  const Problem problem = make_problem({10, 24, 1}, 400, 62);
  const LayerSolution solution = solve_layer(problem.weights, problem.shape, problem.samples, request_for(3), {});
  const std::vector<float> decoded = decode_weights(solution, 24);
  double error = 0, power = 0, absolute = 0, magnitude = 0;
  for (size_t i = 0; i < decoded.size(); ++i) {
    const double w = static_cast<double>(problem.weights[i]), d = w - static_cast<double>(decoded[i]);
    error += d * d;
    power += w * w;
    absolute += std::fabs(d);
    magnitude += std::fabs(w);
  }
  EXPECT_NEAR(solution.weight_relative_error, error / power, 1e-6);
  EXPECT_NEAR(solution.weight_rmae, absolute / magnitude, 1e-6);
}

// Least error of one row over all codes, the scale held and the bias free.
double best_of_all_codes(const LayerSolution& solution, const Problem& problem) {
  LayerSolution trial = solution;
  double best = std::numeric_limits<double>::infinity();
  const auto columns = static_cast<size_t>(problem.shape.columns);
  const size_t codes = size_t{1} << solution.code.stored_bits;
  size_t combinations = 1;
  for (size_t c = 0; c < columns; ++c) combinations *= codes;
  for (size_t n = 0; n < combinations; ++n) {
    size_t rest = n;
    for (size_t c = 0; c < columns; ++c, rest /= codes) trial.codes[c] = static_cast<uint8_t>(rest % codes);
    correct_bias(trial, problem.shape, problem.samples);
    best = std::min(best, trial.output_relative_error);
  }
  return best;
}

TEST(SolveLayer, IsNearTheBestOfAllCodesOnTinyProblems) {
  int at_optimum = 0;
  double log_sum = 0;
  constexpr int kSeeds = 40;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const Problem problem = make_problem({1, 3, 1}, 60, 1000 + 7 * seed, 0.7F);
    const LayerSolution solution = solve_layer(problem.weights, problem.shape, problem.samples, request_for(2), {});
    const double best = best_of_all_codes(solution, problem);
    EXPECT_GE(solution.output_relative_error, best * 0.999 - 1e-6) << seed;
    EXPECT_LE(solution.output_relative_error, 1.5 * best + 1e-4) << seed;
    at_optimum += solution.output_relative_error <= 1.05 * best + 1e-6 ? 1 : 0;
    log_sum += std::log(solution.output_relative_error / best);
  }
  EXPECT_GE(at_optimum, kSeeds * 9 / 10);
  EXPECT_LT(std::exp(log_sum / kSeeds), 1.03);
}

TEST(SolveLayer, TheBiasMakesTheMeanErrorZero) {
  Problem problem = make_problem({8, 9, 4}, 300, 63);
  for (const bool weighted : {false, true}) {
    if (weighted) problem.samples.weights = Eigen::Map<Eigen::VectorXf>(laplace_values(300, 64).data(), 300).cwiseAbs();
    const LayerSolution solution = solve_layer(problem.weights, problem.shape, problem.samples, request_for(3), {});
    ASSERT_EQ(solution.bias.size(), 8U);
    Eigen::VectorXd weights = Eigen::VectorXd::Ones(300);
    if (weighted) weights = problem.samples.weights.cast<double>();
    const Eigen::MatrixXd error = problem.samples.targets.cast<double>() - outputs_of(solution, problem);
    for (Index r = 0; r < 8; ++r) EXPECT_NEAR(error.col(r).dot(weights) / weights.sum(), 0.0, 1e-5);
  }
  SolveOptions without;
  without.correct_bias = false;
  EXPECT_TRUE(solve_layer(problem.weights, problem.shape, problem.samples, request_for(3), without).bias.empty());
}

TEST(SolveLayer, WithoutCompensationCodesAreNearestToTheWeights) {
  const Problem problem = make_problem({6, 20, 1}, 300, 65);
  SolveOptions options;
  options.compensate = false;
  const LayerSolution solution = solve_layer(problem.weights, problem.shape, problem.samples, request_for(4), options);
  const Encoder encoder(solution.code);
  for (size_t i = 0; i < problem.weights.size(); ++i)
    EXPECT_EQ(solution.codes[i], encoder.encode(problem.weights[i] / from_float16(solution.gamma[i / 20])));
  EXPECT_EQ(solution.output_relative_error, solution.nearest_output_relative_error);
}

// A group whose columns are another group's in other order has the same solution in that order. Groups share one curve,
// so this is the case in which they can be compared with layers of their own.
TEST(SolveLayer, GroupsAreSolvedLikeLayersOfTheirOwn) {
  const LayerShape one{5, 12, 1}, two{10, 12, 2};
  const Problem single = make_problem(one, 400, 66);
  Problem both;
  both.shape = two;
  both.samples.inputs.resize(400, 24);
  both.samples.targets.resize(400, 10);
  both.samples.inputs.leftCols(12) = single.samples.inputs;
  both.samples.targets << single.samples.targets, single.samples.targets;
  both.weights = single.weights;
  both.weights.resize(120);
  for (Index c = 0; c < 12; ++c) {
    const Index from = (c * 5 + 2) % 12;
    both.samples.inputs.col(12 + c) = single.samples.inputs.col(from);
    for (Index r = 0; r < 5; ++r)
      both.weights[static_cast<size_t>(60 + r * 12 + c)] = single.weights[static_cast<size_t>(r * 12 + from)];
  }
  const LayerSolution alone = solve_layer(single.weights, one, single.samples, request_for(3), {});
  const LayerSolution grouped = solve_layer(both.weights, two, both.samples, request_for(3), {});
  EXPECT_NEAR(grouped.output_relative_error, alone.output_relative_error, 0.02 * alone.output_relative_error);
  int differing = 0;
  for (Index c = 0; c < 12; ++c)
    for (Index r = 0; r < 5; ++r) {
      const uint8_t expected = alone.codes[static_cast<size_t>(r * 12 + (c * 5 + 2) % 12)];
      differing += grouped.codes[static_cast<size_t>(60 + r * 12 + c)] != expected ? 1 : 0;
      differing +=
          grouped.codes[static_cast<size_t>(r * 12 + c)] != alone.codes[static_cast<size_t>(r * 12 + c)] ? 1 : 0;
    }
  EXPECT_LE(differing, 3);  // rounding of sums taken in another order
}

TEST(SolveLayer, GroupsWithTheirOwnInputsAreNotMixedUp) {
  const LayerShape shape{12, 9, 3};
  const Problem problem = make_problem(shape, 500, 67);
  LayerSolution fixed = with_fixed_code(problem.weights, shape,
                                        solve_layer(problem.weights, shape, problem.samples, request_for(4), {}).code);
  correct_bias(fixed, shape, problem.samples);
  for (Index g = 0; g < 3; ++g) {
    LayerSamples own;
    own.inputs = problem.samples.inputs.middleCols(g * 9, 9);
    own.targets = problem.samples.targets.middleCols(g * 4, 4);
    const std::vector<float> weights(problem.weights.begin() + g * 36, problem.weights.begin() + (g + 1) * 36);
    LayerSolution alone = with_fixed_code(weights, {4, 9, 1}, fixed.code);
    correct_bias(alone, {4, 9, 1}, own);
    for (Index r = 0; r < 4; ++r)
      EXPECT_FLOAT_EQ(fixed.bias[static_cast<size_t>(g * 4 + r)], alone.bias[static_cast<size_t>(r)]);
  }
}

TEST(SolveLayer, GivesTheSameBytesWithOneThreadAndWithTwoAndWhoeverOwnsTheSamples) {
  for (const LayerShape& shape : {LayerShape{70, 400, 1}, LayerShape{24, 9, 8}}) {
    const Problem problem = make_problem(shape, 500, 68);
    std::vector<LayerSolution> solutions;
    for (const size_t threads : {1U, 2U, 4U}) {
      const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
      solutions.push_back(solve_layer(problem.weights, shape, problem.samples, request_for(3), {}));
    }
    LayerSamples given_up = problem.samples;
    solutions.push_back(solve_layer(problem.weights, shape, std::move(given_up), request_for(3), {}));
    for (const LayerSolution& solution : solutions) {
      EXPECT_EQ(solution.code, solutions[0].code);
      EXPECT_EQ(solution.codes, solutions[0].codes);
      EXPECT_EQ(solution.gamma, solutions[0].gamma);
      EXPECT_EQ(solution.bias, solutions[0].bias);
      EXPECT_EQ(solution.output_relative_error, solutions[0].output_relative_error);
    }
  }
}

TEST(SolveLayer, PositionsOfNoWeightCountAsIfTheyWereNotThere) {
  const Problem problem = make_problem({6, 16, 1}, 400, 69);
  Problem half = problem, weighted = problem;
  half.samples.inputs.conservativeResize(200, Eigen::NoChange);
  half.samples.targets.conservativeResize(200, Eigen::NoChange);
  weighted.samples.weights = Eigen::VectorXf::Zero(400);
  weighted.samples.weights.head(200).setConstant(0.25F);
  weighted.samples.inputs.bottomRows(200) *= -3.0F;  // would pull the solution elsewhere
  const LayerSolution expected = solve_layer(half.weights, half.shape, half.samples, request_for(3), {});
  const LayerSolution got = solve_layer(weighted.weights, weighted.shape, weighted.samples, request_for(3), {});
  // Sums in another order may turn a code over.
  EXPECT_NEAR(got.output_relative_error, expected.output_relative_error, 0.05 * expected.output_relative_error);
  LayerSolution with_half = expected, with_weights = expected;
  correct_bias(with_half, half.shape, half.samples);
  correct_bias(with_weights, weighted.shape, weighted.samples);
  EXPECT_NEAR(with_weights.output_relative_error, with_half.output_relative_error,
              1e-4 * with_half.output_relative_error);
  for (size_t r = 0; r < 6; ++r) EXPECT_NEAR(with_weights.bias[r], with_half.bias[r], 1e-4F);
}

TEST(SolveLayer, HeavyPositionsComeOutBetterThanWithEqualWeights) {
  // Pairs of columns that agree at the heavy positions and are opposite at the others: rounding errors that cancel here
  // add up there.
  Problem problem = make_problem({8, 24, 1}, 600, 70, 0.0F);
  MatrixXf& x = problem.samples.inputs;
  x.array() -= 0.7F;
  problem.samples.weights = Eigen::VectorXf::Ones(600);
  problem.samples.weights.head(300).setConstant(20.0F);
  for (Index p = 0; p < 600; ++p)
    for (Index c = 0; c < 24; c += 2) x(p, c + 1) = (p < 300 ? 1.0F : -1.0F) * x(p, c) + 0.1F * x(p, c + 1);
  const Eigen::Map<const MatrixXf> w(problem.weights.data(), 24, 8);
  problem.samples.targets = x * w;
  Problem even = problem;
  even.samples.weights.resize(0);
  const LayerSolution heavy = solve_layer(problem.weights, problem.shape, problem.samples, request_for(2), {});
  const LayerSolution equal = solve_layer(even.weights, even.shape, even.samples, request_for(2), {});
  EXPECT_LT(output_error(heavy, problem), output_error(equal, problem));
  EXPECT_GT(output_error(heavy, even), output_error(equal, even));
}

TEST(SolveLayer, DegenerateInputsGiveFiniteSolutions) {
  const LayerShape shape{4, 10, 1};
  const Problem problem = make_problem(shape, 100, 71);
  const auto solve_with = [&](const char* name, const MatrixXf& inputs, const MatrixXf& targets,
                              std::vector<float> weights) {
    SCOPED_TRACE(name);
    LayerSamples samples;
    samples.inputs = inputs;
    samples.targets = targets;
    for (const int bits : {2, 4})
      for (const bool compensate : {true, false}) {
        SolveOptions options;
        options.compensate = compensate;
        options.damping = 0;
        expect_finite(solve_layer(weights, shape, samples, request_for(bits), options));
        options.damping = 0.02;
        expect_finite(solve_layer(weights, shape, samples, request_for(bits), options));
      }
  };
  const MatrixXf& x = problem.samples.inputs;
  const MatrixXf& y = problem.samples.targets;
  const std::vector<float>& w = problem.weights;
  solve_with("zero inputs", MatrixXf::Zero(100, 10), y, w);
  solve_with("constant inputs", MatrixXf::Constant(100, 10, 3.0F), y, w);
  solve_with("zero targets", x, MatrixXf::Zero(100, 4), w);
  solve_with("one position", x.topRows(1), y.topRows(1), w);
  solve_with("two positions", x.topRows(2), y.topRows(2), w);
  MatrixXf rank_one = x;
  for (Index c = 1; c < 10; ++c) rank_one.col(c) = x.col(0);
  solve_with("rank one", rank_one, y, w);
  MatrixXf dead = x;
  dead.rightCols(3).setZero();
  solve_with("dead columns", dead, y, w);
  solve_with("huge inputs", 1e12F * x, 1e12F * y, w);
  solve_with("tiny inputs", 1e-12F * x, 1e-12F * y, w);
  solve_with("zero weights", x, y, std::vector<float>(40, 0.0F));
  std::vector<float> dead_row = w;
  std::fill_n(dead_row.begin() + 10, 10, 0.0F);
  MatrixXf without_row = y;
  without_row.col(1).setZero();
  solve_with("a dead row", x, without_row, dead_row);
  std::vector<float> equal(40, 0.25F);
  solve_with("equal weights", x, y, equal);
}

TEST(SolveLayer, KeepsTheBaseOfTheInputsWhereAskedTo) {
  const Problem problem = make_problem({6, 20, 1}, 200, 31);
  for (const Family family : {Family::kSharedBase, Family::kBeta0}) {
    TensorCode request = request_for(4, Arithmetic::kExponential);
    request.family = family, request.base = 1.37;
    SolveOptions options;
    options.keep_base = true;
    const LayerSolution solution = solve_layer(problem.weights, problem.shape, problem.samples, request, options);
    EXPECT_EQ(solution.code.base, 1.37);
    EXPECT_TRUE(family == Family::kSharedBase || solution.code.beta == 0);
    const std::vector<float> zeros(problem.weights.size());
    EXPECT_EQ(solve_layer(zeros, problem.shape, problem.samples, request, options).code.base, 1.37);
  }
}

TEST(SolveLayer, TinyAndHugeWeightsSurviveTheFloat16Scales) {
  const Problem problem = make_problem({4, 10, 1}, 100, 72);
  for (const float unit : {1e-30F, 1e-9F, 1e-4F, 1e4F, 1e6F, 1e30F}) {
    std::vector<float> weights = problem.weights;
    for (float& w : weights) w *= unit;
    LayerSamples samples = problem.samples;
    samples.targets *= unit;
    const LayerSolution solution = solve_layer(weights, problem.shape, samples, request_for(4), {});
    expect_finite(solution);
    EXPECT_LT(solution.output_relative_error, 0.1) << unit;
  }
}

// A power of two in weights and targets leaves codes, curve and errors as they are, however far it leads.
TEST(SolveLayer, WeightsOfAnySizeKeepTheirPrecision) {
  for (const Index positions : {Index{100}, Index{4}}) {  // either form of the objective
    const Problem problem = make_problem({6, 24, 1}, positions, 76);
    const LayerSolution plain = solve_layer(problem.weights, problem.shape, problem.samples, request_for(4), {});
    EXPECT_EQ(plain.scale_exponent, 0);
    for (const int power : {-60, -30, 20, 60}) {
      std::vector<float> weights = problem.weights;
      for (float& w : weights) w = std::ldexp(w, power);
      LayerSamples samples = problem.samples;
      samples.targets *= std::ldexp(1.0F, power);
      LayerSolution solution = solve_layer(weights, problem.shape, samples, request_for(4), {});
      EXPECT_EQ(solution.code, plain.code);
      EXPECT_EQ(solution.codes, plain.codes);
      EXPECT_FLOAT_EQ(static_cast<float>(solution.output_relative_error),
                      static_cast<float>(plain.output_relative_error));
      for (size_t r = 0; r < 6; ++r) {
        EXPECT_EQ(channel_scale(solution.gamma[r], solution.scale_exponent),
                  std::ldexp(from_float16(plain.gamma[r]), power));
        EXPECT_FLOAT_EQ(solution.bias[r], std::ldexp(plain.bias[r], power));
      }
      const std::vector<float> bias = solution.bias;
      correct_bias(solution, problem.shape, samples);  // the same, for the codes as they are
      for (size_t r = 0; r < 6; ++r) EXPECT_NEAR(solution.bias[r], bias[r], 1e-4F * std::ldexp(1.0F, power));
      EXPECT_NEAR(solution.output_relative_error, plain.output_relative_error, 1e-4);
    }
  }
}

double error_of_row(const LayerSolution& solution, std::span<const float> weights, size_t row, size_t columns) {
  const std::vector<float> decoded = decode_weights(solution, static_cast<int64_t>(columns));
  double error = 0, power = 0;
  for (size_t i = row * columns; i < (row + 1) * columns; ++i) {
    const double w = static_cast<double>(weights[i]), d = w - static_cast<double>(decoded[i]);
    error += d * d;
    power += w * w;
  }
  return error / power;
}

// One power of two for a tensor: rows down to 2^-27 of the largest are as good as it, those down to 2^-37 lose bits of
// their scale, and what is below is lost, which costs the tensor nothing that counts.
TEST(QuantizeRows, RowsOfAllSizesKeepWhatOnePowerOfTwoCanHold) {
  constexpr size_t kColumns = 200;
  const std::vector<float> sizes = {1e6F, 1.0F, 0.01F, 1e-4F, 1e-9F};  // 2^-20, 2^-27, 2^-33, 2^-50 of the largest
  std::vector<float> weights;
  for (size_t r = 0; r < sizes.size(); ++r)
    for (const float w : normal_values(kColumns, 80)) weights.push_back(sizes[r] * w);
  const LayerSolution solution = quantize_rows(weights, {5, kColumns, 1}, request_for(5));
  expect_finite(solution);
  const double best = error_of_row(solution, weights, 0, kColumns);
  EXPECT_LT(best, 0.01);
  EXPECT_NEAR(error_of_row(solution, weights, 1, kColumns), best, 0.01 * best);
  EXPECT_NEAR(error_of_row(solution, weights, 2, kColumns), best, 0.01 * best);
  EXPECT_LT(error_of_row(solution, weights, 3, kColumns), best + 0.01) << "5 of 11 bits are left of its scale";
  EXPECT_EQ(error_of_row(solution, weights, 4, kColumns), 1.0) << "all zeros";
  EXPECT_LT(solution.weight_relative_error, 1.01 * best);
}

TEST(QuantizeRows, NeverDoesWorseThanTheUniformGrid) {
  for (const auto& tensor : testing::many_tensors(480)) {
    if (tensor.values.size() != 480) continue;
    for (const int bits : {2, 3, 4, 6}) {
      const LayerSolution solution = quantize_rows(tensor.values, {8, 60, 1}, request_for(bits));
      const LayerSolution uniform = quantize_rows(tensor.values, {8, 60, 1}, request_for(bits), true, true);
      SCOPED_TRACE(tensor.name + " at " + std::to_string(bits) + " bits");
      expect_finite(solution);
      expect_finite(uniform);
      EXPECT_LE(solution.weight_relative_error, 1.02 * solution.uniform_relative_error + 1e-6);
      EXPECT_LE(solution.weight_relative_error, 1.25 * uniform.weight_relative_error + 1e-6);  // other scales
    }
  }
}

TEST(QuantizeRows, ScalingTheWeightsScalesGammaAndNothingElse) {
  const std::vector<float> weights = laplace_values(200, 73);
  std::vector<float> larger = weights;
  for (float& w : larger) w *= 8.0F;
  const LayerSolution one = quantize_rows(weights, {10, 20, 1}, request_for(3));
  const LayerSolution eight = quantize_rows(larger, {10, 20, 1}, request_for(3));
  EXPECT_EQ(one.code, eight.code);
  EXPECT_EQ(one.codes, eight.codes);
  for (size_t r = 0; r < 10; ++r) EXPECT_EQ(8 * from_float16(one.gamma[r]), from_float16(eight.gamma[r]));
}

TEST(QuantizeRows, ARowThatReachesFartherBelowZeroGetsANegativeScale) {
  std::vector<float> weights = normal_values(64, 74);
  for (size_t i = 0; i < 64; ++i) weights[i] = i < 32 ? std::fabs(weights[i]) : -std::fabs(weights[i]);
  const LayerSolution solution = quantize_rows(weights, {2, 32, 1}, request_for(2));
  EXPECT_GT(from_float16(solution.gamma[0]), 0);
  EXPECT_LT(from_float16(solution.gamma[1]), 0);
  EXPECT_LT(solution.weight_relative_error, 0.2);
}

TEST(QuantizeRows, RowsOfZerosAreNextToZeroWithoutACodeForIt) {
  std::vector<float> weights = normal_values(64 * 40, 9);
  std::fill_n(weights.begin() + 40, 40, 0.0F);
  const LayerSolution solution = quantize_rows(weights, {64, 40, 1, {}, true}, request_for(2));
  EXPECT_FALSE(has_zero(solution.code));
  const std::vector<float> decoded = decode_weights(solution, 40);
  for (size_t i = 40; i < 80; ++i) EXPECT_LT(std::fabs(decoded[i]), 1e-6F);
}

TEST(FixedCode, EncodesEveryWeightByTheGivenCode) {
  TensorCode code = request_for(4, Arithmetic::kExponential);
  code.base = 1.3;
  code.alpha = 0.1;
  code.beta = 0.02;
  const std::vector<float> weights = normal_values(30, 75);
  const LayerSolution solution = with_fixed_code(weights, {5, 6, 1}, code);
  const Encoder encoder(code);
  EXPECT_EQ(solution.code, code);
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(solution.codes[i], encoder.encode(weights[i]));
  EXPECT_EQ(solution.gamma, std::vector<uint16_t>(5, to_float16(1.0F)));
  const std::vector<float> decoded = decode_weights(solution, 6);
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(decoded[i], encoder.decode(solution.codes[i]));
}

TEST(DecodeWeights, MultipliesEachRowByItsScale) {
  LayerSolution solution;
  solution.code = request_for(2, Arithmetic::kExponential);
  solution.code.base = 2;
  solution.code.alpha = 1;
  solution.codes = {0, 1, 2, 3, 2, 1};
  solution.gamma = {to_float16(1.0F), to_float16(-0.5F)};
  EXPECT_EQ(decode_weights(solution, 3), (std::vector<float>{0, 1, 2, 0.5F, -1, -0.5F}));
}

}  // namespace
}  // namespace dnateq
